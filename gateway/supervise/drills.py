"""Says which drill is due that the gateway can hold by itself, and tells where none was held.

By itself only where the policy names a recipient's key on a path that is mounted at times: the
gateway keeps none. That backups are whole is proven without a key, at every `backup keep`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from gateway.audit.event import Event
from gateway.backups import checking, drilled, line
from gateway.backups.checking import Checked
from gateway.backups.drilled import LastDrill
from gateway.backups.errors import BackupError
from gateway.backups.replaying import END
from gateway.clock import SYSTEM, US_PER_S, Clock
from gateway.config import log_keys
from gateway.config.backups import FILE, BackupRules, load_backup_rules
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey

KIND = "backup.drill.late"
ALERT = "backup-drill-late"
# A drill reads a whole backup: what failed is looked at by somebody before it is tried again.
RETRY_S = 21_600.0
# So often a lateness that lasts is told.
TOLD_EVERY_S = 86_400
_ROLE = "owner"
_TOLD = "SELECT max(time_us) FROM gateway.audit_entry WHERE kind = %s"


class Drills:
    """What is due and what was told, of one HOME."""

    def __init__(
        self, home: Home, settings: Settings, tell: Callable[[Event], None], clock: Clock = SYSTEM
    ) -> None:
        """Watch; `tell` puts a leaf in line."""
        self._home = home
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._not_before_s = float("-inf")
        self._told_us = 0

    async def look(self) -> tuple[str, ...]:
        """Return the words of the drill that is due, none where none is; tell one that is late.

        Raises StoreError, SettingsError, OSError.
        """
        rules, now_us = load_backup_rules(self._home.policies / FILE), self._clock.now_us()
        found, told_us = await self._read(rules, now_us)
        if not found.late:
            return ()
        words: tuple[str, ...] = ()
        if self._clock.monotonic() >= self._not_before_s:
            words = await asyncio.to_thread(self._words, rules)
        if not words and now_us - max(told_us, self._told_us) >= TOLD_EVERY_S * US_PER_S:
            self._told_us = now_us
            detail: dict[str, str | int] = {"alert": ALERT, "outage_from_us": found.since_us}
            self._tell(Event(kind=KIND, decision="error", detail=detail))
        return words

    def ran(self) -> None:
        """Note that one was tried: good, none is due; bad, the next is not tried at once."""
        self._not_before_s = self._clock.monotonic() + RETRY_S

    def _words(self, rules: BackupRules) -> tuple[str, ...]:
        key = rules.schedule.drill_identity
        newest = _newest(self._home, rules.places.paths) if key and Path(key).is_file() else None
        if newest is None:
            return ()
        words = ("drill", str(newest.folder), "--home", str(self._home.root), "--identity", key)
        said = newest.manifest.line
        journal = said and (newest.folder.parent / line.FOLDER / said).is_dir()
        return (*words, "--until", END) if journal else words

    async def _read(self, rules: BackupRules, now_us: int) -> tuple[LastDrill, int]:
        way = roles.WayIn(self._home, self._settings, _ROLE)
        database = await Database.open(way, application="gateway-drills", size=1)
        try:
            async with database.transaction() as tx:
                [(told_us,)] = await tx.fetch(_TOLD, (KIND,))
                return await drilled.read(tx, rules, now_us), told_us or 0
        finally:
            await database.close()


def _newest(home: Home, places: tuple[Path, ...]) -> Checked | None:
    """Return the newest backup that this gateway's log names: whether it is good the drill says."""
    vkey = parse_vkey(home.log_key.read_text(encoding="utf-8").strip())
    keys, found = LogKeys.of(vkey, log_keys.read(home.log_keys)), []
    for place in places:
        for folder in place.iterdir() if place.is_dir() else ():
            if not folder.name.startswith("."):
                with contextlib.suppress(BackupError):
                    found.append(checking.read(folder, keys))
    return max(found, key=lambda one: one.manifest.made_us, default=None)
