"""A leaf when nothing else happens: that the log stands still is then itself a sign.

A witness that is shown the same checkpoint for long knows that the newer ones are withheld from it.
"""

import asyncio

from gateway.audit.event import Event
from gateway.audit.log import LogError
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.errors import UnavailableError
from gateway.store.database import StoreError

KIND = "log.heartbeat"
# So often within an interval the log is looked at: a beat comes at most a fifth late.
_LOOKS = 5


class Heartbeat:
    """The heartbeat of a log; one door beats for all."""

    def __init__(self, recorder: Recorder, every_s: float, clock: Clock) -> None:
        """Append after so many seconds without a leaf of whatever door; 0: never."""
        self._recorder, self._every_s, self._clock = recorder, every_s, clock
        self._size, self._since = -1, 0.0

    async def serve(self, base: Event) -> None:
        """Look again and again, for as long as the door serves."""
        if not self._every_s:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self._every_s / _LOOKS)
            await self.look(base)

    async def look(self, base: Event) -> bool:
        """Append where the log stood still for the interval; returns whether it did.

        A log that is away is told of by its recovery leaf.
        """
        try:
            size = (await self._recorder.log.head()).size
            now = self._clock.monotonic()
            if size != self._size:
                self._size, self._since = size, now
                return False
            if now - self._since < self._every_s:
                return False
            await self._recorder.append(base.with_(kind=KIND))
        except (StoreError, LogError, UnavailableError):
            return False
        return True
