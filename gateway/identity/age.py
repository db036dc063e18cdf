"""Which password profile rules and since when: the store remembers it across starts, the log tells.

A policy that is tightened while passwords are in use ends them earlier, and their owners must be
warned first; so each door tells the age it was started with, and learns since when it is in force.
A profile that is dated later takes its turn in the running doors, each by its own clock, and counts
from its day.
"""

import json
from collections.abc import Iterable

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.identity.rules import Dated, Rules
from gateway.store.database import Transaction

COMING = "policies.coming"
RULES_NOW = "policies.succeed"
_SINCE = "SELECT gateway.password_age_since(%s, %s)"
_TOLD = (
    "SELECT 1 FROM gateway.audit_entry WHERE kind = %s"
    " AND convert_from(leaf, 'UTF8')::jsonb -> 'detail' = %s::text::jsonb LIMIT 1"
)
_STORED = "SELECT days, since_us FROM gateway.password_age"


async def in_force(tx: Transaction, rules: Rules, now_us: int) -> Rules:
    """Return the rules knowing since when their profile's age is in force.

    Raises StoreError, and SettingsError where no profile is valid yet.
    """
    return rules.tightened(await _since(tx, rules.ruling(now_us), now_us), now_us)


async def as_stored(tx: Transaction, rules: Rules, now_us: int) -> Rules:
    """Return the rules as `in_force` does, for who only looks and must not make it so."""
    row = await tx.fetch_one(_STORED)
    if row is None:
        return rules
    days, since_us = row
    ruling = rules.ruling(now_us)
    if ruling.profile.stricter_than(days):  # a door will note it in a minute
        since_us = max(since_us, ruling.valid_from_us)
    return rules.tightened(since_us, now_us)


class Succession:
    """The duty of the administration door: tells of profiles that will rule, and that one does."""

    def __init__(self, recorder: Recorder, rules: Rules, clock: Clock) -> None:
        """Watch these rules; what rules now was told when they were loaded."""
        self._recorder = recorder
        self._rules = rules
        self._clock = clock
        self._ruling = rules.ruling(clock.now_us())
        self._announced = False

    async def look(self, base: Event) -> int:
        """Tell what is due, a leaf each; returns how many.

        Raises StoreError and what the recorder raises; it is told the next time then.
        """
        now_us = self._clock.now_us()
        coming = [] if self._announced else await self._untold(self._rules.coming(now_us))
        for one in coming:
            await self._recorder.append(base.with_(kind=COMING, detail=detail(one)))
        self._announced = True
        ruling = self._rules.ruling(now_us)
        if ruling == self._ruling:
            return len(coming)
        event = base.with_(kind=RULES_NOW, detail=detail(ruling))

        async def note(tx: Transaction) -> Event:
            await _since(tx, ruling, ruling.valid_from_us)
            return event

        await self._recorder.append(event, note)
        self._ruling = ruling
        return len(coming) + 1

    async def _untold(self, coming: Iterable[Dated]) -> list[Dated]:
        """Return those that the log does not tell of yet: a start tells nothing twice."""
        async with self._recorder.database.transaction() as tx:
            return [
                one
                for one in coming
                if await tx.fetch_one(_TOLD, (COMING, json.dumps(detail(one)))) is None
            ]


def detail(one: Dated) -> dict[str, str | int]:
    """Return what a leaf tells of a profile: its name, its file's digest, its day."""
    return {"profile": one.name, "digest": one.sha256, "valid_from_us": one.valid_from_us}


async def _since(tx: Transaction, ruling: Dated, now_us: int) -> int:
    [(since_us,)] = await tx.fetch(_SINCE, (ruling.profile.maximum_age_days, now_us))
    return int(since_us)
