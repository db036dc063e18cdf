"""Tells on the audit log what the packet filter refused outside the tunnel, and whether it stands.

Only root may read its counters. What was told last is read off the log itself: a supervisor that
is started anew tells what was refused meanwhile, and nothing twice.
"""

import asyncio
import json
from collections.abc import Callable, Mapping

from gateway import log
from gateway.audit.event import Event
from gateway.clock import SYSTEM, Clock
from gateway.config.home import Home
from gateway.config.policies import TunnelRules
from gateway.config.settings import Settings
from gateway.errors import Reason
from gateway.store import roles
from gateway.store.database import Database, StoreError
from gateway.vpn import wall
from gateway.vpn.wall import COUNTERS, Count, Reading, Refused, Tally, WallError

OUTSIDE = "origin.outside"
WALL = "origin.wall"
STANDING, DOWN = "standing", "down"
# Of the host's roles the one that may read leaves.
_ROLE = "owner"
_RETRY_S = 5.0
_LAST = (
    "SELECT leaf FROM gateway.audit_entry WHERE kind = %s"
    " AND (%s = '' OR convert_from(leaf, 'UTF8')::json #>> '{detail,counter}' = %s)"
    " ORDER BY idx DESC LIMIT 1"
)
_LOG = log.get("wall")
# As `status` shows it: the table, "standing" or "down", the cause, the packets of each counter.
Show = Callable[[Mapping[str, object]], None]


async def keep_watched(
    home: Home,
    settings: Settings,
    rules: TunnelRules,
    tell: Callable[[Event], None],
    show: Show,
    clock: Clock = SYSTEM,
) -> None:
    """Look for ever; cancel it to end it. `tell` puts a leaf in line and `show` is told changes."""
    watch = await _begin(home, settings, rules)
    shown: Mapping[str, object] = {}
    while True:
        reading: Reading = {}
        cause = ""
        try:
            reading = await wall.ask(settings.origin.wall)
        except WallError as error:
            cause = error.cause
        for event in watch.look(reading, cause, clock.now_us()):
            tell(event)
        found = {
            "table": settings.origin.wall.table,
            "state": DOWN if cause else STANDING,
            "cause": cause,
            "packets": {name: count.packets for name, count in reading.items()},
        }
        if found != shown:
            show(found)
            shown = found
        await asyncio.sleep(rules.wall_look_s)


class Watch:
    """Turns readings into leaves."""

    def __init__(self, told: Reading, rules: TunnelRules, *, stands: bool) -> None:
        """Go on from what the log says was counted, and whether the wall stood."""
        self._tally = Tally(told, rules)
        self._stands = stands

    def look(self, reading: Reading, cause: str, now_us: int) -> list[Event]:
        """Return the leaves of one look; `cause` is why there is no reading, "" when there is."""
        told = [_refused(one) for one in self._tally.look(reading, now_us)]
        if self._stands == bool(cause):
            self._stands = not cause
            told.append(_fallen(cause) if cause else _stands_again())
        return told


def _refused(one: Refused) -> Event:
    return Event(
        kind=OUTSIDE,
        decision="deny",
        reason=Reason.ORIGIN_NOT_TUNNEL,
        counts={"packets": one.packets},
        detail={
            "alert": "origin-outside",
            "counter": one.counter,
            "total": one.count.packets,
            "digest": one.count.made,
            "first_us": one.first_us,
            "last_us": one.last_us,
        },
    )


def _fallen(cause: str) -> Event:
    _LOG.error("the packet filter does not stand", why=cause)
    detail = {"alert": "wall-down", "state": DOWN, "cause": cause}
    return Event(kind=WALL, decision="error", detail=detail)


def _stands_again() -> Event:
    return Event(kind=WALL, detail={"state": STANDING})


async def _begin(home: Home, settings: Settings, rules: TunnelRules) -> Watch:
    """Return what the log says, as soon as it can be read."""
    while True:
        try:
            return await _from_log(home, settings, rules)
        except (StoreError, OSError) as error:
            _LOG.error("the log cannot be read", why=str(error))
        await asyncio.sleep(_RETRY_S)


async def _from_log(home: Home, settings: Settings, rules: TunnelRules) -> Watch:
    owner = roles.conninfo(home, settings, _ROLE)
    database = await Database.open(owner, application="gateway-wall", size=1)
    try:
        told = {}
        for name in COUNTERS:
            detail = await _last(database, OUTSIDE, name)
            if detail:
                told[name] = Count(int(detail["total"]), str(detail["digest"]))
        state = (await _last(database, WALL)).get("state")
        return Watch(told, rules, stands=state != DOWN)
    finally:
        await database.close()


async def _last(database: Database, kind: str, counter: str = "") -> dict[str, str | int]:
    """Return the detail of the last leaf of a kind, and of a counter; {} where there is none."""
    rows = await database.fetch(_LAST, (kind, counter, counter))
    if not rows:
        return {}
    detail: dict[str, str | int] = json.loads(rows[0][0])["detail"]
    return detail
