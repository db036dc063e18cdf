"""The database of a backup as the cluster's own files: sealed while it is read, put back, started.

`pg_basebackup`'s tar is checked against the server's list on its way in and again on its way out.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pyrage import x25519

from gateway.backups import chain, checking, combining, lists, manifest, replaying, sealing
from gateway.backups.checking import Checked
from gateway.backups.cluster import ClusterCheck, Wal
from gateway.backups.errors import BackupError
from gateway.backups.lists import Parent
from gateway.backups.replaying import Way
from gateway.backups.sealing import Part, Progress
from gateway.backups.untar import DAMAGED, Untar
from gateway.config import users
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import basebackup
from gateway.store.embedded import Cluster, ClusterError
from gateway.store.tools import MAJOR, ToolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The sealed database, and what the manifest says of it.

    `listed` is the server's list, with which the next one can go on from it; `why` says why it is
    a base backup where another was asked for; `rows` are those that it has to the row.
    """

    part: Part
    system: str
    wal: Wal
    form: str = manifest.BASE
    parent: str = ""
    server: int = MAJOR
    listed: bytes = b""
    why: str = ""
    rows: Mapping[str, int] | None = None


def copy(
    home: Home,
    settings: Settings,
    partial: Path,
    to: tuple[str, ...],
    rate_kib: int,
    tell: Progress,
    onto: Parent | None = None,
) -> Copied:
    """Seal the cluster's files and the WAL that they need; raises BackupError, ToolError.

    Of a parent's what changed since, where the server still knows that, else all.
    """
    if onto is not None:
        with contextlib.suppress(ToolError):
            return _copy(home, settings, partial, to, rate_kib, tell, onto)
        (partial / manifest.CLUSTER_PART).unlink(missing_ok=True)
    copied = _copy(home, settings, partial, to, rate_kib, tell, None)
    return copied if onto is None else replace(copied, why=lists.UNSUMMARIZED)


def _copy(
    home: Home,
    settings: Settings,
    partial: Path,
    to: tuple[str, ...],
    rate_kib: int,
    tell: Progress,
    onto: Parent | None,
) -> Copied:
    check, read = ClusterCheck(), 0
    untar = Untar(check)

    def watch(piece: bytes) -> None:
        nonlocal read
        untar.write(piece)
        read += len(piece)
        tell(read)

    listed = None if onto is None else onto.listed
    with basebackup.base_backup(home, settings, rate_kib, listed) as stream:
        part = sealing.seal(stream, partial / manifest.CLUSTER_PART, to, watch)
    untar.close()
    whole = check.finish()
    copied = Copied(
        part=part,
        system=whole.system,
        wal=whole.wal,
        listed=check.listed,
        server=basebackup.major(home, settings),
    )
    if whole.since != ("" if onto is None else onto.since):
        raise BackupError(chain.FOREIGN, "the server gave what changed since another backup")
    if onto is None:
        return copied
    return replace(copied, form=manifest.INCREMENTAL, parent=onto.found.sha256)


def require_entry(staged: Home) -> None:
    """Pass a HOME that the server's user can enter; raises ClusterError."""
    user = users.user_of("postgres")
    closed = users.unreachable(staged.database, user)
    if closed is not None:
        raise ClusterError(f"{closed}: user {user.name} cannot enter it: choose a HOME elsewhere")


def place(found: Checked, key: x25519.Identity, into: Cluster, tell: checking.Progress) -> None:
    """Open the files of a cluster that has none yet, and read its WAL.

    Raises BackupError, ClusterError, OSError.
    """
    whole = combining.place(found, key, into, tell)
    checking.require_same(whole, found.manifest)
    wal, user = whole.wal, users.user_of("postgres")
    span = (f"--timeline={wal.timeline}", f"--start={wal.start}", f"--end={wal.end}")
    try:
        into.tools(user).run("pg_waldump", "--quiet", f"--path={into.data / 'pg_wal'}", *span)
    except ToolError as error:
        raise BackupError(DAMAGED, str(error)) from error


@contextlib.contextmanager
def running(restored: Cluster, ahead: Way | None) -> Iterator[None]:
    """Keep the restored server running, which replayed what lies ahead; raises ClusterError."""
    try:
        if ahead is None:
            restored.start(mortal=True)
        else:
            replaying.replay(ahead, restored)
        yield
    finally:
        restored.stop()
