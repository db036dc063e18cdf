"""Keeps one process running: starts it, starts it again when it ends, finishes it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from gateway import log
from gateway.clock import SYSTEM

# Pause before a restart: doubled each time, and back to the first after a run this long.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
GOOD_RUN_S = 10.0
# A process that never served and died this often will not serve: its settings are wrong.
ATTEMPTS = 5

_LOG = log.get("keeper")

State = Literal["starting", "ready", "restarting", "stopped"]


class StartError(Exception):
    """A process does not come up; the text says which, and where its last words are."""


class Run(Protocol):
    """One run of a process."""

    pid: int

    async def ready(self) -> bool:
        """Wait until it serves; False when it does not."""
        ...

    async def ended(self) -> int:
        """Wait for its end and return its exit status."""
        ...

    async def finish(self) -> int:
        """Ask it to finish and wait for its end."""
        ...


class Keeper:
    """One process that is to run until `finish`. `report` is told every change of state."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Awaitable[Run]],
        report: Callable[["Keeper", int | None], None],
    ) -> None:
        """Keep what `start` starts; `report` also gets an exit status where there is one."""
        self.name = name
        self.state: State = "starting"
        self.pid: int | None = None
        self.restarts = 0
        self.serving = asyncio.Event()
        self._start = start
        self._report = report
        self._run: Run | None = None
        self._finishing = asyncio.Event()
        self._served = False

    async def keep(self) -> None:
        """Run until finished; raises StartError when it never comes up."""
        pause = FIRST_PAUSE_S
        while not self._finishing.is_set():
            began = SYSTEM.monotonic()
            try:
                status = await self._once()
            except OSError as error:  # no memory or descriptors for a process: it may pass
                _LOG.error("not started", process=self.name, why=str(error))
                status = 1
            if self._finishing.is_set():
                break
            self.serving.clear()
            self.restarts += 1
            if not self._served and self.restarts >= ATTEMPTS:
                raise StartError(f"{self.name} does not start: exit status {status}")
            self._turn("restarting", status)
            pause = FIRST_PAUSE_S if SYSTEM.monotonic() - began > GOOD_RUN_S else pause
            await self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        self._turn("stopped")

    async def finish(self) -> None:
        """End the process and keep it ended."""
        self._finishing.set()
        if self._run is not None:
            await self._run.finish()

    async def _once(self) -> int:
        run = self._run = await self._start()
        self.pid = run.pid
        self._turn("starting")
        if self._finishing.is_set() or not await run.ready():
            return await run.finish()
        self._served = True
        self._turn("ready")
        self.serving.set()
        return await run.ended()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._finishing.wait()
        except TimeoutError:
            return

    def _turn(self, state: State, status: int | None = None) -> None:
        self.state = state
        if state in ("restarting", "stopped"):
            self.pid = None
        self._report(self, status)
