"""The register of issued certificates: the table `certificate`, read by the front and the doors.

A certificate that is not in it is not let in, whoever signed it; a row is never deleted. Times are
microseconds, digests 32 bytes, serials lower hex.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from gateway.clock import from_datetime
from gateway.errors import Reason, refuse
from gateway.names import Subject, SubjectKind
from gateway.pki.verify import verified
from gateway.store.database import Transaction

ACTIVE = 1
REVOKED = 2

_INSERT = (
    "INSERT INTO gateway.certificate (serial, organisation, subject_kind, subject_name,"
    " spki_sha256, certificate_sha256, not_before_us, not_after_us, state, pem)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_KEY_OF_ANOTHER = (
    "SELECT 1 FROM gateway.certificate WHERE spki_sha256 = %s"
    " AND (organisation, subject_kind, subject_name) <> (%s, %s, %s) LIMIT 1"
)
_LIST = (
    "SELECT serial, organisation, subject_kind, subject_name, certificate_sha256, not_before_us,"
    " not_after_us, state, revoked_us, reason FROM gateway.certificate"
    " ORDER BY not_before_us, serial"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A certificate of the register, without its PEM."""

    serial: str
    organisation: str
    subject_kind: SubjectKind
    subject_name: str
    certificate_sha256: bytes
    not_before_us: int
    not_after_us: int
    state: int
    revoked_us: int | None
    reason: str | None


async def insert(tx: Transaction, certificate: Certificate, subject: Subject) -> None:
    """Enter a certificate that was issued to this subject; the caller has judged it.

    Raises FIELD_INVALID when the key was certified for another subject before: two bearers of one
    key cannot be told apart.
    """
    value = verified(certificate, subject)
    holder = (subject.organisation, subject.kind, subject.name)
    if await tx.fetch_one(_KEY_OF_ANOTHER, (value.spki_sha256, *holder)):
        raise refuse(Reason.FIELD_INVALID, metadata={"rule": "key-of-another"})
    await tx.execute(
        _INSERT,
        (
            value.serial,
            *holder,
            value.spki_sha256,
            value.sha256,
            from_datetime(certificate.not_valid_before_utc),
            value.not_after_us,
            ACTIVE,
            certificate.public_bytes(Encoding.PEM).decode("ascii"),
        ),
    )


async def rows(tx: Transaction) -> list[Row]:
    """Return every certificate ever issued, oldest first."""
    return [Row(*row) for row in await tx.fetch(_LIST)]
