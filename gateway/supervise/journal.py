"""The supervisor's leaves: what started, stopped, was restarted, written as soon as can be.

A leaf about a dead signer or database waits here until they are back; nothing is dropped.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.errors import UnavailableError
from gateway.store import roles
from gateway.store.database import Database, StoreError

_RETRY_S = 0.25
# The supervisor is one more user of the front's database role.
_ROLE = "front"


class Journal:
    """Writes leaves one after another in a task of its own."""

    def __init__(self, home: Home, settings: Settings) -> None:
        """Write to this gateway's log."""
        self._home = home
        self._settings = settings
        self._waiting: deque[Event] = deque()
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def note(self, kind: str, detail: Mapping[str, str | int]) -> None:
        """Put a leaf of ours in line, of this kind and detail."""
        self.put(Event(kind=kind, detail=detail))

    def put(self, event: Event) -> None:
        """Put a leaf in line; it never fails and never waits."""
        self._waiting.append(event.with_(door="supervisor"))
        self._empty.clear()
        self._more.set()

    async def run(self) -> None:
        """Write what is in line, for ever; cancel it to end it."""
        while True:
            with contextlib.suppress(StoreError, OSError):
                await self._write_all()
            await asyncio.sleep(_RETRY_S)

    async def flush(self, seconds: float) -> bool:
        """Wait until everything is written, at most so long; return whether it is."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _write_all(self) -> None:
        way = roles.WayIn(self._home, self._settings, _ROLE)
        database = await Database.open(way, application="gateway-supervisor", size=2)
        signer = SignerLink(self._home.signer_socket)
        try:
            recorder = await Recorder.open(database, signer, door="supervisor", clock=SYSTEM)
            try:
                await self._write_with(recorder)
            finally:
                await recorder.close()
        finally:
            await signer.close()
            await database.close()

    async def _write_with(self, recorder: Recorder) -> None:
        while True:
            while self._waiting:
                try:
                    await recorder.append(self._waiting[0])
                except UnavailableError as error:
                    if not error.committed:
                        await asyncio.sleep(_RETRY_S)
                        continue
                self._waiting.popleft()
            self._empty.set()
            self._more.clear()
            await self._more.wait()
