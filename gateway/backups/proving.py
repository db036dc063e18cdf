"""Whether a restored database is what the manifest says: its rows, its secrets, and the whole log.

1 rows      of those tables that lose none, as many as were counted or more
2 epoch     no revocation that was known is forgotten
3 secrets   each has its file, where the database goes on after HOME was read
4 log       each leaf hashed anew: the root that was signed at its size, and the head
"""

from gateway.audit import log
from gateway.backups.errors import BackupError
from gateway.backups.making import MOVED
from gateway.backups.manifest import Manifest
from gateway.backups.untar import DAMAGED
from gateway.config.home import Home
from gateway.identity import inventory, secret_rows
from gateway.store.database import Transaction
from gateway.tlog import checkpoint, note
from gateway.tlog.frontier import Frontier
from gateway.tlog.merkle import leaf_hash

OLDER, LOG_DIFFERS = "BACKUP_OLDER", "BACKUP_LOG_DIFFERS"
# Whose rows are never deleted: what was counted before the copy is there after it.
_KEPT = ("audit_entry", "batch", "child", "document", "dose", "certificate", "account", "ticket")
_CHUNK = 4096
_LEAVES = "SELECT leaf FROM gateway.audit_entry WHERE idx >= %s AND idx < %s ORDER BY idx"
_EPOCH = "SELECT value FROM gateway.epoch WHERE name = 'revocation'"


async def compare(tx: Transaction, said: Manifest, newest_epoch: int) -> None:
    """Pass a database with the rows that were counted and this epoch; raises BackupError."""
    for table in _KEPT:
        [(count,)] = await tx.fetch(f"SELECT count(*) FROM gateway.{table}")  # noqa: S608  our own names
        if count < said.rows[table]:
            raise BackupError(DAMAGED, f"{table} has {count} rows, {said.rows[table]} were counted")
    [(epoch,)] = await tx.fetch(_EPOCH)
    if epoch < newest_epoch:
        raise BackupError(OLDER, f"the revocation epoch is {epoch}, {newest_epoch} was known")


async def require_keys(tx: Transaction, staged: Home) -> None:
    """Pass a database whose secrets' files are those of the backup: WAL brings rows, no files."""
    differing = inventory.compare(inventory.found(staged), await secret_rows.in_force(tx))
    if differing.missing:
        kind = differing.missing[0].secret.kind
        raise BackupError(MOVED, f"{kind} was changed after this backup: restore a later one")


async def read_log(tx: Transaction, said: Manifest) -> int:
    """Hash every leaf anew, compare with what was signed and with the head; return the size."""
    head = await log.head(tx)
    signed = checkpoint.parse(note.split(said.checkpoint)[0])
    frontier = Frontier()
    for begin in range(0, head.size, _CHUNK):
        for (content,) in await tx.fetch(_LEAVES, (begin, min(begin + _CHUNK, head.size))):
            frontier.append(leaf_hash(bytes(content)))
            if frontier.size == signed.size and frontier.root() != signed.root:
                raise BackupError(LOG_DIFFERS, f"the log of {signed.size} entries was another one")
    if (frontier.size, frontier.root()) != (head.size, head.root) or head.size < signed.size:
        raise BackupError(LOG_DIFFERS, "the log is not that of its head, or shorter than signed")
    return head.size
