"""Is a backup good? From its folder alone; with a recipient's key also what is inside.

Without a key (`check`), of the backup and of those that it goes on from (`chain`):
    1 form       the manifest is canonical and of our form
    2 signature  a leaf of this gateway's log names its digest
    3 parts      each is there, as long and with the SHA-256 that the manifest says; nothing else is

With one (`rehearse`), everything above, and:
    4 opens      the key opens each part to its end, and what comes out is what went in
    5 cluster    the server's own list of files, and every WAL segment (`cluster`); of a dump, the
                 rows of every table (`counting`)
    6 home       what a gateway cannot be without is in it

Nothing is restored and nothing readable is written.
"""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tarfile import TarInfo

from pyrage import x25519

from gateway.backups import chain, counting, manifest, placed, sealing
from gateway.backups.cluster import ClusterCheck, Whole
from gateway.backups.errors import BackupError
from gateway.backups.manifest import Manifest
from gateway.backups.untar import DAMAGED, Untar, Visitor
from gateway.tlog.keys import LogKeys

MISSING, LENGTH, CHANGED = "BACKUP_PART_MISSING", "BACKUP_PART_LENGTH", "BACKUP_PART_CHANGED"
STRANGE = "BACKUP_FILE_STRANGE"
# What a gateway cannot be without.
NEEDED = frozenset(
    {
        "settings.toml",
        "authority/client-authority.key",
        "public/root.pem",
        "public/log.vkey",
        "secrets/signer/log.skey",
        "secrets/signer/state",
        "secrets/disclosure/export.key",
        "secrets/database/owner",
    }
)
Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup that is good: its folder, what it says, its digest, and the leaf that says so.

    `parents` are those that it goes on from, the base backup first; `read` does not look for them.
    """

    folder: Path
    manifest: Manifest
    sha256: str
    leaf: int
    parents: "tuple[Checked, ...]" = ()

    @property
    def whole(self) -> "tuple[Checked, ...]":
        """All that a restore of it opens, in that order."""
        return (*self.parents, self)


def read(folder: Path, keys: LogKeys) -> Checked:
    """Return what a backup says, once its signature is good (1, 2); raises BackupError."""
    try:
        content = placed.content(folder / manifest.MANIFEST_FILE)
        receipt = placed.content(folder / manifest.RECEIPT_FILE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(MISSING, f"{folder} holds no whole backup") from error
    said = manifest.parse(content)
    index = manifest.verify(content, receipt, keys)
    return Checked(folder, said, manifest.sha256(content), index)


def check(folder: Path, keys: LogKeys, tell: Progress = lambda *_: None) -> Checked:
    """Return what a backup says once all of it is as its manifest says (1 to 3).

    Raises BackupError.
    """
    found = related(read(folder, keys), keys)
    for one in found.whole:
        check_parts(one, tell)
    return found


def related(found: Checked, keys: LogKeys) -> Checked:
    """Return a backup with its parents, which lie beside it, by what all of them say.

    Raises BackupError: BACKUP_PARENT_MISSING, BACKUP_PARENT_FOREIGN, what `read` raises.
    """
    parents: list[Checked] = []
    child = found
    while child.manifest.parent:
        parent = read(_folder_of(child.manifest.parent, found.folder.parent), keys)
        if parent.sha256 != child.manifest.parent:
            raise BackupError(chain.MISSING, f"{parent.folder} was changed meanwhile")
        chain.require_follows(child.manifest, parent.manifest)
        parents.insert(0, parent)
        child = parent
    return replace(found, parents=tuple(parents))


def _folder_of(sha256: str, place: Path) -> Path:
    for folder in placed.folders(place):
        with contextlib.suppress(OSError):
            content = placed.content(folder / manifest.MANIFEST_FILE)
            if not folder.name.startswith(".") and manifest.sha256(content) == sha256:
                return folder
    raise BackupError(chain.MISSING, f"{place} does not hold the parent {sha256[:16]}")


def check_parts(found: Checked, tell: Progress = lambda *_: None) -> None:
    """Pass a backup whose own parts are as its manifest says (3); raises BackupError."""
    folder = found.folder
    parts = {one.name for one in found.manifest.parts}
    known = {manifest.MANIFEST_FILE, manifest.RECEIPT_FILE, *parts}
    for path in folder.iterdir():
        if path.name not in known:
            raise BackupError(STRANGE, f"{path.name} is not of this backup")
    check_lengths(found)
    done = 0
    for part in found.manifest.parts:
        digest = hashlib.sha256()
        try:
            for piece in placed.pieces(folder / part.name, part.sealed_bytes):
                digest.update(piece)
                done += len(piece)
                tell(done, found.manifest.total_bytes)
        except OSError as error:
            text = f"{part.name} cannot be read: {error.strerror}"
            raise BackupError(CHANGED, text) from error
        if digest.hexdigest() != part.sealed_sha256:
            raise BackupError(CHANGED, f"{part.name} is not what it was")


def check_lengths(found: Checked) -> None:
    """Pass a backup whose own parts are there, each as long as it was; raises BackupError."""
    for part in found.manifest.parts:
        path = found.folder / part.name
        if path.is_symlink() or not path.is_file():
            raise BackupError(MISSING, f"{part.name} is missing")
        if path.stat().st_size != part.sealed_bytes:
            raise BackupError(LENGTH, f"{part.name} is not as long as it was")


def rehearse(
    folder: Path, keys: LogKeys, key: x25519.Identity, tell: Progress = lambda *_: None
) -> Checked:
    """Return what a backup says once this key opened all of it (1 to 6); raises BackupError."""
    found = check(folder, keys)
    names = _Names()
    unpack(found, manifest.HOME_PART, key, names, tell)
    if not names.found >= NEEDED:
        raise BackupError(DAMAGED, f"{min(NEEDED - names.found)} is missing")
    _DATABASES[found.manifest.form](found, key, tell)  # 5
    return found


def _cluster(found: Checked, key: x25519.Identity, tell: Progress) -> None:
    parent = None
    for one in found.whole:
        cluster = ClusterCheck()
        unpack(one, manifest.CLUSTER_PART, key, cluster, tell)
        whole = cluster.finish()
        require_same(whole, one.manifest)
        chain.require_since(whole, parent)
        parent = whole


def require_same(whole: Whole, said: Manifest) -> None:
    """Pass a base backup that is the one of its manifest; raises BackupError."""
    if (whole.system, whole.wal) != (said.system, said.wal):
        raise BackupError(DAMAGED, "the database is another than the manifest says")


def _dump(found: Checked, key: x25519.Identity, tell: Progress) -> None:
    counting.check(found.folder, found.manifest, key, tell)


_DATABASES = {manifest.BASE: _cluster, manifest.INCREMENTAL: _cluster, manifest.DUMP: _dump}


def unpack(
    found: Checked,
    name: str,
    key: x25519.Identity,
    visitor: Visitor,
    tell: Progress = lambda *_: None,
) -> None:
    """Open a part and show the visitor what is in its tar (4); raises BackupError.

    What the visitor was shown counts only when this returns.
    """
    [part] = [one for one in found.manifest.parts if one.name == name]
    untar, done = Untar(visitor), 0

    def watch(piece: bytes) -> None:
        nonlocal done
        untar.write(piece)
        done += len(piece)
        tell(done, part.plain_bytes)

    inside = sealing.unseal(found.folder / name, key, watch)
    untar.close()
    if inside != (part.plain_bytes, part.plain_sha256):
        raise BackupError(DAMAGED, f"{name} holds something else than was put in")


class _Names:
    """The names of the files in a tar."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def begin(self, info: TarInfo) -> None:
        self.found.add(info.name)

    def content(self, piece: bytes) -> None:
        """Not looked at."""

    def end(self) -> None:
        """Not looked at."""
