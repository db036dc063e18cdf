"""To whom backups are encrypted: rows of `secret`, believed only as far as the log tells of them.

Whoever can write the database could add a recipient of his own and would be sent everything; so a
row counts with the leaf that added it, and one without stops the making of backups.
"""

import hashlib
from collections.abc import Sequence

from pyrage import x25519

from gateway.audit.event import Event
from gateway.backups import sealing
from gateway.backups.errors import BackupError
from gateway.errors import Reason, refuse
from gateway.identity import secret_rows
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret
from gateway.names import SUBJECT_NAME
from gateway.store.database import Transaction
from gateway.tlog import leaf

KIND: Kind = "backup-recipient"
LEAF_KIND = "backup.recipient"
ADD, REMOVE = "add", "remove"
NONE, STRANGE = "BACKUP_NO_RECIPIENT", "BACKUP_RECIPIENT_STRANGE"
_TOLD = "SELECT leaf FROM gateway.audit_entry WHERE kind = %s AND decision = 'allow' ORDER BY idx"


def new() -> tuple[str, str]:
    """Return a private key's line and its recipient, for a machine that is not the gateway."""
    key = x25519.Identity.generate()
    return str(key), str(key.to_public())


async def add(tx: Transaction, name: str, recipient: str, now_us: int) -> Event:
    """Enter a recipient (`age1…`) by a name; return its event.

    Raises FIELD_INVALID, and ALREADY_EXISTS for a name or key in force.
    """
    try:
        key = str(sealing.recipient(recipient))
    except BackupError as error:
        raise refuse(Reason.FIELD_INVALID) from error
    if SUBJECT_NAME.fullmatch(name) is None:
        raise refuse(Reason.FIELD_INVALID)
    if any(name == one.secret.name or key == one.secret.key_id for one in await listed(tx)):
        raise refuse(Reason.ALREADY_EXISTS)
    generation = await secret_rows.next_generation(tx, KIND, name)
    await secret_rows.enter(tx, Kept(Secret(KIND, name, HOST, generation, key), now_us, now_us))
    return _event(ADD, key)


async def remove(tx: Transaction, name: str, now_us: int) -> Event:
    """Encrypt nothing more to a recipient, and return its event; raises NOT_FOUND."""
    found = [one for one in await listed(tx) if one.secret.name == name]
    if not found:
        raise refuse(Reason.NOT_FOUND)
    await secret_rows.turn(tx, found[0].secret, "ended", now_us)
    return _event(REMOVE, found[0].secret.key_id)


async def listed(tx: Transaction) -> list[Kept]:
    """Return the rows in force, whoever wrote them."""
    return [one for one in await secret_rows.in_force(tx) if one.secret.kind == KIND]


async def trusted(tx: Transaction) -> Sequence[str]:
    """Return the recipients that the log tells of, in the order of their names.

    Raises BackupError: BACKUP_NO_RECIPIENT, BACKUP_RECIPIENT_STRANGE where table and log differ.
    """
    on_log: set[str] = set()
    for (content,) in await tx.fetch(_TOLD, (LEAF_KIND,)):
        detail = leaf.parse(bytes(content))["detail"]
        assert isinstance(detail, dict)  # noqa: S101  as `_event` writes it
        digest = str(detail["digest"])
        (on_log.add if detail["step"] == ADD else on_log.discard)(digest)
    keys = [one.secret.key_id for one in await listed(tx)]
    if {_digest(one) for one in keys} != on_log:
        raise BackupError(STRANGE, "the recipients in the database are not those of the log")
    if not keys:
        raise BackupError(NONE, "there is no recipient: 'gateway backup recipient add' first")
    return keys


def _event(step: str, key: str) -> Event:
    return Event(kind=LEAF_KIND, door="host", detail={"step": step, "digest": _digest(key)})


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
