"""The only source of time: a wall clock in microseconds since 1970, a monotonic one in seconds."""

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Protocol

US_PER_S = 1_000_000
# The province's civil time; a constant because China has one zone without summer time.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")


class Clock(Protocol):
    """What tells the time."""

    def now_us(self) -> int:
        """Return the wall clock, microseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return a clock that never steps, in seconds from an arbitrary start."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        """Return the wall clock, microseconds since the epoch."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return the machine's monotonic clock, seconds."""
        return time.monotonic()


@dataclass(slots=True)
class TurnedClock:
    """A clock that only a hand turns; for tests and for judging "as of" a given time."""

    us: int

    def now_us(self) -> int:
        """Return the time it was turned to, microseconds since the epoch."""
        return self.us

    def monotonic(self) -> float:
        """Return the same time in seconds."""
        return self.us / US_PER_S

    def turn(self, *, seconds: float) -> None:
        """Turn the clock forward, or back when negative."""
        self.us += round(seconds * US_PER_S)


class Passing:
    """Time that passes from a known moment on, whoever sets the wall clock back meanwhile."""

    __slots__ = ("_began_s", "_began_us", "_clock")

    def __init__(self, clock: Clock, began_us: int) -> None:
        """Begin now, which is `began_us`."""
        self._clock, self._began_us = clock, began_us
        self._began_s = clock.monotonic()

    def now_us(self) -> int:
        """Return the wall clock; what has passed since the beginning, where that shows less."""
        passed_us = round((self._clock.monotonic() - self._began_s) * US_PER_S)
        return max(self._clock.now_us(), self._began_us + passed_us)


SYSTEM = SystemClock()


def to_datetime(us: int) -> datetime:
    """Return the aware UTC datetime of `us` microseconds since the epoch."""
    return datetime.fromtimestamp(us / US_PER_S, UTC)


def from_datetime(moment: datetime) -> int:
    """Return the microseconds since the epoch of an aware datetime."""
    return round(moment.timestamp() * US_PER_S)


def civil_day(us: int) -> date:
    """Return the day it is in Shanxi at `us` microseconds since the epoch."""
    return datetime.fromtimestamp(us / US_PER_S, SHANGHAI).date()


def iso(us: int) -> str:
    """Return RFC 3339 in UTC with microseconds, for people and files."""
    return to_datetime(us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
