"""Where the cluster of a backup is put and started: below HOME, or beside it for another's server.

Another server's files are started by programs of its own major version alone. They go into a folder
that the operator names, from where he gives them to his server; what HOME's settings say of how to
reach that server stays. Whoever was superuser there can have programs run by whoever starts them:
that is a user who reads no key of ours, or nobody (decision 0032).
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.backups import manifest
from gateway.backups.errors import BackupError
from gateway.backups.loading import Hosted
from gateway.backups.manifest import Manifest
from gateway.config import settings, users
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import guest
from gateway.store.embedded import Cluster
from gateway.store.external import Empty
from gateway.store.guest import Guest

PROGRAMS, TARGET, ROOT = "BACKUP_PROGRAMS", "BACKUP_TARGET", "BACKUP_ROOT"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The data directory for another server's files, None for one below HOME, and its programs.

    `programs` None: those that the settings of the restored HOME name. `empty` is another server's
    database for a dump, None for a cluster below HOME. `scratch`: a drill's, all of it below HOME.
    """

    data: Path | None
    programs: Path | None
    empty: Empty | None = None
    scratch: bool = False


def cluster(staged: Home, said: Manifest, elsewhere: Elsewhere | None) -> Cluster:
    """Return the cluster that a backup's files become; nothing is touched yet.

    Raises BackupError (BACKUP_PROGRAMS, BACKUP_ROOT, BACKUP_TARGET), ClusterError.
    """
    own = settings.load(staged.settings)
    empty = None if elsewhere is None else elsewhere.empty
    if empty is not None:
        if said.form != manifest.DUMP:
            raise BackupError(TARGET, "it holds a cluster's files: a database takes a dump alone")
        return Hosted(staged, empty)
    if not own.dsn or said.form == manifest.DUMP:
        if elsewhere is not None and elsewhere.data is not None:
            raise BackupError(PROGRAMS, "its database goes into HOME: name no data directory")
        return Cluster(staged)
    if not users.separate():
        raise BackupError(ROOT, "what its files bring along would run as whoever reads our keys")
    folder = Path(own.programs) if own.programs else None
    if elsewhere is not None:
        folder = elsewhere.programs or folder
    if elsewhere is None or folder is None:
        text = f"it is of another's server: name PostgreSQL {said.server}'s programs"
        raise BackupError(PROGRAMS, f"{text}, and a data directory")
    if elsewhere.data is None and not elsewhere.scratch:
        raise BackupError(PROGRAMS, "it is of another's server: name a data directory")
    put = Guest(staged, elsewhere.data or Cluster(staged).data, folder)
    found = put.major()
    if found != said.server:
        raise BackupError(PROGRAMS, f"{folder} is PostgreSQL {found}, it is of {said.server}")
    return put


def reached(restored: Cluster) -> Settings:
    """Return the settings by which its database is reached while it runs here."""
    own = settings.load(restored.home.settings)
    return guest.inside(restored.home, own) if isinstance(restored, Guest) else own
