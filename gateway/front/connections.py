"""The connections that stand: found by name, cut when their bearer falls, ended when they idle.

A revoked certificate, a locked lineage, a suspended organisation or system is cut within a second:
a notification or the poll every 250 ms tells that an epoch moved, one query tells whose connections
must end. The cut comes first, its leaf right after: to wait for the log would let the revoked one
go on. Connections of a superseded certificate have the policy's grace to finish; one that came with
a defect ends soon by itself, and is cut for another and graver one. Whose tunnel falls is cut
within two seconds (`origins`).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Container, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from OpenSSL import SSL

from gateway import log
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.config.policies import Policies
from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal
from gateway.front import leaves, standing
from gateway.front.origins import Origins, Whereabouts
from gateway.front.relay import Relay
from gateway.front.standing import Standing
from gateway.link.connection import Connection
from gateway.pki.defect import worse
from gateway.store.database import Database, StoreError

# Issue 2: "cut within one second".
POLL_S = 0.25
CHANNEL = "gateway_epoch"
# Enrolling takes a call or two, and a second officer perhaps a moment; who waits comes again.
ENROLMENT_LONGEST_S = 600.0
_SECONDS_PER_HOUR = 3_600
_LOG = log.get("front")
# Which of the connections that stand must be cut, and why.
Fallen = Callable[[Collection[tuple[Connection, Whereabouts]]], Awaitable[Mapping[str, Reason]]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long connections may stand, in seconds.

    Without a byte, at all, with a defective certificate, and after theirs was superseded.
    """

    idle_s: float
    longest_s: float
    defective_s: float
    grace_s: float

    @classmethod
    def of(cls, settings: Settings, policies: Policies) -> "Patience":
        """Return what settings and policies say."""
        rules = policies.certificates
        return cls(
            idle_s=settings.front.idle_timeout_s,
            longest_s=policies.limits.connections.longest_hours * _SECONDS_PER_HOUR,
            defective_s=rules.defective.longest_s,
            grace_s=rules.renewal.grace_s,
        )

    def longest(self, connection: Connection) -> float:
        """Return how long this connection may stand at all."""
        if connection.door == "enrolment":
            return ENROLMENT_LONGEST_S
        return self.defective_s if connection.defect else self.longest_s


@dataclass(frozen=True, slots=True)
class Relayed:
    """What is relayed: a TLS connection whose handshake is done, its socket, the door's socket."""

    tls: SSL.Connection
    sock: socket.socket
    door: socket.socket


@dataclass(slots=True)
class _Live:
    connection: Connection
    issuer_sha256: bytes
    whereabouts: Whereabouts
    relay: Relay
    since: float
    moved_at: float
    # Of a certificate that was superseded meanwhile: until when it may finish.
    drained_us: int | None = None


class Connections:
    """The table of one front; `watch` keeps it true."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        patience: Patience,
        origins: Origins,
        issuers: Callable[[], Container[bytes]],
        gone: Callable[[str], None],
    ) -> None:
        """Watch by this database, the tunnels, and the authorities in force (`issuers`).

        `gone` is told the name of each connection that ended.
        """
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._patience = patience
        self.origins = origins
        self._issuers = issuers
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
        issuer_sha256: bytes,
        whereabouts: Whereabouts,
        relayed: Relayed,
        on_end: Callable[[], None],
    ) -> None:
        """Relay an admitted connection from now on; `on_end` is called when it is over.

        `issuer_sha256` is its authority's, b"" where there is no certificate.
        """

        def ended() -> None:
            del self._live[connection.name]
            if not self._live:
                self._empty.set()
            self._gone(connection.name)
            on_end()

        relay = Relay(relayed.tls, relayed.sock, relayed.door, ended)
        now = self._clock.monotonic()
        self._live[connection.name] = _Live(connection, issuer_sha256, whereabouts, relay, now, now)
        self.origins.met(whereabouts)
        if connection.serial:
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

    async def watch_tunnels(self, fallen: Fallen) -> None:
        """Cut for ever whose tunnel falls, by one look of the tunnels' (`origins`).

        A look that took long, as when the VPN did not answer in time, is followed by the next.
        """
        while True:
            began = self._clock.monotonic()
            standing_ = [(live.connection, live.whereabouts) for live in self._live.values()]
            for name, reason in (await fallen(standing_)).items():
                live = self._live.get(name)
                if live is not None:
                    self._cut(live, reason)
            took = self._clock.monotonic() - began
            await asyncio.sleep(max(0.0, self.origins.watch_s - took))

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
            new = {live.connection.serial for live in self._live.values()} - {""}
        if new:
            found = await standing.standings(self._database, new)
            for live in list(self._live.values()):
                serial = live.connection.serial
                reason = self._fallen(live, found.get(serial)) if serial in new else None
                if reason is not None:
                    self._cut(live, reason)
        self._epochs = epochs

    def _fallen(self, live: _Live, found: Standing | None) -> Reason | None:
        """Return why a connection must be cut, None when it may go on."""
        if found is None:
            return Reason.CERT_UNKNOWN
        refusal = found.refusal()
        if refusal is not None:
            return refusal
        now_us, grace_s = self._clock.now_us(), self._patience.grace_s
        if not live.connection.defect and found.life.graceful(now_us, grace_s):
            live.drained_us = found.life.drained_us(grace_s)
            return None
        reason = found.life.registered()
        return reason if worse(reason, live.connection.defect) else None

    def _by_time(self) -> None:
        """Cut what is expired, drained or of an authority that is trusted no more."""
        now, now_us, issuers = self._clock.monotonic(), self._clock.now_us(), self._issuers()
        for live in list(self._live.values()):
            if live.relay.moved:
                live.relay.moved = False
                live.moved_at = now
            reason = _past(live, now_us, issuers)
            if reason is not None:
                self._cut(live, reason)
            elif (
                now - live.moved_at >= self._patience.idle_s
                or now - live.since >= self._patience.longest(live.connection)
            ):
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


def _past(live: _Live, now_us: int, issuers: Container[bytes]) -> Reason | None:
    """Return what time, or the end of its authority, has done to a connection's certificate."""
    if not live.connection.serial:
        return None
    if live.issuer_sha256 not in issuers:
        return Reason.CERT_UNTRUSTED
    if live.drained_us is not None and now_us >= live.drained_us:
        return Reason.CERT_SUPERSEDED
    ended = Reason.CERT_EXPIRED if now_us >= live.connection.not_after_us else None
    return ended if worse(ended, live.connection.defect) else None
