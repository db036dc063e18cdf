"""A signature counts by the certificate that an authority of ours issued, not by what a row says of it."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.clock import SYSTEM
from gateway.config import folders
from gateway.config.home import Home
from gateway.names import Subject
from gateway.pki import ceremony, issue
from gateway.pki.issuers import Issuers
from gateway.policy.signing import signers, verifies

SIGNED = b"these bytes"
DOMAIN = "sx.example"


@pytest.fixture
def place(tmp_path):
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    authority = ceremony.found(home, DOMAIN, ["127.0.0.1"], SYSTEM.now_us())
    return Issuers(home, DOMAIN), authority


def row(authority, name="zhao", kind="officer", organisation="140000", **changes):
    """What the register and the signature say of somebody."""
    key, now_us = ec.generate_private_key(ec.SECP256R1()), SYSTEM.now_us()
    subject = Subject(DOMAIN, organisation, kind, name)
    certificate = issue.client_certificate(authority, subject, key.public_key(), now_us)
    told = {
        "person": name,
        "account": "",
        "sha256": b"",
        "signature": key.sign(SIGNED, ec.ECDSA(SHA256())),
        "signed_us": now_us,
        "pem": ceremony.pem(certificate).decode(),
        "organisation": "140000",
        "provincial": True,
    }
    return tuple({**told, **changes}.values())


def test_two_officers_are_two_and_one_twice_is_one(place):
    issuers, authority = place
    rows = [row(authority), row(authority), row(authority, "qian")]
    assert signers(rows, SIGNED, issuers) == {"zhao", "qian"}
    assert signers(rows, b"other bytes", issuers) == set()


def test_the_certificate_says_who_it_is(place):
    issuers, authority = place
    for one in (
        row(authority, provincial=False),
        row(authority, person="qian"),
        row(authority, kind="sys"),
        row(authority, organisation="140100"),
        row(authority, signed_us=SYSTEM.now_us() - 10**12),
        row(authority, signature=None),
    ):
        assert signers([one], SIGNED, issuers) == set()


def test_a_certificate_of_another_kind_of_key_signs_nothing(place):
    _, authority = place
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    name = x509.Name([])
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(1))
    for certificate in (built.sign(key, SHA256()), authority.certificate):
        for signature in (b"", None, b"x" * 64, b"x" * 900):
            assert not verifies(certificate, SIGNED, signature)
