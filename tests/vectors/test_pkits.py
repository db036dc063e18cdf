"""NIST PKITS (from the development dependency cryptography-vectors) through both verifiers, ANDed.

Each message's name says whether its path is valid. Together they let one wrong path through: the test of delta lists,
which we neither issue nor take. What they refuse wrongly are policies and self-issued chains, which we never issue.
"""

import email
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from gateway.pki.paths import OpenSslPath, PathError, RustPath, Trust
from tests.pki.forge import children

DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
AT = datetime(2026, 1, 1, tzinfo=UTC)
# identity.md section 2 measured 1 wrong acceptance and 54 wrong refusals.
ACCEPTED_WRONGLY = {"InvaliddeltaCRLTest4"}
REFUSED_WRONGLY_MAX = 54
pytestmark = pytest.mark.filterwarnings("ignore")


def messages():
    for path in sorted((DATA / "smime").glob("Signed*.eml")):
        name = path.stem.removeprefix("Signed")
        if name.startswith(("Valid", "Invalid")):
            parts = email.message_from_bytes(path.read_bytes()).walk()
            (signature,) = [
                part for part in parts if part.get_content_type() == "application/pkcs7-signature"
            ]
            yield name, signature.get_payload(decode=True)


def leaf_first(der):
    """Return the certificates of a message, its signer's first: the one with the signer's issuer and serial number."""
    found = pkcs7.load_der_pkcs7_certificates(der)
    signed_data = children(children(der)[1])[0]
    signer = children(children(signed_data)[-1])[0]
    issuer, serial = children(children(signer)[1])
    (leaf,) = [
        one
        for one in found
        if one.issuer.public_bytes() == issuer
        and one.serial_number == int.from_bytes(serial[2:], "big")
    ]
    return [leaf, *(one for one in found if one is not leaf)]


def accepts(verifier, chain):
    try:
        verifier.check(chain[0], chain[1:], AT)
    except PathError:
        return False
    return True


def test_both_verifiers_together():
    root = x509.load_der_x509_certificate(
        (DATA / "certs" / "TrustAnchorRootCertificate.crt").read_bytes()
    )
    crls = tuple(
        x509.load_der_x509_crl(path.read_bytes()) for path in sorted((DATA / "crls").glob("*.crl"))
    )
    openssl, rust = OpenSslPath(Trust((root,), crls, "all")), RustPath(Trust((root,)), 8)
    outcome, wrong = Counter(), set()
    for name, der in messages():
        try:
            chain = leaf_first(der)
        except ValueError:  # DSA parameters that are inherited: no library here reads them
            accepted = False
        else:
            accepted = accepts(openssl, chain) and accepts(rust, chain)
        valid = name.startswith("Valid")
        outcome[valid, accepted] += 1
        if accepted and not valid:
            wrong.add(name)
    assert outcome.total() > 200
    assert wrong <= ACCEPTED_WRONGLY
    assert outcome[True, False] <= REFUSED_WRONGLY_MAX
    print(
        {
            ("valid" if valid else "invalid", "accepted" if taken else "refused"): count
            for (valid, taken), count in outcome.items()
        }
    )
