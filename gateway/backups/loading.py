"""Loads a dump: into HOME's own cluster, made for it, or an empty database of another's server.

    1 copied     sealed as it is, and judged as a copy: who writes to the place changes that no more
    2 empty      nothing is in it, no gateway is connected to that server; it is no older than the
                 one that was dumped
    3 roles      with the passwords of HOME's files
    4 settings   HOME names this database from now on
    5 load       in one transaction, committed once all of the dump came out as it was put in, with
                 every row that was counted; rights of roles that are not ours are left out

What breaks off before 5 is done leaves nothing in the database; what breaks off later is dropped
again (`take_back`); what a killed restore left there the next one tells (BACKUP_DATABASE_TAKEN).
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from pyrage import x25519

from gateway.backups import checking, counting, placed, pointing
from gateway.backups.checking import Checked, Progress
from gateway.backups.errors import BackupError
from gateway.backups.untar import DAMAGED
from gateway.config import settings
from gateway.config.folders import PRIVATE_FILE
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import dump, external
from gateway.store.embedded import Cluster
from gateway.store.errors import StoreError
from gateway.store.external import Empty, ForeignDatabaseError
from gateway.store.tools import ToolError

TAKEN, OLDER = "BACKUP_DATABASE_TAKEN", "BACKUP_SERVER_OLDER"


class Hosted(Cluster):
    """A database on a server that others run: it is there before, and goes on afterwards."""

    def __init__(self, home: Home, empty: Empty) -> None:
        """Name it; nothing is touched yet."""
        super().__init__(home)
        self.empty = empty
        # How its roles enter, once they were made there; whether anything may be committed.
        self.dsn = ""
        self.loaded = False

    def start(self, *, mortal: bool = False) -> bool:  # noqa: ARG002  as of every cluster
        """Return that it runs already."""
        return True

    def stop(self) -> None:
        """Leave it running."""


def place(found: Checked, key: x25519.Identity, into: Cluster, tell: Progress) -> None:
    """Put a dump into a database that holds nothing yet (1 to 5).

    Raises BackupError, StoreError, ClusterError, OSError; nothing is loaded on another's server
    then, or it is said what is left there.
    """
    copy = into.home.root / found.manifest.database_part
    try:
        _bring(found, copy)  # 1
        if isinstance(into, Hosted):
            _place_there(found, key, into, tell)
        else:
            _place_here(found, key, into, tell)
    except BaseException as error:
        told = BackupError(DAMAGED, str(error)) if isinstance(error, ToolError) else error
        told = take_back(into, told)
        if told is error:
            raise
        raise told from error
    finally:
        copy.unlink(missing_ok=True)


def take_back(put: Cluster | None, error: BaseException) -> BaseException:
    """Drop what was loaded on another's server; return the error, which says what is left there.

    It is found by what was prepared: the settings may still name the database that lives.
    """
    if not isinstance(put, Hosted) or not put.dsn:
        return error
    left = "of the restore the roles gateway_* are left on that server, with HOME's passwords"
    if put.loaded and not external.clear(put.home, Settings(dsn=put.dsn)):
        left = "what was loaded is left on that server: DROP DATABASE, and create it anew"
    put.dsn = ""  # taken back once
    if isinstance(error, BackupError):
        return BackupError(error.code, f"{error}; {left}")
    if isinstance(error, StoreError):
        state, broke = error.sqlstate, error.constraint
        return type(error)(f"{error}; {left}", sqlstate=state, constraint=broke)
    return error


def _bring(found: Checked, copy: Path) -> None:
    """Copy the dump, sealed as it is, and judge what was copied; raises BackupError, OSError."""
    [part] = [one for one in found.manifest.parts if one.name == copy.name]
    digest = hashlib.sha256()
    copy.touch(PRIVATE_FILE, exist_ok=False)
    with copy.open("wb") as file:
        for piece in placed.pieces(found.folder / part.name, part.sealed_bytes):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != part.sealed_sha256:
        raise BackupError(checking.CHANGED, f"{part.name} is not what it was")


def _place_there(found: Checked, key: x25519.Identity, into: Hosted, tell: Progress) -> None:
    home, empty = into.home, into.empty
    try:
        version = external.server(empty)  # 2
        if version < found.manifest.server:
            text = f"it is of PostgreSQL {found.manifest.server}, that server is {version}"
            raise BackupError(OLDER, text)
        into.dsn = external.prepare(home, empty)  # 3
    except ForeignDatabaseError as error:
        raise BackupError(TAKEN, str(error)) from error
    try:
        pointing.point(home, into.dsn)  # 4
        _load(found, key, into, tell)
    finally:
        external.finish(empty)


def _place_here(found: Checked, key: x25519.Identity, into: Cluster, tell: Progress) -> None:
    home = into.home
    pointing.point(home, "")  # 4: from here on nothing else is connected to
    home.password_file("superuser").unlink(missing_ok=True)
    into.create()
    into.start(mortal=True)
    try:
        dump.prepare(into)
        _load(found, key, into, tell)
        dump.finish(into)
    finally:
        into.stop()


def _load(found: Checked, key: x25519.Identity, into: Cluster, tell: Progress) -> None:
    """Load the copy (5); raises BackupError, ToolError, StoreError."""
    home, hosted = into.home, into if isinstance(into, Hosted) else None
    # Whatever the settings name: never the one that lives.
    own = replace(settings.load(home.settings), dsn="" if hosted is None else hosted.dsn)

    def whole(script: dump.Script) -> None:
        counting.require_rows(script.rows, found.manifest.rows)
        into.left_out = tuple(sorted(script.strangers))
        if hosted is not None:
            hosted.loaded = True

    with dump.loading(home, own, whole) as sink:
        counting.unseal(home.root, found.manifest, key, sink.write, tell)
