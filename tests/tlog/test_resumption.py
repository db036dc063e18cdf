"""What two officers sign: the bytes, the files, and whether a log continues what was kept."""

import dataclasses
import json
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from gateway.tlog import merkle
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.resumption import (
    Approval,
    Request,
    ResumptionError,
    read_approval,
    read_request,
)
from tests.client.small_gateway import Log

ORIGIN = "gateway.test/audit"


def log_of(count: int, word: str = "entry") -> Log:
    log = Log()
    for number in range(count):
        log.append(f"{word} {number}".encode())
    return log


LOG = log_of(12)
ROOT = {size: merkle.range_root(LOG.node, 0, size) for size in range(13)}


def request(size: int = 12, *proven: int) -> Request:
    proofs = {old: merkle.consistency_path(LOG.node, old, size) for old in proven}
    return Request(ORIGIN, size, ROOT[size], 1_790_000_000_000_000, proofs)


def papers() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key, name, day = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([]),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day)
    return key, builder.sign(key, SHA256())


def code_of(wanted: Request, kept: Checkpoint) -> str:
    with pytest.raises(ResumptionError) as raised:
        wanted.require_continues(kept)
    return raised.value.code


def test_the_statement_is_fixed_and_names_log_head_and_moment() -> None:
    one = Request(ORIGIN, 0, merkle.EMPTY_ROOT, 7, {})
    expected = (
        "sxgw-signer-v1\ngateway.test/audit\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n7\n"
    )
    assert one.statement == expected.encode()
    changes = ({"origin": "x"}, {"size": 1}, {"root": bytes(32)}, {"made_us": 8})
    others = [dataclasses.replace(one, **each) for each in changes]  # type: ignore[arg-type]
    assert len({each.digest for each in (one, *others)}) == 5


def test_a_request_reads_back_and_keeps_its_statement() -> None:
    made = request(12, 4, 7)
    back = read_request(made.encode())
    assert back.statement == made.statement
    for size in (4, 7, 12):
        back.require_continues(Checkpoint(ORIGIN, size, ROOT[size]))


@pytest.mark.parametrize(
    ("kept", "code"),
    [
        (Checkpoint("other/audit", 7, ROOT[7]), "LOG_OTHER"),
        (Checkpoint(ORIGIN, 12, ROOT[12]), "LOG_SHORTENED"),
        (Checkpoint(ORIGIN, 5, ROOT[5]), "PROOF_MISSING"),
        (Checkpoint(ORIGIN, 7, ROOT[8]), "LOG_INCONSISTENT"),
        (Checkpoint(ORIGIN, 10, ROOT[9]), "LOG_INCONSISTENT"),
    ],
)
def test_a_log_that_is_not_the_one_that_was_kept(kept: Checkpoint, code: str) -> None:
    assert code_of(request(10, 7), kept) == code


def test_an_approval_verifies_for_its_key_and_bytes_alone() -> None:
    (key, mine), (_, theirs) = papers(), papers()
    signed = key.sign(request().statement, ec.ECDSA(SHA256()))
    approval = read_approval(Approval("ab" * 32, signed).encode())
    approval.verifies(mine, request().statement)
    for certificate, statement in ((theirs, request().statement), (mine, request(11).statement)):
        with pytest.raises(ResumptionError) as raised:
            approval.verifies(certificate, statement)
        assert raised.value.code == "APPROVAL_SIGNATURE"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_readers(content: bytes) -> None:
    for read in (read_request, read_approval):
        with pytest.raises(ResumptionError):
            read(content)


@pytest.mark.parametrize("size", [-1, "12", 1.5, True, 2**63])
def test_a_size_that_is_none(size: object) -> None:
    document = json.loads(request().encode())
    with pytest.raises(ResumptionError):
        read_request(json.dumps(document | {"size": size}).encode())
