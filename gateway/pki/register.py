"""The register of issued certificates: the table `certificate`, read by the front and the doors.

A certificate that is not in it is not let in, whoever signed it; a row is never deleted. Times are
microseconds, digests 32 bytes, serials lower hex.
"""

import secrets
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from gateway.clock import from_datetime
from gateway.errors import Reason, refuse
from gateway.names import Subject, SubjectKind
from gateway.pki.verify import verified
from gateway.store.database import Transaction

ACTIVE = 1
REVOKED = 2
SUPERSEDED = 3
# What a certificate is for; the numbers of CertificatePurpose in the contract.
Purpose = Literal[1, 2]
TLS: Purpose = 1
ENCRYPTION: Purpose = 2
_LINEAGE_BYTES = 16

_INSERT = (
    "INSERT INTO gateway.certificate (serial, organisation, subject_kind, subject_name,"
    " spki_sha256, certificate_sha256, not_before_us, not_after_us, state, pem, lineage,"
    " generation, purpose, issuer_sha256)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_LINEAGE = (
    "INSERT INTO gateway.lineage"
    " (id, organisation, subject_kind, subject_name, purpose, created_us)"
    " VALUES (%s, %s, %s, %s, %s, %s)"
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


@dataclass(frozen=True, slots=True)
class Line:
    """A place in a lineage: its id (16 bytes), and which certificate of it, from 1."""

    id: bytes
    generation: int


async def insert(
    tx: Transaction,
    certificate: Certificate,
    subject: Subject,
    issuer_sha256: bytes | None = None,
    *,
    line: Line | None = None,
    purpose: Purpose = TLS,
) -> None:
    """Enter a certificate that was issued to this subject; the caller has judged it.

    `issuer_sha256` is the authority's `keys.spki_sha256`; without a `line` a new lineage begins.
    Raises FIELD_INVALID when the key was certified for another subject before: two bearers of one
    key cannot be told apart.
    """
    value = verified(certificate, subject)
    holder = (subject.organisation, subject.kind, subject.name)
    if await tx.fetch_one(_KEY_OF_ANOTHER, (value.spki_sha256, *holder)):
        raise refuse(Reason.FIELD_INVALID, metadata={"rule": "key-of-another"})
    not_before_us = from_datetime(certificate.not_valid_before_utc)
    if line is None:
        line = Line(secrets.token_bytes(_LINEAGE_BYTES), 1)
        await tx.execute(_LINEAGE, (line.id, *holder, purpose, not_before_us))
    await tx.execute(
        _INSERT,
        (
            value.serial,
            *holder,
            value.spki_sha256,
            value.sha256,
            not_before_us,
            value.not_after_us,
            ACTIVE,
            certificate.public_bytes(Encoding.PEM).decode("ascii"),
            line.id,
            line.generation,
            purpose,
            issuer_sha256,
        ),
    )


async def rows(tx: Transaction) -> list[Row]:
    """Return every certificate ever issued, oldest first."""
    return [Row(*row) for row in await tx.fetch(_LIST)]
