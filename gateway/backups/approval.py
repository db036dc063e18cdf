"""Two security officers sign that a backup is put back, and why: no gateway stands to ask them.

Each signs with the key of his certificate, on his own machine, a statement that names the backup by
its manifest's digest. Whether he is one is judged by the register inside the backup itself, before
anything of it is put in place.
"""

from cryptography.hazmat.primitives.hashes import SHA256

from gateway.audit.words import DOTTED
from gateway.backups.errors import BackupError
from gateway.clock import US_PER_S
from gateway.identity.roles import SECURITY_OFFICER
from gateway.store.database import Transaction
from gateway.tlog import restored
from gateway.tlog.note import NoteError
from gateway.tlog.restored import OFFICERS, VALID_S
from gateway.tlog.restored import Consent as Approval

__all__ = ["REFUSED", "Approval", "parse", "require", "statement"]

REFUSED = "BACKUP_NOT_APPROVED"
_OFFICER = (
    "SELECT c.subject_name FROM gateway.certificate AS c"
    " JOIN gateway.organisation AS o ON o.code = c.organisation AND o.parent IS NULL"
    " JOIN gateway.account AS a ON a.organisation = c.organisation AND a.state = 1"
    " AND a.subject_kind = c.subject_kind AND a.subject_name = c.subject_name AND %s = ANY(a.roles)"
    " WHERE c.certificate_sha256 = %s AND c.state = 1 AND c.subject_kind = 'officer'"
    " AND c.not_before_us <= %s AND c.not_after_us > %s"
)


def statement(manifest_sha256: str, cause: str, signed_us: int, until: str = "") -> bytes:
    """Return what an officer signs; raises BackupError for a cause that the log cannot tell."""
    if DOTTED.fullmatch(cause) is None:
        raise BackupError(REFUSED, "the cause is one word, such as disk-lost")
    try:
        return restored.consent_bytes(manifest_sha256, cause, signed_us, until)
    except NoteError as error:
        raise BackupError(REFUSED, str(error)) from error


def parse(content: bytes) -> Approval:
    """Return the approval in a file; raises BackupError (BACKUP_NOT_APPROVED)."""
    try:
        return restored.read_consent(content)
    except NoteError as error:
        raise BackupError(REFUSED, str(error)) from error


async def require(
    tx: Transaction, approvals: list[Approval], of: tuple[str, str], now_us: int
) -> str:
    """Return the cause on which two officers of the restored register agree.

    `of` is the backup by its manifest's digest, and the second that it is restored to.
    Raises BackupError (BACKUP_NOT_APPROVED): fewer than two persons, another backup, different
    causes, a signature that is not theirs, longer ago than a day.
    """
    persons = {await _person(tx, one, now_us) for one in approvals}
    if any((one.manifest_sha256, one.until) != of for one in approvals):
        raise BackupError(REFUSED, "an approval is of another backup, or another time")
    causes = {one.cause for one in approvals}
    if len(persons) < OFFICERS or len(causes) != 1:
        raise BackupError(REFUSED, "two security officers sign for one cause")
    return causes.pop()


async def _person(tx: Transaction, one: Approval, now_us: int) -> str:
    if not 0 <= now_us - one.signed_us <= VALID_S * US_PER_S:
        raise BackupError(REFUSED, "an approval is not of the last 24 hours")
    try:
        certificate = one.require_signed()
    except NoteError as error:
        raise BackupError(REFUSED, str(error)) from error
    digest = certificate.fingerprint(SHA256())
    row = await tx.fetch_one(_OFFICER, (SECURITY_OFFICER, digest, one.signed_us, one.signed_us))
    if row is None:
        raise BackupError(REFUSED, "who signed is no security officer of the restored register")
    return str(row[0])
