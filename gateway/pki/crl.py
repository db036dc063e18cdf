"""Revocation lists (RFC 5280 section 5): built, numbered, put in place of the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, CertificateRevocationList

from gateway.clock import to_datetime
from gateway.config.folders import replace_public
from gateway.pki.der import MalformedError
from gateway.pki.issue import Authority

# The first list of a HOME; those after it live as long as the policy says. One that is not renewed
# stops everybody at its end: OpenSSL's errno 12, our CRL_STALE.
NEXT_UPDATE = timedelta(hours=24)
# Clocks differ: a list is valid from a little before it is made.
BACKDATE = timedelta(minutes=5)

# RFC 5280 section 5.3.1: the reasons an officer may give.
REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation": x509.ReasonFlags.cessation_of_operation,
    "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
}


@dataclass(frozen=True, slots=True)
class Revoked:
    """An entry of the list: serial in lower hex, when (microseconds), and one of REASONS."""

    serial: str
    revoked_us: int
    reason: str


def build(
    authority: Authority,
    revoked: list[Revoked],
    number: int,
    now_us: int,
    valid: timedelta = NEXT_UPDATE,
) -> CertificateRevocationList:
    """Return a signed list of these certificates with this CRLNumber (RFC 5280 section 5.2.3)."""
    start = to_datetime(now_us).replace(microsecond=0)
    own = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        # At once: adding them one by one copies the list each time.
        x509.CertificateRevocationListBuilder(revoked_certificates=[_entry(one) for one in revoked])
        .issuer_name(authority.certificate.subject)
        .last_update(start - BACKDATE)
        .next_update(start + valid)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False
        )
    )
    return builder.sign(authority.key, hashes.SHA256())


def number_of(crl: CertificateRevocationList) -> int:
    """Return the CRLNumber; raises MalformedError when there is none."""
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise MalformedError("a revocation list without number") from error


def of(
    authority: Certificate, lists: Sequence[CertificateRevocationList]
) -> CertificateRevocationList | None:
    """Return the first of these lists that an authority signed, or None."""
    key = authority.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return None
    named = (one for one in lists if one.issuer == authority.subject)
    return next((one for one in named if one.is_signature_valid(key)), None)


def write(path: Path, *lists: CertificateRevocationList) -> None:
    """Put lists in place of those there, at once: a reader sees the old or the new ones."""
    replace_public(path, b"".join(one.public_bytes(Encoding.PEM) for one in lists))


def _entry(one: Revoked) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(int(one.serial, 16))
        .revocation_date(to_datetime(one.revoked_us).replace(microsecond=0))
    )
    flag = REASONS[one.reason]
    # RFC 5280 section 5.3.1: "unspecified" is said by leaving the reason out.
    if flag is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    return builder.build()
