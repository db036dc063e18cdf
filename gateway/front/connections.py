"""The connections that stand: found by name, cut when their bearer falls, ended when they idle.

A revoked certificate, a suspended organisation or system is cut within a second: a notification or
the poll every 250 ms tells that an epoch moved, one query tells whose connections must end. The cut
comes first, its leaf right after: to wait for the log would let the revoked one go on.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from OpenSSL import SSL

from gateway import log
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.errors import Reason, Refusal
from gateway.front import leaves, standing
from gateway.front.relay import Relay
from gateway.link.connection import Connection
from gateway.store.database import Database, StoreError

# Issue 2: "cut within one second".
POLL_S = 0.25
CHANNEL = "gateway_epoch"
_SECONDS_PER_HOUR = 3_600
_LOG = log.get("front")


@dataclass(slots=True)
class _Live:
    connection: Connection
    relay: Relay
    since: float
    moved_at: float


class Connections:
    """The table of one front; `watch` keeps it true."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        *,
        idle_s: float,
        longest_hours: float,
        gone: Callable[[str], None],
    ) -> None:
        """Watch by this database; `gone` is told the name of each connection that ended."""
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._idle_s = idle_s
        self._longest_s = longest_hours * _SECONDS_PER_HOUR
        self._gone = gone
        self._live: dict[str, _Live] = {}
        # Entered since the last look: what fell between its admission and its entry is seen then.
        self._new: set[str] = set()
        self._epochs: object = None
        self._moved = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._telling: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._live)

    def find(self, name: str) -> Connection | None:
        """Return the connection that stands under this name."""
        live = self._live.get(name)
        return None if live is None else live.connection

    def enter(
        self,
        connection: Connection,
        tls: SSL.Connection,
        sock: socket.socket,
        door: socket.socket,
        on_end: Callable[[], None],
    ) -> None:
        """Relay an admitted connection from now on; `on_end` is called when it is over."""

        def ended() -> None:
            del self._live[connection.name]
            self._new.discard(connection.serial)
            if not self._live:
                self._empty.set()
            self._gone(connection.name)
            on_end()

        relay = Relay(tls, sock, door, ended)
        now = self._clock.monotonic()
        self._live[connection.name] = _Live(connection, relay, now, now)
        self._new.add(connection.serial)
        self._empty.clear()
        relay.start()

    async def watch(self) -> None:
        """Look after the table for ever."""
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                await self._look()
                self._moved.clear()
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._moved.wait()
                except TimeoutError:
                    pass
        finally:
            listening.cancel()

    async def drained(self, timeout_s: float) -> None:
        """Return when no connection stands; end those that still do after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            for live in list(self._live.values()):
                live.relay.end()
        while self._telling:
            await asyncio.wait(self._telling)

    async def _listen(self) -> None:
        async with aclosing(self._database.listen(CHANNEL)) as notices:
            async for _ in notices:
                self._moved.set()

    async def _look(self) -> None:
        """Cut what fell, what expired; end what idles or is too old."""
        self._by_time()
        try:
            await self._by_register()
        except StoreError:
            # The doors refuse every call meanwhile; it is looked at again in a moment.
            self._epochs = None

    async def _by_register(self) -> None:
        epochs = await standing.epochs(self._database)
        new, self._new = self._new, set()
        if epochs != self._epochs:
            new = {live.connection.serial for live in self._live.values()}
        if new:
            reasons = await standing.fallen(self._database, new)
            for live in list(self._live.values()):
                reason = reasons.get(live.connection.serial)
                if reason is not None:
                    self._cut(live, reason)
        self._epochs = epochs

    def _by_time(self) -> None:
        now, now_us = self._clock.monotonic(), self._clock.now_us()
        for live in list(self._live.values()):
            if live.relay.moved:
                live.relay.moved = False
                live.moved_at = now
            if now_us >= live.connection.not_after_us:
                self._cut(live, Reason.CERT_EXPIRED)
            elif now - live.moved_at >= self._idle_s or now - live.since >= self._longest_s:
                live.relay.end()

    def _cut(self, live: _Live, reason: Reason) -> None:
        live.relay.end()
        task = asyncio.create_task(self._tell(live.connection, reason))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, connection: Connection, reason: Reason) -> None:
        _LOG.warning("connection cut", connection=connection.name, reason=reason)
        try:
            await self._recorder.append(leaves.cut(connection, reason))
        except Refusal as refusal:
            _LOG.error("cut without leaf", connection=connection.name, reason=refusal.reason)
