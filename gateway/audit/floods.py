"""Floods of refusals from one source: a few leaves each, the rest counted, one leaf a second.

A token bucket per source prefix; what finds it empty is counted into a `suppressed` leaf. What
bears an alert has a bucket and a count of its own: other refusals of its source do not hide it.
"""

import asyncio
from dataclasses import dataclass

from gateway.audit.event import Event
from gateway.clock import US_PER_S

# Enough for a misconfigured client to be seen in full, too few to fill a disk.
LEAVES_PER_S = 5
BURST = 20
# Sources remembered; beyond, the longest unseen are forgotten, which only gives them a full bucket.
SOURCES_MAX = 10_000


@dataclass(slots=True)
class Count:
    """What was not recorded singly from a source: how many, and the times of first and last."""

    source: str
    calls: int
    first_us: int
    last_us: int
    alert: str = ""


class Floods:
    """Says which events get leaves of their own, and counts the others."""

    def __init__(self, door: str) -> None:
        """Count for this door."""
        self._door = door
        self._buckets: dict[tuple[str, str], tuple[float, int]] = {}
        self._counts: dict[tuple[str, str], Count] = {}
        self._any = asyncio.Event()

    def admit(self, source: str, now_us: int, alert: str = "") -> bool:
        """Return whether an event of `source` gets its own leaf; else it is counted."""
        key = source, alert
        tokens, then_us = self._buckets.pop(key, (float(BURST), now_us))
        earned = max(0, now_us - then_us) * LEAVES_PER_S / US_PER_S
        tokens = min(float(BURST), tokens + earned)
        admitted = tokens >= 1
        self._buckets[key] = (tokens - 1 if admitted else tokens, now_us)
        if len(self._buckets) > SOURCES_MAX:
            del self._buckets[next(iter(self._buckets))]
        if not admitted:
            self.count(Count(source, 1, now_us, now_us, alert))
        return admitted

    def count(self, more: Count) -> None:
        """Add to what the source's next leaf will tell."""
        empty = Count(more.source, 0, more.first_us, 0, more.alert)
        known = self._counts.setdefault((more.source, more.alert), empty)
        known.calls += more.calls
        known.first_us = min(known.first_us, more.first_us)
        known.last_us = max(known.last_us, more.last_us)
        self._any.set()

    async def wait(self) -> None:
        """Return when something is counted."""
        await self._any.wait()

    def collect(self) -> list[Count]:
        """Return and forget what was counted."""
        counts, self._counts = self._counts, {}
        self._any.clear()
        return list(counts.values())

    def event(self, count: Count) -> Event:
        """Return the leaf that tells of a count."""
        return Event(
            kind="suppressed",
            decision="deny",
            door=self._door,
            counts={"suppressed": count.calls},
            detail={
                "source": count.source,
                "first_us": count.first_us,
                "last_us": count.last_us,
                **({"alert": count.alert} if count.alert else {}),
            },
        )
