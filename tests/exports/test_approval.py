"""A signature is of one certificate, over one ticket and one plan."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from gateway.errors import Reason, Refusal
from gateway.exports.approval import signed_by, statement, verify
from gateway.tlog.ecdsa import SIGNATURE_MAX
from tests.exports.shipping import a_reader

PLAN, OTHER = "ab" * 32, "cd" * 32
SIGNED = statement("EX-00000001", PLAN)


def test_what_is_signed_names_ticket_and_plan() -> None:
    assert b"sxgw-approve-v1\nEX-00000001\n" + PLAN.encode() + b"\n" == SIGNED


def test_the_certificates_own_signature_verifies_and_no_other() -> None:
    signer = a_reader("client")
    good = signer.key.sign(SIGNED, ec.ECDSA(SHA256()))
    assert len(good) <= SIGNATURE_MAX
    verify(signer.certificate, SIGNED, good)
    assert signed_by(signer.certificate, SIGNED, good)
    bad = (
        *(b"", b"x", good[:-1], good + b"\0", good * 100),
        signer.key.sign(statement("EX-00000002", PLAN), ec.ECDSA(SHA256())),
        signer.key.sign(statement("EX-00000001", OTHER), ec.ECDSA(SHA256())),
        signer.key.sign(SIGNED, ec.ECDSA(SHA384())),
        ec.generate_private_key(ec.SECP256R1()).sign(SIGNED, ec.ECDSA(SHA256())),
    )
    for signature in bad:
        with pytest.raises(Refusal) as raised:
            verify(signer.certificate, SIGNED, signature)
        assert raised.value.reason is Reason.APPROVAL_SIGNATURE
        assert not signed_by(signer.certificate, SIGNED, signature)
