"""What is signed is what was read: the same bytes, the digest of them, and no field that is not shown."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.client import papers
from gateway.client.approving import FIELDS, PlanMismatchError, read, sign, statement
from gateway.client.profile import Profile
from gateway.exports import approval
from gateway.v1.export_service_pb2 import ExportTicket
from tests.exports.tickets import PLAN

CONTENT = PLAN.canonical()


def ticket(content=CONTENT, sha256=""):
    digest = sha256 or hashlib.sha256(content).hexdigest()
    return ExportTicket(ticket_id="EX-00000001", plan=content, plan_sha256=digest)


def test_a_plan_is_read_out_of_its_own_bytes():
    shown = read(ticket())
    assert shown.sha256 == PLAN.sha256
    assert set(shown.fields) == set(FIELDS)
    assert shown.fields["purpose"] == "survey"
    assert statement(shown) == approval.statement("EX-00000001", PLAN.sha256)


@pytest.mark.parametrize(
    ("content", "sha256"),
    [
        (CONTENT, "0" * 64),
        (CONTENT + b" ", ""),
        (b"", ""),
        (b"[]", ""),
        (CONTENT.replace(b'"version":1', b'"version":2'), ""),
        (
            json.dumps(
                {**json.loads(CONTENT), "also": "everything"}, sort_keys=True, separators=(",", ":")
            ).encode(),
            "",
        ),
        (CONTENT.replace(b'"units":[],', b""), ""),
    ],
)
def test_other_bytes_are_not_shown(content, sha256):
    with pytest.raises(PlanMismatchError):
        read(ticket(content, sha256))


def test_the_signature_is_the_profiles_keys(tmp_path, monkeypatch):
    key = papers.new_key()
    path = tmp_path / "key.pem"
    path.write_bytes(key)
    monkeypatch.setattr(Profile, "key", property(lambda _: path))
    shown = read(ticket())
    signature = sign(Profile(tmp_path, None), shown)
    public = load_pem_private_key(key, None).public_key()
    public.verify(signature, approval.statement("EX-00000001", PLAN.sha256), ec.ECDSA(SHA256()))
