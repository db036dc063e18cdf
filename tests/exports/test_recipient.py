"""Only an encryption certificate is encrypted to, and its header and payload lie apart."""

import datetime as dt
import io

import pyrage
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.client.tagged import decrypt
from gateway.clock import SYSTEM
from gateway.exports import recipient
from gateway.exports.recipient import RecipientError
from tests.exports.shipping import a_reader, sealed
from tests.pki.forge import Ca
from tests.pki.variations import good, variations


def test_header_and_payload_are_an_age_file():
    wu = a_reader()
    content = bytes(range(256)) * 1000
    header, payload = sealed(content, wu)
    assert header.startswith(b"age-encryption.org/v1\n-> p256tag ")
    assert header.endswith(b"\n")
    assert b"".join(decrypt(header, io.BytesIO(payload), wu.key)) == content
    # Nonce, chunks of 64 KiB and their tags: nothing of the header is in it.
    assert len(payload) == 16 + len(content) + 16 * -(-len(content) // 65536)


def test_the_name_is_the_one_that_age_reads():
    """pyrage parses it strictly: prefix, checksum, a point on the curve."""
    for _ in range(20):
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        name = recipient._name(key)
        assert str(pyrage.tag.Recipient.from_str(name)) == name


def test_two_files_have_nothing_in_common():
    wu = a_reader()
    (one, first), (other, second) = sealed(b"x" * 100, wu), sealed(b"x" * 100, wu)
    assert one != other
    assert first != second


def self_made(key, usage=None, days=90):
    """A certificate that somebody made himself, with this key usage."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = dt.datetime(2026, 9, 21, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + dt.timedelta(days=days),
    )
    return builder.sign(key, SHA256())


def test_attack_54_a_certificate_for_something_else_is_not_encrypted_to():
    """For connections, of another curve, RSA, self-made: none of them gets a byte."""
    connecting = a_reader("client")
    others = [
        self_made(ec.generate_private_key(ec.SECP384R1())),
        self_made(rsa.generate_private_key(65537, 2048)),
        self_made(ec.generate_private_key(ec.SECP256R1())),
    ]
    for certificate in (connecting.certificate, *others):
        parts = []
        with pytest.raises(RecipientError):
            recipient.encrypt(certificate, io.BytesIO(b"secret"), parts.append)
        assert parts == []
    wu = a_reader()
    header, payload = sealed(b"secret", wu)
    assert b"".join(decrypt(header, io.BytesIO(payload), wu.key)) == b"secret"


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


# What only a second verifier sees is judged when a certificate is issued and entered.
WRONG = [
    pytest.param(varied, id=varied.name)
    for varied in variations("encryption")
    if varied.rule not in {"encoding", "openssl", "cryptography"}
]


@pytest.mark.parametrize("varied", WRONG)
def test_attack_54_one_property_other_than_the_profiles(ca, varied):
    """Another curve, digitalSignature beside keyAgreement, a name too many: the rule says which."""
    certificate = x509.load_der_x509_certificate(varied.make(ca, good(ca, "encryption")))
    with pytest.raises(RecipientError):
        recipient.key_of(certificate)


class Failing(io.RawIOBase):
    def read(self, size=-1):
        raise TimeoutError("the source is gone")


def test_the_error_of_the_source_and_of_the_disk_come_through():
    wu = a_reader()
    with pytest.raises(TimeoutError, match="the source is gone"):
        recipient.encrypt(wu.certificate, Failing(), lambda _: None)

    def full(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        recipient.encrypt(wu.certificate, io.BytesIO(b"x" * 200_000), full)


def test_what_is_no_age_file_is_no_header():
    split = recipient._Split(lambda _: None)
    with pytest.raises(RecipientError):
        split.write(b"x" * 10_000)
    assert split.header == b""


def test_the_header_is_found_however_it_comes():
    header, payload = sealed(b"x" * 70_000, a_reader())
    for size in (1, 7, 300, 5000):
        parts = []
        split = recipient._Split(parts.append)
        whole = header + payload
        for at in range(0, len(whole), size):
            split.write(whole[at : at + size])
        assert split.header == header
        assert b"".join(parts) == payload
