"""Opens the cluster's files of a backup into a folder, and combines those of an incremental one.

1 open     each backup of the chain into a folder of its own beside the cluster's, against the
           server's list as it comes out
2 chain    each goes on from the one before (`chain`)
3 combine  by `pg_combinebackup`, which links what it need not put together and writes a list
4 read     all of it from the disk by that list, and against what the server gave whole
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tarfile import TarInfo

from pyrage import x25519

from gateway.backups import chain, checking, manifest
from gateway.backups.checking import Checked, Progress
from gateway.backups.cluster import ClusterCheck, Whole
from gateway.backups.errors import BackupError
from gateway.backups.placing import Placing
from gateway.backups.untar import DAMAGED
from gateway.config import users
from gateway.store.embedded import Cluster
from gateway.store.tools import ToolError

_PIECE_BYTES = 1024 * 1024


def place(found: Checked, key: x25519.Identity, into: Cluster, tell: Progress) -> Whole:
    """Put the cluster's files in place, which are then as the server had them.

    Raises BackupError, ClusterError, OSError.
    """
    if not found.parents:
        whole = _open(found, key, into.data, tell)
        chain.require_since(whole, None)
        return whole
    opened = [into.data.with_name(f"{into.data.name}.{n}") for n in range(len(found.whole))]
    newest = None
    for one, folder in zip(found.whole, opened, strict=True):
        whole = _open(one, key, folder, tell)  # 1
        chain.require_since(whole, newest)  # 2
        newest = whole
    _combine(opened, into)  # 3
    combined = read(into.data)  # 4
    assert newest is not None  # noqa: S101  a chain has a first one
    chain.require_combined(combined, newest)
    return combined


def _open(found: Checked, key: x25519.Identity, folder: Path, tell: Progress) -> Whole:
    user, check = users.user_of("postgres"), ClusterCheck()
    _make(folder)
    files = Placing(folder, user, check)
    try:
        checking.unpack(found, manifest.CLUSTER_PART, key, files, tell)
    finally:
        files.close()
    whole = check.finish()
    checking.require_same(whole, found.manifest)
    return whole


def _combine(opened: list[Path], into: Cluster) -> None:
    user = users.user_of("postgres")
    _make(into.data)
    words = ("--link", "--no-sync", "--manifest-checksums=SHA256", f"--output={into.data}")
    try:
        into.tools(user).run("pg_combinebackup", *words, *map(str, opened))
    except ToolError as error:
        raise BackupError(DAMAGED, str(error)) from error
    for folder in opened:
        shutil.rmtree(folder)


def read(data: Path) -> Whole:
    """Return what a folder holds by the list of what was combined in it; raises BackupError."""
    check = ClusterCheck(combined=True)
    for path in sorted(data.rglob("*")):
        if path.is_file():
            info = TarInfo(str(path.relative_to(data)))
            info.size = path.stat().st_size
            check.begin(info)
            for piece in _pieces(path):
                check.content(piece)
            check.end()
    return check.finish()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _make(folder: Path) -> None:
    user = users.user_of("postgres")
    folder.mkdir(mode=0o700)
    if users.separate():
        shutil.chown(folder, user.uid, user.gid)
