"""Watches the room on HOME's disk: tells its levels on the log, and keeps a reserve for the log.

The reserve is a file of blocks beside the database. It is given up when almost nothing is left, so
that the last leaves, and the recovery after a crash of the database, find room; it is made again
once there is enough.
"""

import asyncio
import os
from collections.abc import Callable

from gateway import log
from gateway.audit.event import Event
from gateway.clock import SYSTEM, Clock
from gateway.config.disk import Disk, Level
from gateway.config.folders import PRIVATE_FILE
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.errors import Reason
from gateway.store import roles
from gateway.store.database import Database, StoreError

KIND = "log.disk"
# A disk fills at some hundred MB a second at most; the thresholds are gigabytes.
LOOK_S = 1.0
_MIB = 1 << 20
# The reserve is given up when less than this share of it is free besides: PostgreSQL stops where a
# whole new WAL segment (16 MiB) does not fit. It is made again when this many times its size is.
_GIVEN_UP_BELOW, _MADE_ABOVE = 0.5, 4
_ROLE = "owner"
_REFUSED = "SELECT count(*) FROM gateway.audit_entry WHERE reason = %s AND time_us >= %s"
_LOG = log.get("disk")


class Watch:
    """What was told of the disk, and the reserve; one per supervisor."""

    def __init__(self, home: Home, disk: Disk, *, reserved: bool, clock: Clock = SYSTEM) -> None:
        """Watch this disk; `reserved` where the database lies on it."""
        self.reserve = home.database / "reserve"
        self._disk = disk
        self._reserved = reserved
        self._clock = clock
        self._level: Level = "good"
        self._since_us = 0

    def look(self) -> list[Event]:
        """Return the leaves of one look: a new level, and the reserve given up or made."""
        try:
            room = self._disk.look(self._disk.folder)
        except OSError as error:
            _LOG.error("the disk cannot be looked at", errno=error.errno)
            return []
        told = [*self._keep_reserve(room.free_bytes)] if self._reserved else []
        level = self._disk.rules.level(room.free_percent)
        if level != self._level:
            told.append(self._turn(level, int(room.free_percent)))
        return told

    def _turn(self, level: Level, free_percent: int) -> Event:
        now_us, before = self._clock.now_us(), self._level
        self._level = level
        detail: dict[str, str | int] = {"state": level, "from_state": before}
        if level == "good":
            outage = {"outage_from_us": self._since_us, "outage_until_us": now_us}
            return Event(kind=KIND, detail={**detail, **outage})
        _LOG.error("the disk fills", level=level, free_percent=free_percent)
        if before == "good":
            self._since_us = now_us
        return Event(kind=KIND, decision="error", detail={**detail, "alert": "disk-low"})

    def _keep_reserve(self, free_bytes: int) -> list[Event]:
        size = self._disk.rules.reserve_mib * _MIB
        try:
            if self.reserve.exists():
                if free_bytes >= size * _GIVEN_UP_BELOW:
                    return []
                self.reserve.unlink()
                _LOG.error("the reserve is given up")
                detail: dict[str, str | int] = {"alert": "disk-full", "state": "reserve_given_up"}
                return [Event(kind=KIND, decision="error", detail=detail)]
            if free_bytes >= size * _MADE_ABOVE:
                self._make(size)
                return [Event(kind=KIND, detail={"state": "reserve_made"})]
        except OSError as error:
            _LOG.error("the reserve cannot be kept", errno=error.errno)
        return []

    def _make(self, size: int) -> None:
        partial = self.reserve.with_name("reserve.new")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)
        partial.rename(self.reserve)


async def keep(home: Home, settings: Settings, tell: Callable[[Event], None]) -> None:
    """Look for ever; cancel it to end it. `tell` puts a leaf in line."""
    watch = Watch(home, Disk.of(home), reserved=not settings.dsn)
    while True:
        for event in watch.look():
            tell(await counted(home, settings, event))
        await asyncio.sleep(LOOK_S)


async def counted(home: Home, settings: Settings, event: Event) -> Event:
    """Return a leaf that tells of the end of an outage with how many calls were refused in it."""
    begun = (event.detail or {}).get("outage_from_us")
    if begun is None:
        return event
    try:
        where = roles.conninfo(home, settings, _ROLE)
        database = await Database.open(where, application="gateway-disk", size=1)
        try:
            [(count,)] = await database.fetch(_REFUSED, (Reason.DISK_LOW.value, begun))
        finally:
            await database.close()
    except (StoreError, OSError) as error:
        _LOG.error("the log cannot be read", why=type(error).__name__)
        return event
    return event.with_(counts={"refused": int(count)})
