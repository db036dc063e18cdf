"""A manifest says what the file is for, a trailer what is in it; each is signed and names the other."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.client import manifest as theirs
from gateway.clock import TurnedClock
from gateway.exports import manifest
from gateway.exports.manifest import Content
from gateway.policy.fields import MASK_VERSION
from gateway.tlog.leaf import LeafError
from tests.exports.shipping import export_keys
from tests.exports.tickets import PLAN, START_US

KEYS = export_keys()
CLOCK = TurnedClock(START_US)


def blocks():
    front = manifest.manifest(
        "EX-00000001", PLAN, key_id=KEYS.key_id, bundle="ab" * 32, clock=CLOCK, sign=KEYS.sign
    )
    content = Content(3, 2, 1, 100, "cd" * 32)
    return front, manifest.trailer("EX-00000001", front, content, sign=KEYS.sign)


def test_both_sides_mean_the_same_form():
    for name in ("MANIFEST", "TRAILER", "MANIFEST_BYTES", "TRAILER_BYTES"):
        assert getattr(manifest, name) == getattr(theirs, name)


def test_the_blocks_have_their_length_and_are_readable_lines():
    front, back = blocks()
    assert (len(front), len(back)) == (65_536, 4_096)
    for block, form in ((front, manifest.MANIFEST), (back, manifest.TRAILER)):
        line, signature, padding = block.split(b"\n", 2)
        assert json.loads(line)["format"] == form
        assert padding.strip(b" ") == b"\n"
        KEYS.signing.public_key().verify(
            base64.b64decode(signature), form.encode() + b"\n" + line, ec.ECDSA(SHA256())
        )


def test_the_manifest_says_for_whom_for_what_and_until_when():
    front, _ = blocks()
    said = json.loads(front.split(b"\n")[0])
    assert said["plan_sha256"] == PLAN.sha256
    assert said["columns"] == list(PLAN.columns)
    assert said["mask_version"] == MASK_VERSION
    assert said["encryption_certificate_sha256"] == PLAN.encryption_certificate_sha256
    assert said["destroy_by"] == "2026-12-31"
    assert said["made_us"] == START_US


def test_what_does_not_fit_is_no_manifest():
    with pytest.raises(LeafError):
        manifest.manifest(
            "EX-00000001", PLAN, key_id="x" * 65_500, bundle="", clock=CLOCK, sign=KEYS.sign
        )
