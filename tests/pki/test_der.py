import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM
from gateway.pki import crl, der
from tests.pki.forge import Ca, integer, x509_pem


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


def test_pem_and_der_one_and_several(ca):
    good, root = ca.good().chain[0], ca.root.certificate.public_bytes(Encoding.DER)
    assert len(der.certificates(good)) == 1
    assert len(der.certificates(b"text before\n" + x509_pem(good) + x509_pem(root))) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n@@@\n-----END CERTIFICATE-----\n",
        b"hello",
        b"\x30\x00",
    ],
)
def test_what_is_no_certificate(content):
    with pytest.raises(der.MalformedError):
        der.certificates(content)


def test_an_error_never_quotes_the_content(ca):
    secret = b"canary" * 20
    with pytest.raises(der.MalformedError) as error:
        der.certificate(secret)
    assert "canary" not in str(error.value)


@pytest.mark.parametrize("octets", [b"\x00", b"\x00\x00", b"\x80", b"\xff" * 16, b"\x01" * 21])
def test_serials_that_the_standard_forbids(ca, octets):
    with pytest.raises(der.MalformedError, match="serial"):
        der.certificate(ca.changed(serial=integer(octets)).chain[0])


def test_the_longest_serial(ca):
    found = der.certificate(ca.changed(serial=integer(b"\x7f" * 20)).chain[0])
    assert found.serial_number.bit_length() == 159


def test_each_prefix_is_malformed_and_nothing_else_is_raised(ca):
    good = ca.good().chain[0]
    for length in range(0, len(good), 7):
        with pytest.raises(der.MalformedError):
            der.certificate(good[:length])


def test_lists(ca):
    made = crl.build(ca.client, [], 3, ca.now_us)
    for encoding in (Encoding.PEM, Encoding.DER):
        assert (
            der.revocation_list(made.public_bytes(encoding)).issuer == ca.client.certificate.subject
        )
    with pytest.raises(der.MalformedError):
        der.revocation_list(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")


def test_several_lists_in_one_file_in_their_order(ca):
    made = [crl.build(ca.client, [], number, ca.now_us) for number in (3, 4)]
    both = b"".join(one.public_bytes(Encoding.PEM) for one in made)
    assert der.revocation_lists(both) == made
    assert der.revocation_lists(made[0].public_bytes(Encoding.DER)) == made[:1]
    with pytest.raises(der.MalformedError):
        der.revocation_lists(both.replace(b"M", b"@", 1))
    with pytest.raises(der.MalformedError):
        der.revocation_lists(b"")
