import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import Reason, Refusal
from gateway.pki import csr, profile

CLIENT = profile.load("client")


def request(key, *extensions):
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admin")])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(
        key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    )


def rule(content):
    with pytest.raises(Refusal) as refusal:
        csr.public_key(content, CLIENT)
    assert refusal.value.reason is Reason.FIELD_INVALID
    return refusal.value.violations[0].rule


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_only_the_key_is_taken(encoding):
    """77: what else a request asks for is not even looked at."""
    key = ec.generate_private_key(ec.SECP256R1())
    asked = request(
        key,
        x509.BasicConstraints(ca=True, path_length=9),
        x509.SubjectAlternativeName([x509.DNSName("x.invalid")]),
    )
    assert csr.public_key(asked.public_bytes(encoding), CLIENT) == key.public_key()


def test_a_request_not_signed_with_its_own_key():
    """78."""
    key = ec.generate_private_key(ec.SECP256R1())
    der = bytearray(request(key).public_bytes(Encoding.DER))
    at = der.index(b"admin")
    der[at : at + 5] = b"ADMIN"
    assert rule(bytes(der)) == "csr-signature"


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP521R1()),
    ],
)
def test_weak_keys(key):
    assert rule(request(key).public_bytes(Encoding.PEM)) == "csr-key"


def test_what_is_no_request():
    for content in (
        b"",
        b"hello",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    ):
        assert rule(content) == "csr-encoding"
    assert rule(b"x" * 20_000) == "csr-size"
