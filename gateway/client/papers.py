"""A client's own key, its certificate request, and whether what was issued for it is usable.

P-256, made here; the private key never leaves. Who issued is not judged: the gateway's front does.
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.clock import from_datetime
from gateway.names import MalformedNameError, Subject, parse_subject

_GROUP = 4


class PapersError(Exception):
    """A key or certificate is not what it must be; the text says what."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a client reads in its certificate; times in microseconds since 1970."""

    serial: str
    subject: Subject
    not_before_us: int
    not_after_us: int
    spki_sha256: str
    sha256: str


def new_key() -> bytes:
    """Return a new private key, PKCS #8 PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request(key: bytes) -> bytes:
    """Return a certificate request for a key, PKCS #10 DER: signed with it, and naming nobody."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(_private(key), hashes.SHA256()).public_bytes(Encoding.DER)


def signed(key: bytes, content: bytes) -> bytes:
    """Return our signature over this: ECDSA with SHA-256, DER; raises PapersError."""
    return _private(key).sign(content, ec.ECDSA(hashes.SHA256()))


def fingerprint(key: bytes) -> str:
    """Return SHA-256 of a private key's SubjectPublicKeyInfo, lower hex."""
    return _spki(_private(key).public_key())


def grouped(digest: str) -> str:
    """Return a hex digest in groups that people can compare."""
    return ":".join(digest[at : at + _GROUP] for at in range(0, len(digest), _GROUP))


def read(content: bytes) -> Certificate:
    """Return what stands in a certificate, PEM or DER; raises PapersError."""
    try:
        pem = b"-----BEGIN" in content
        found = x509.load_pem_x509_certificate(content) if pem else _der(content)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        subject = parse_subject(uri)
    except (ValueError, x509.ExtensionNotFound, MalformedNameError) as error:
        raise PapersError(f"not a certificate of this gateway: {error}") from error
    return Certificate(
        serial=f"{found.serial_number:x}",
        subject=subject,
        not_before_us=from_datetime(found.not_valid_before_utc),
        not_after_us=from_datetime(found.not_valid_after_utc),
        spki_sha256=_spki(found.public_key()),
        sha256=found.fingerprint(hashes.SHA256()).hex(),
    )


def issued(content: bytes, key: bytes, now_us: int) -> tuple[bytes, Certificate]:
    """Return a certificate that was just issued (DER) as PEM, and what stands in it.

    Raises PapersError when it is not of this key, or has ended.
    """
    found = read(content)
    if found.spki_sha256 != fingerprint(key):
        raise PapersError("the certificate is not of our key")
    if found.not_after_us <= now_us:
        raise PapersError("the certificate has ended already; check the clock")
    return _der(content).public_bytes(Encoding.PEM), found


def _der(content: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(content)


def _private(key: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        found = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise PapersError("the private key cannot be read") from error
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise PapersError("the private key is not one that was made here")
    return found


def _spki(key: object) -> str:
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined] # every kind of public key has it
    return hashlib.sha256(encoded).hexdigest()
