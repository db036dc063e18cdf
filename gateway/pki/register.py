"""The register of issued certificates: the table `certificate`, read by the front and the doors.

A certificate that is not in it is not let in, whoever signed it; a row is never deleted. Times are
microseconds, digests 32 bytes, serials lower hex.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_pem_x509_certificate

from gateway.clock import from_datetime
from gateway.errors import Reason, Violation, refuse
from gateway.names import Subject, SubjectKind
from gateway.pki import defect
from gateway.pki.defect import Life
from gateway.pki.verify import serial_text, verified
from gateway.registry import organisations, systems
from gateway.store.database import StoreError, Transaction

ACTIVE = defect.ACTIVE
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
# Many issue at a time, one revokes: what is under way when a revocation begins is waited for.
_ISSUING = (
    "SELECT set_config('idle_in_transaction_session_timeout', %s, true),"
    " pg_advisory_xact_lock_shared(hashtextextended('gateway.certificate', 0))"
)
_REVOKING = "SELECT pg_advisory_xact_lock(hashtextextended('gateway.certificate', 0))"
_PATIENCE = "SELECT set_config('lock_timeout', %s, true)"
# An issuance takes some 10 ms, a group of 64 less than a second. Whose process stands still within
# one for so long is thrown out by the server, and what it had under way is undone; a revocation
# has the patience for that.
STILL_MS, PATIENCE_MS = 3_000, 4_000
_LOCK_TIMEOUT = "55P03"
# Whose key it is, is decided for one request at a time.
_KEY_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_KEY_OF_ANOTHER = (
    "SELECT 1 FROM gateway.certificate WHERE spki_sha256 = %s"
    " AND (organisation, subject_kind, subject_name) <> (%s, %s, %s) LIMIT 1"
)
# What waits for its first use in a lineage above a generation is no former key, but the next one.
_KEY_SEEN = (
    "SELECT 1 FROM gateway.certificate WHERE spki_sha256 = %s AND NOT"
    " (lineage = %s AND generation > %s AND state = 1 AND first_used_us IS NULL) LIMIT 1"
)
_COLUMNS = (
    "c.serial, c.organisation, c.subject_kind, c.subject_name, c.certificate_sha256,"
    " c.not_before_us, c.not_after_us, c.state, c.revoked_us, c.reason, c.purpose, c.generation,"
    " c.first_used_us, c.lineage, l.locked_us, c.issuer_sha256"
    " FROM gateway.certificate AS c JOIN gateway.lineage AS l ON l.id = c.lineage"
)
# Constants only, here and below: no value ever stands in the text.
_LIST = f"SELECT {_COLUMNS} ORDER BY c.not_before_us, c.serial"
_READ = f"SELECT {_COLUMNS} WHERE c.serial = %s"
_PAGE = (
    f"SELECT {_COLUMNS} WHERE (c.not_before_us, c.serial) < (%s, %s)"
    " AND (%s = '' OR c.organisation = %s)"
    " AND (%s OR c.state = 1 AND l.locked_us IS NULL AND c.not_after_us > %s)"
    " ORDER BY c.not_before_us DESC, c.serial DESC LIMIT %s"
)
_ISSUED = "SELECT pem, issuer_sha256, generation FROM gateway.certificate WHERE serial = %s"
# What a page of a list holds at most (design/contract.md, "Pagination").
MOST_CERTIFICATES = 1000
_NONE = b""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A system ("sys") or a person ("officer") of an organisation, as the register knows it."""

    organisation: str
    kind: SubjectKind
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """A certificate of the register, without its PEM.

    `revoked_us` is when it was revoked or superseded, `locked_us` when its lineage was locked.
    """

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
    purpose: Purpose
    generation: int
    first_used_us: int | None
    lineage: bytes
    locked_us: int | None
    issuer_sha256: bytes | None

    @property
    def bearer(self) -> Bearer:
        """Who holds its key."""
        return Bearer(self.organisation, self.subject_kind, self.subject_name)

    @property
    def life(self) -> Life:
        """Where it stands."""
        return Life(
            self.state,
            self.not_before_us,
            self.not_after_us,
            self.revoked_us,
            self.first_used_us,
            self.locked_us,
            self.lineage,
            self.generation,
            self.issuer_sha256,
        )


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that stands in the register; `issuer_sha256` None: of our oldest authority."""

    certificate: Certificate
    issuer_sha256: bytes | None
    generation: int

    @property
    def serial(self) -> str:
        """Its serial, lower hex."""
        return serial_text(self.certificate.serial_number)


@dataclass(frozen=True, slots=True)
class Line:
    """A place in a lineage: its id (16 bytes), and which certificate of it, from 1."""

    id: bytes
    generation: int


async def issuing(tx: Transaction) -> None:
    """Hold revocation off until this transaction ends; called before it reads what it decides by.

    Otherwise what it issues could stay in force: a revocation does not see what is not committed.
    From here on the transaction may not stand still for longer than STILL_MS.
    """
    await tx.fetch(_ISSUING, (f"{STILL_MS}ms",))


async def revoking(tx: Transaction) -> bool:
    """Wait for what is being issued, hold off what would be until this one ends; return whether.

    Not for ever: an issuer that was taken over sets itself no limit (`issuing`), and must not keep
    anybody from revoking what there is.
    """
    await tx.execute("SAVEPOINT revoking")
    try:
        await tx.fetch(_PATIENCE, (f"{PATIENCE_MS}ms",))
        await tx.fetch(_REVOKING)
    except StoreError as error:
        if error.sqlstate != _LOCK_TIMEOUT:
            raise
        await tx.execute("ROLLBACK TO SAVEPOINT revoking")
        return False
    await tx.execute("SET LOCAL lock_timeout TO DEFAULT")
    return True


async def insert(
    tx: Transaction,
    certificate: Certificate,
    subject: Subject,
    issuer_sha256: bytes | None = None,
    *,
    line: Line | None = None,
    purpose: Purpose = TLS,
) -> Issued:
    """Enter a certificate that was issued to this subject; the caller has judged it.

    `issuer_sha256` is the authority's `keys.spki_sha256`; without a `line` a new lineage begins.
    Raises FIELD_INVALID when the key was certified for another subject before: two bearers of one
    key cannot be told apart.
    """
    value = verified(certificate, subject)
    holder = (subject.organisation, subject.kind, subject.name)
    await tx.execute(_KEY_LOCK, (value.spki_sha256.hex(),))
    if await tx.fetch_one(_KEY_OF_ANOTHER, (value.spki_sha256, *holder)):
        raise refuse(Reason.FIELD_INVALID, metadata={"rule": "key-of-another"})
    not_before_us = from_datetime(certificate.not_valid_before_utc)
    if line is None:
        line = Line(secrets.token_bytes(_LINEAGE_BYTES), 1)
        await tx.execute(_LINEAGE, (line.id, *holder, purpose, not_before_us))
    pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
    row = (
        *(value.serial, *holder, value.spki_sha256, value.sha256),
        *(not_before_us, value.not_after_us, ACTIVE, pem),
        *(line.id, line.generation, purpose, issuer_sha256),
    )
    await tx.execute(_INSERT, row)
    return Issued(certificate, issuer_sha256, line.generation)


async def require_active(tx: Transaction, bearer: Bearer) -> None:
    """Pass a registered bearer that may come in.

    Raises NOT_FOUND, ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED.
    """
    organisation = await organisations.read(tx, bearer.organisation)
    system = await systems.read(tx, bearer.organisation, bearer.kind, bearer.name)
    if organisation is None or system is None:
        raise refuse(Reason.NOT_FOUND)
    if not organisation.active:
        raise refuse(Reason.ORGANISATION_SUSPENDED)
    if not system.active:
        raise refuse(Reason.SYSTEM_SUSPENDED)


async def require_new_key(tx: Transaction, spki_sha256: bytes, line: Line | None = None) -> None:
    """Pass a key that nobody had a certificate for, not even the same bearer; raises FIELD_INVALID.

    `line` is the place of the certificate that is renewed: what follows it unused does not count.
    """
    await tx.execute(_KEY_LOCK, (spki_sha256.hex(),))
    place = (_NONE, 0) if line is None else (line.id, line.generation)
    if await tx.fetch_one(_KEY_SEEN, (spki_sha256, *place)):
        english, chinese = (
            "This key had a certificate before: make a new one.",
            "请使用全新的密钥。",
        )
        violation = Violation("csr", "csr-key-seen", english, chinese)
        raise refuse(Reason.FIELD_INVALID, violations=(violation,))


async def rows(tx: Transaction) -> list[Row]:
    """Return every certificate ever issued, oldest first."""
    return [Row(*columns) for columns in await tx.fetch(_LIST)]


def last_of_each(rows: Iterable[Row]) -> list[Row]:
    """Return of each bearer and purpose what is in force and ends last; the first end first."""
    last: dict[tuple[Bearer, Purpose], Row] = {}
    for row in rows:
        key, usable = (row.bearer, row.purpose), row.state == ACTIVE and row.locked_us is None
        if usable and (key not in last or row.not_after_us > last[key].not_after_us):
            last[key] = row
    return sorted(last.values(), key=lambda row: row.not_after_us)


async def read(tx: Transaction, serial: str) -> Row | None:
    """Return the certificate of a serial (lower hex), or None."""
    columns = await tx.fetch_one(_READ, (serial,))
    return None if columns is None else Row(*columns)


async def issued(tx: Transaction, serial: str) -> Issued:
    """Return the certificate of a serial itself, to be answered once more; raises NOT_FOUND."""
    columns = await tx.fetch_one(_ISSUED, (serial,))
    if columns is None:
        raise refuse(Reason.NOT_FOUND)
    pem, issuer_sha256, generation = columns
    return Issued(load_pem_x509_certificate(pem.encode("ascii")), issuer_sha256, generation)


async def page(
    tx: Transaction,
    organisation: str,
    before: tuple[int, str],
    limit: int,
    in_force_us: int | None = None,
) -> list[Row]:
    """Return at most `limit` certificates older than (not_before_us, serial), newest first.

    Organisation "" means all of them; `in_force_us` leaves out what is not in force at that moment.
    """
    of = (*before, organisation, organisation, in_force_us is None, in_force_us or 0)
    return [Row(*one) for one in await tx.fetch(_PAGE, (*of, min(limit, MOST_CERTIFICATES)))]
