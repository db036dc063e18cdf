"""Whether backups go on from each other: an incremental one is worth what its parents are.

By the manifests, before anything is opened:
    1 parent   by the SHA-256 of its manifest, which the child's signed manifest names
    2 of one   the same gateway, cluster and major version; made before; its WAL begins before

By what comes out of them:
    3 since    the server says that it gave what changed since the parent's WAL began
    4 names    each file that is given in part is in the parent, whole or in part
    5 whole    what they were combined to has the files of the newest, and those it gave whole as
               it gave them
"""

from gateway.backups.cluster import LABEL_FILE, WAL_FOLDER, Whole
from gateway.backups.errors import BackupError
from gateway.backups.manifest import DUMP, Manifest
from gateway.backups.untar import DAMAGED

MISSING, FOREIGN = "BACKUP_PARENT_MISSING", "BACKUP_PARENT_FOREIGN"
# How the server names what it gives in part (basebackup_incremental.c).
_IN_PART = "INCREMENTAL."


def require_follows(child: Manifest, parent: Manifest) -> None:
    """Pass a backup that can go on from that one (2); raises BackupError."""
    same = [(one.trust_domain, one.province, one.system, one.server) for one in (child, parent)]
    later = child.made_us > parent.made_us and child.wal.begin > parent.wal.begin
    branched = child.wal.timeline < parent.wal.timeline
    if same[0] != same[1] or parent.form == DUMP or not later or branched:
        raise BackupError(FOREIGN, "it is not this cluster's, or no earlier one")


def require_since(whole: Whole, parent: Whole | None) -> None:
    """Pass what goes on from its parent, None for a base backup (3, 4); raises BackupError."""
    if whole.since != ("" if parent is None else parent.wal.start):
        raise BackupError(FOREIGN, "the server gave what changed since another backup")
    before = set() if parent is None else {plain(name) for name in parent.files}
    for name in whole.files:
        if plain(name) != name and plain(name) not in before:
            raise BackupError(FOREIGN, f"{name} goes on from what the parent does not hold")


def require_combined(combined: Whole, newest: Whole) -> None:
    """Pass what was combined to the newest of a chain (5); raises BackupError.

    Of its WAL the segments were looked for, and are read by `pg_waldump`.
    """
    had = {name: of for name, of in newest.files.items() if not name.startswith(WAL_FOLDER)}
    given = {name: of for name, of in had.items() if plain(name) == name}
    if combined.files.keys() != {plain(name) for name in had}:
        raise BackupError(DAMAGED, "the parts combine to other files than the server had")
    wrong = {name for name in given if name != LABEL_FILE and combined.files[name] != given[name]}
    if wrong:
        raise BackupError(DAMAGED, f"{min(wrong)} is not as the server gave it")


def plain(name: str) -> str:
    """Return the name of a file in the cluster, of one that may be given in part."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.removeprefix(_IN_PART)}"
