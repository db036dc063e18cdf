"""Loads a dump: into HOME's own cluster, made for it, or an empty database of another's server.

    1 empty      nothing is in it, no gateway is connected to that server; it is no older than the
                 one that was dumped
    2 roles      with the passwords of HOME's files
    3 load       in one transaction, committed once all of the dump came out as it was put in
    4 settings   HOME names this database from now on

What breaks off before 3 is done leaves nothing in the database; what breaks off later is dropped
again (`take_back`); what a killed restore left there the next one tells (BACKUP_DATABASE_TAKEN).
"""

from dataclasses import replace

from pyrage import x25519

from gateway.backups import counting, pointing
from gateway.backups.checking import Checked, Progress
from gateway.backups.errors import BackupError
from gateway.backups.untar import DAMAGED
from gateway.config import settings
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import dump, external
from gateway.store.embedded import Cluster
from gateway.store.external import Empty, ForeignDatabaseError
from gateway.store.tools import ToolError

TAKEN, OLDER = "BACKUP_DATABASE_TAKEN", "BACKUP_SERVER_OLDER"


class Hosted(Cluster):
    """A database on a server that others run: it is there before, and goes on afterwards."""

    def __init__(self, home: Home, empty: Empty) -> None:
        """Name it; nothing is touched yet."""
        super().__init__(home)
        self.empty = empty
        self.loaded = False

    def start(self, *, mortal: bool = False) -> bool:  # noqa: ARG002  as of every cluster
        """Return that it runs already."""
        return True

    def stop(self) -> None:
        """Leave it running."""


def place(found: Checked, key: x25519.Identity, into: Cluster, tell: Progress) -> None:
    """Put a dump into a database that holds nothing yet (1 to 4).

    Raises BackupError, StoreError, ClusterError.
    """
    try:
        if isinstance(into, Hosted):
            _place_there(found, key, into, tell)
        else:
            _place_here(found, key, into, tell)
    except ToolError as error:
        raise BackupError(DAMAGED, str(error)) from error


def take_back(put: Cluster | None) -> str:
    """Drop what was loaded on another's server; return what is left there, "" for our own."""
    if not isinstance(put, Hosted) or not put.loaded:
        return ""
    if external.clear(put.home, settings.load(put.home.settings)):
        return "of the restore only the roles gateway_* are left on that server"
    return "what was loaded is left on that server: DROP DATABASE, and create it anew"


def _place_there(found: Checked, key: x25519.Identity, into: Hosted, tell: Progress) -> None:
    home, empty = into.home, into.empty
    try:
        version = external.server(empty)  # 1
        if version < found.manifest.server:
            text = f"it is of PostgreSQL {found.manifest.server}, that server is {version}"
            raise BackupError(OLDER, text)
        dsn = external.prepare(home, empty)  # 2
    except ForeignDatabaseError as error:
        raise BackupError(TAKEN, str(error)) from error
    own = replace(settings.load(home.settings), dsn=dsn)
    try:
        try:
            _load(found, key, home, own, tell)
            into.loaded = True
            pointing.point(home, dsn)  # 4
        finally:
            external.finish(empty)
    except BaseException:
        if into.loaded:
            external.clear(home, own)
        raise


def _place_here(found: Checked, key: x25519.Identity, into: Cluster, tell: Progress) -> None:
    home = into.home
    pointing.point(home, "")  # 4: from here on nothing else is connected to
    home.password_file("superuser").unlink(missing_ok=True)
    into.create()
    into.start(mortal=True)
    try:
        dump.prepare(into)
        _load(found, key, home, settings.load(home.settings), tell)
        dump.finish(into)
    finally:
        into.stop()


def _load(found: Checked, key: x25519.Identity, home: Home, own: Settings, tell: Progress) -> None:
    """Load it (3), as it is counted; raises BackupError, ToolError, StoreError."""
    with dump.loading(home, own) as (sink, script):
        counting.unseal(found.folder, found.manifest, key, sink.write, tell)
    counting.require_rows(script.rows, found.manifest.rows)
