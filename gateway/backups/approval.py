"""Two security officers sign that a backup is put back, and why: no gateway stands to ask them.

Each signs with the key of his certificate, on his own machine, a statement that names the backup by
its manifest's digest. Whether he is one is judged by the register inside the backup itself, before
anything of it is put in place.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.audit.words import DOTTED
from gateway.backups.errors import BackupError
from gateway.clock import US_PER_S
from gateway.identity.roles import SECURITY_OFFICER
from gateway.store.database import Transaction
from gateway.tlog import leaf
from gateway.tlog.leaf import LeafError

FORMAT = "sxgw-restore-v1"
REFUSED = "BACKUP_NOT_APPROVED"
OFFICERS = 2
_UNTIL = re.compile(r"end|[0-9T:.+Z-]{10,40}", re.ASCII)
# A restore is a matter of hours; an approval that lay about for longer is not of this one.
VALID_S = 86_400
_OFFICER = (
    "SELECT c.subject_name FROM gateway.certificate AS c"
    " JOIN gateway.organisation AS o ON o.code = c.organisation AND o.parent IS NULL"
    " JOIN gateway.account AS a ON a.organisation = c.organisation AND a.state = 1"
    " AND a.subject_kind = c.subject_kind AND a.subject_name = c.subject_name AND %s = ANY(a.roles)"
    " WHERE c.certificate_sha256 = %s AND c.state = 1 AND c.subject_kind = 'officer'"
    " AND c.not_before_us <= %s AND c.not_after_us > %s"
)


@dataclass(frozen=True, slots=True)
class Approval:
    """An officer's: which backup, why (a word of lower-case letters, dots and dashes), when.

    `until` is the second that it is restored to, as the command has it; "" for the backup alone.
    """

    manifest_sha256: str
    cause: str
    signed_us: int
    certificate: bytes
    signature: bytes
    until: str = ""

    def statement(self) -> bytes:
        """Return the bytes that are signed."""
        return statement(self.manifest_sha256, self.cause, self.signed_us, self.until)

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return leaf.encode(
            {
                "format": FORMAT,
                "manifest_sha256": self.manifest_sha256,
                "cause": self.cause,
                "signed_us": self.signed_us,
                "certificate": base64.b64encode(self.certificate).decode(),
                "signature": base64.b64encode(self.signature).decode(),
                **({"until": self.until} if self.until else {}),
            }
        )


def statement(manifest_sha256: str, cause: str, signed_us: int, until: str = "") -> bytes:
    """Return what an officer signs; raises BackupError for a cause that the log cannot tell."""
    if DOTTED.fullmatch(cause) is None:
        raise BackupError(REFUSED, "the cause is one word, such as disk-lost")
    if until and _UNTIL.fullmatch(until) is None:
        raise BackupError(REFUSED, "a time is written as 2026-11-26T02:00:00+08:00")
    last = f"{until}\n" if until else ""
    return f"{FORMAT}\n{manifest_sha256}\n{cause}\n{signed_us}\n{last}".encode("ascii")


def parse(content: bytes) -> Approval:
    """Return the approval in a file; raises BackupError (BACKUP_NOT_APPROVED)."""
    try:
        told = leaf.parse(content)
        if told["format"] != FORMAT:
            raise BackupError(REFUSED, "an approval is of another form")
        return Approval(
            str(told["manifest_sha256"]),
            str(told["cause"]),
            int(str(told["signed_us"])),
            base64.b64decode(str(told["certificate"]), validate=True),
            base64.b64decode(str(told["signature"]), validate=True),
            str(told.get("until", "")),
        )
    except (LeafError, KeyError, ValueError, binascii.Error) as error:
        raise BackupError(REFUSED, "an approval is malformed") from error


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
        certificate = x509.load_der_x509_certificate(one.certificate)
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BackupError(REFUSED, "an approval's certificate has another kind of key")
        key.verify(one.signature, one.statement(), ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature) as error:
        raise BackupError(REFUSED, "an approval is not signed by its certificate") from error
    digest = certificate.fingerprint(SHA256())
    row = await tx.fetch_one(_OFFICER, (SECURITY_OFFICER, digest, one.signed_us, one.signed_us))
    if row is None:
        raise BackupError(REFUSED, "who signed is no security officer of the restored register")
    return str(row[0])
