"""What the recipient's own side refuses, whatever the gateway sent (attack 63)."""

import hashlib
from dataclasses import replace

import pytest

from gateway.client.manifest import Expected, ManifestError, Opened
from gateway.clock import TurnedClock
from gateway.exports import manifest
from gateway.exports.manifest import Content
from gateway.store import export_keys as keys
from tests.exports.shipping import export_home
from tests.exports.tickets import PLAN, START_US

DATA = b"child_token,sex\r\n" + b"abc,FEMALE\r\n" * 20_000
with export_home() as HOME:
    KEYS = keys.load(HOME)
    PUBLISHED = keys.published(HOME.export_keys)
EXPECTED = Expected("EX-00000001", PLAN.sha256, PLAN.encryption_certificate_sha256, PUBLISHED)


def blocks(ticket="EX-00000001", plan=PLAN, data=DATA, sign=KEYS.sign, **changes):
    front = manifest.manifest(
        ticket, plan, key_id=KEYS.key_id, bundle="ab" * 32, clock=TurnedClock(START_US), sign=sign
    )
    content = Content(20_000, 1, 0, len(data), hashlib.sha256(data).hexdigest())
    back = manifest.trailer(ticket, front, replace(content, **changes), sign=sign)
    return front, back


FRONT, BACK = blocks()


def opened(whole, expected=EXPECTED, size=65_536):
    made = Opened(expected)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    return b"".join(made.rows(pieces)), made


def cause(whole, expected=EXPECTED):
    with pytest.raises(ManifestError) as error:
        opened(whole, expected)
    return error.value.cause


@pytest.mark.parametrize("size", [1000, 4096, 65_536, 65_537, 10**6])
def test_the_rows_come_out_between_manifest_and_trailer(size):
    data, made = opened(FRONT + DATA + BACK, size=size)
    assert data == DATA
    assert made.manifest["purpose"] == "survey"
    assert made.trailer["rows"] == 20_000


def test_an_export_without_rows_is_whole_too():
    front, back = blocks(data=b"")
    assert opened(front + back)[0] == b""


def test_attack_63_the_manifest_of_another_ticket_plan_or_certificate():
    other = replace(PLAN, encryption_certificate_sha256="00" * 32)
    for ticket, plan in (
        ("EX-00000002", PLAN),
        ("EX-00000001", replace(PLAN, columns=("sex",))),
        ("EX-00000001", other),
    ):
        front, back = blocks(ticket, plan)
        assert cause(front + DATA + back) == "another"
    assert opened(FRONT + DATA + BACK)[0] == DATA


def test_attack_63_the_trailer_of_another_export():
    _, other = blocks("EX-00000002")
    assert cause(FRONT + DATA + other) == "trailer"
    longer = DATA + b"abc,FEMALE\r\n"
    _, back = blocks(data=longer)
    assert cause(FRONT + DATA + back) == "trailer"
    assert cause(FRONT + longer + BACK) == "trailer"


def test_nothing_of_it_comes_before_the_manifest_is_good():
    front, _ = blocks("EX-00000002")
    pieces = []
    with pytest.raises(ManifestError):
        pieces.extend(Opened(EXPECTED).rows([front, DATA]))
    assert pieces == []


def test_who_did_not_sign_made_no_export():
    with export_home() as home:
        stranger = keys.load(home)
        theirs = keys.published(home.export_keys)
    front, back = blocks(sign=stranger.sign)
    assert cause(front + DATA + back) == "signature"
    assert cause(FRONT + DATA + BACK, replace(EXPECTED, keys=theirs)) == "key"
    assert cause(FRONT + DATA + blocks(sign=stranger.sign)[1]) == "signature"


def test_a_manifest_is_no_trailer_and_the_other_way_round():
    """Each is signed with its own word before it, and padded to its own length."""
    assert cause(BACK.ljust(65_536) + DATA + BACK) == "form"
    assert cause(FRONT + DATA + FRONT[:4096]) == "form"


def test_what_is_cut_off_is_not_whole():
    whole = FRONT + DATA + BACK
    for length in (0, 100, 65_535):
        assert cause(whole[:length]) == "truncated"
    assert cause(whole[:65_536]) == "truncated"
    assert cause(whole[:-1]) == "form"
    assert cause(FRONT + DATA) == "form"


@pytest.mark.parametrize("at", [5, 300, 900, 65_535])
def test_a_changed_byte_of_the_manifest_is_seen(at):
    changed = bytearray(FRONT)
    changed[at] ^= 1
    assert cause(bytes(changed) + DATA + BACK) in {"form", "signature", "another", "key"}
