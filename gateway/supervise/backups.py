"""Has the backup that is due made while the gateway is served, and tells where there is none.

Made by `gateway backup keep` in a process of its own: sealing keeps a processor busy for minutes,
and what goes wrong there must not end the supervisor.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable

from gateway import log
from gateway.audit.event import Event
from gateway.backups import schedule, standing
from gateway.backups.errors import BackupError
from gateway.backups.standing import Standing
from gateway.clock import SYSTEM, US_PER_S, Clock
from gateway.config import users
from gateway.config.backups import FILE, BackupRules, load_backup_rules
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.config.strict import SettingsError
from gateway.store import roles
from gateway.store.database import Database, StoreError
from gateway.supervise.child import log_path
from gateway.supervise.drills import Drills
from gateway.supervise.forming import Forms
from gateway.supervise.launch import launch
from gateway.supervise.yielding import give_way

KIND = "backup.late"
# The schedule is of minutes.
LOOK_S = 60.0
# A place that is away comes back when somebody mounts it; a run that fails at once is cheap.
RETRY_S = 600.0
# So often a lateness that lasts is told.
TOLD_EVERY_S = 86_400
_ROLE = "owner"
_TOLD = "SELECT max(time_us) FROM gateway.audit_entry WHERE kind = %s"
_LOG = log.get("backups")


async def keep(home: Home, settings: Settings, tell: Callable[[Event], None]) -> None:
    """Look every minute, for ever; cancel it to end it."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_keep_sending(Forms(home, settings, tell), home))
        tasks.create_task(_keep_making(Watch(home, settings, tell)))
        tasks.create_task(_keep_drilling(home, Drills(home, settings, tell)))


async def _keep_sending(forms: Forms, home: Home) -> None:
    """Keep `gateway backup wal` running while there are places; what it fails of it tells.

    No WAL goes on from a dump. What cannot be asked or chosen is told by the backup that fails.
    """
    while True:
        with contextlib.suppress(SettingsError, StoreError, BackupError):
            if await forms.sends():
                await _run(home, "wal", str(home.root))
        await asyncio.sleep(LOOK_S)


async def _keep_making(watch: "Watch") -> None:
    while True:
        try:
            if await watch.look():
                watch.ran(await _run(watch.home, "keep", str(watch.home.root)))
        except (StoreError, SettingsError, OSError) as error:
            _LOG.error("backups not looked after", why=type(error).__name__)
        await asyncio.sleep(LOOK_S)


async def _keep_drilling(home: Home, drills: Drills) -> None:
    while True:
        try:
            if words := await drills.look():
                await _run(home, *words)
                drills.ran()
        except (StoreError, SettingsError, OSError) as error:
            _LOG.error("drills not looked after", why=type(error).__name__)
        await asyncio.sleep(LOOK_S)


class Watch:
    """What is due and what was told, of one HOME."""

    def __init__(
        self, home: Home, settings: Settings, tell: Callable[[Event], None], clock: Clock = SYSTEM
    ) -> None:
        """Watch; `tell` puts a leaf in line."""
        self.home = home
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._not_before_s = float("-inf")
        self._told_us = 0

    async def look(self) -> bool:
        """Tell of a lateness; return whether a backup is due now.

        Raises StoreError, SettingsError, OSError.
        """
        rules, now_us = load_backup_rules(self.home.policies / FILE), self._clock.now_us()
        found, told_us = await self._read(rules, now_us)
        self._tell_late(found, max(told_us, self._told_us), now_us)
        if not rules.places.folders or self._clock.monotonic() < self._not_before_s:
            return False
        since_us = schedule.due_since_us(rules.schedule.times, now_us)
        return found.kept_us is None or found.kept_us < since_us

    def ran(self, status: int) -> None:
        """Note how a run ended: one that failed is not tried again at once."""
        if status:
            _LOG.error("no backup was kept", status=status)
            self._not_before_s = self._clock.monotonic() + RETRY_S

    def _tell_late(self, found: Standing, told_us: int, now_us: int) -> None:
        # Without places it is late from the beginning; the log is told from the same hour on.
        if found.state == "good" or now_us < found.warns_us:
            return
        if now_us - told_us < TOLD_EVERY_S * US_PER_S:
            return
        self._told_us = now_us
        detail: dict[str, str | int] = {
            "alert": f"backup-{found.state}",
            "outage_from_us": found.since_us,
        }
        counts = {"copies": found.places}
        self._tell(Event(kind=KIND, decision="error", counts=counts, detail=detail))

    async def _read(self, rules: BackupRules, now_us: int) -> tuple[Standing, int]:
        way = roles.WayIn(self.home, self._settings, _ROLE)
        database = await Database.open(way, application="gateway-backups", size=1)
        try:
            async with database.transaction() as tx:
                [(told_us,)] = await tx.fetch(_TOLD, (KIND,))
                return await standing.read(tx, rules, now_us), told_us or 0
        finally:
            await database.close()


async def _run(home: Home, *words: str) -> int:
    """Run a command to its end, or end it with us; return its exit status."""
    with log_path(home, "backups").open("ab") as out, launch(users.current()) as way:
        process = await asyncio.create_subprocess_exec(
            *(way.interpreter, "-P", "-m", "gateway", "backup", *words),
            stdin=DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            env=os.environ | way.environment | {"PYTHONNOUSERSITE": "1"},
            pass_fds=way.descriptors,
            process_group=0,
        )
        give_way(process.pid)
        try:
            return await process.wait()
        finally:
            await _end(process)


async def _end(process: Process) -> None:
    """Kill what still runs: it leaves nothing that passes for a backup."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
