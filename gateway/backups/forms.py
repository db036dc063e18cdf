"""What the next backup holds of the database: the cluster's files, or a dump.

Of our own server it is always the files. Another's gives them where its rights allow, and with them
its journal, so that every second is reached; else there are dumps, each for itself (decision 0032).
"""

from gateway.backups import manifest
from gateway.backups.errors import BackupError
from gateway.config.backups import FILE, BackupRules, load_backup_rules
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import external
from gateway.store.external import SLOT_SIZE, Offers

EXTERNAL = "BACKUP_EXTERNAL"


def of(offers: Offers, wanted: str) -> str:
    """Return the form of the next backup: what policy wants, of what the server offers.

    Raises BackupError (BACKUP_EXTERNAL) where it does not offer that.
    """
    if wanted != manifest.DUMP and offers.physical:
        return manifest.BASE
    if wanted == manifest.BASE:
        raise BackupError(EXTERNAL, f"no base backup: {', '.join(offers.lacking)}")
    if not offers.logical:
        raise BackupError(EXTERNAL, f"PostgreSQL {offers.version} is newer than our programs")
    return manifest.DUMP


def sends(rules: BackupRules) -> bool:
    """Return whether policy has a journal sent, where there is one."""
    return bool(rules.places.folders and rules.wal.tail_s) and rules.external.form != manifest.DUMP


def idle(rules: BackupRules, offers: Offers) -> bool:
    """Return whether a slot that another's server keeps for us may not stay there."""
    return not sends(rules) or SLOT_SIZE in offers.lacking


def chosen(home: Home, settings: Settings) -> str:
    """Return the form of the next backup of a HOME, its server asked now.

    Raises BackupError (BACKUP_EXTERNAL), StoreError, SettingsError.
    """
    if not settings.dsn:
        return manifest.BASE
    wanted = load_backup_rules(home.policies / FILE).external.form
    return of(external.offers(home, settings), wanted)
