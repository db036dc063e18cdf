"""What this process knows of who stands how: certificates, register, sessions; at most 250 ms behind the database.

Epoch counters in the store say when something of a kind changed. A notification or the poll sees a new value, and what was
read under the old one is forgotten. When the counters cannot be read, nothing is known: every question raises STORE_AWAY.
"""

import asyncio
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import Reason, refuse
from gateway.registry import snapshot
from gateway.registry.snapshot import Registry
from gateway.store.database import Database, StoreAwayError, StoreError

# Issue 2: "a revoked certificate's connections are cut within one second"; a quarter leaves time for the rest.
STALE_S = 0.25
# Polling a little faster than that keeps calls from waiting for the poll.
POLL_S = 0.2
# Before a broken poll is tried again.
RETRY_S = 0.5
CHANNEL = "gateway_epoch"
# Remembered sessions and certificates; beyond this the memory is emptied, which costs one query each.
REMEMBERED_MAX = 10_000

_EPOCHS = "SELECT name, value FROM gateway.epoch"
_CERTIFICATE = "SELECT state, certificate_sha256 FROM gateway.certificate WHERE serial = %s"
_SESSION = (
    "SELECT s.certificate_sha256, s.expires_us, s.ended_us, a.state, a.password_epoch, a.role_epoch,"
    " a.must_change, a.password_expires_us"
    " FROM gateway.session AS s JOIN gateway.account AS a ON a.organisation = s.organisation AND a.name = s.account"
    " WHERE s.sid = %s AND s.organisation = %s AND s.account = %s"
)
_ACTIVE = 1


@dataclass(frozen=True, slots=True)
class Certificate:
    """A registered certificate: whether it is in force, and its SHA-256, 32 bytes."""

    active: bool
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Session:
    """A session with its account: times in microseconds, digests in bytes, epochs as the token carries them."""

    certificate_sha256: bytes
    expires_us: int
    ended: bool
    account_active: bool
    password_epoch: int
    role_epoch: int
    must_change: bool
    password_expires_us: int

    def alive(self, now_us: int) -> bool:
        """Return whether the session may be used at this time."""
        return not self.ended and self.account_active and now_us < self.expires_us


class Standing:
    """One process's memory of certificates, register and sessions; made by `open`, ended by `close`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Prepare; `open` is how to make one."""
        self._database = database
        self._clock = clock
        self._epochs: dict[str, int] = {}
        self._read_at = float("-inf")
        self._registry: Registry | None = None
        self._certificates: dict[str, Certificate | None] = {}
        self._sessions: dict[tuple[bytes, str, str], Session | None] = {}
        self._polling = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> "Standing":
        """Return a standing that has read everything once and keeps itself current; raises StoreError."""
        standing = cls(database, clock)
        await standing._poll()
        standing._tasks = [
            asyncio.create_task(standing._keep_polling()),
            asyncio.create_task(standing._listen()),
        ]
        return standing

    async def close(self) -> None:
        """Stop polling and listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def registry(self) -> Registry:
        """Return the register; raises STORE_AWAY."""
        await self._current()
        if self._registry is None:
            raise refuse(Reason.STORE_AWAY)
        return self._registry

    async def certificate(self, serial: str) -> Certificate | None:
        """Return the registered certificate of a serial (lower hex), or None; raises STORE_AWAY."""
        await self._current()
        if serial not in self._certificates:
            epoch = self._epochs["revocation"]
            rows = await self._ask(_CERTIFICATE, (serial,))
            found = Certificate(rows[0][0] == _ACTIVE, bytes(rows[0][1])) if rows else None
            if epoch != self._epochs["revocation"]:
                return found  # it may be older than what changed meanwhile: not kept
            _remember(self._certificates, serial, found)
        return self._certificates[serial]

    async def session(self, sid: bytes, organisation: str, account: str) -> Session | None:
        """Return a session of an account, or None; raises STORE_AWAY."""
        await self._current()
        key = (sid, organisation, account)
        if key not in self._sessions:
            epoch = self._epochs["session"]
            rows = await self._ask(_SESSION, key)
            found = _session(rows[0]) if rows else None
            # A session that is not there yet may come without a new epoch: absence is never remembered.
            if found is None or epoch != self._epochs["session"]:
                return found
            _remember(self._sessions, key, found)
        return self._sessions[key]

    async def _current(self) -> None:
        """Return once the counters are known to be at most STALE_S old; raises STORE_AWAY."""
        if self._clock.monotonic() - self._read_at <= STALE_S:
            return
        async with self._polling:
            if self._clock.monotonic() - self._read_at <= STALE_S:
                return
            try:
                await self._poll()
            except StoreError:
                raise refuse(Reason.STORE_AWAY) from None

    async def _ask(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[object, ...]]:
        try:
            async with self._database.transaction() as tx:
                return await tx.fetch(sql, parameters)
        except StoreError:
            raise refuse(Reason.STORE_AWAY) from None

    async def _poll(self) -> None:
        """Read the counters and forget what they outdate; the register is read again in the same transaction."""
        asked_at = self._clock.monotonic()
        async with self._database.transaction() as tx:
            epochs = dict(await tx.fetch(_EPOCHS))
            if self._registry is None or epochs["registry"] != self._epochs.get("registry"):
                self._registry = await snapshot.load(tx)
        if epochs["revocation"] != self._epochs.get("revocation"):
            self._certificates.clear()
        if epochs["session"] != self._epochs.get("session"):
            self._sessions.clear()
        self._epochs = epochs
        self._read_at = asked_at

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self._try()

    async def _listen(self) -> None:
        async for _channel, _name in self._database.listen(CHANNEL):
            await self._try()

    async def _try(self) -> None:
        try:
            async with self._polling:
                await self._poll()
        except StoreAwayError:
            await asyncio.sleep(RETRY_S)


def _session(row: tuple[object, ...]) -> Session:
    digest, expires_us, ended_us, state, password_epoch, role_epoch, must_change, password_expires_us = row
    return Session(
        certificate_sha256=bytes(digest),  # type: ignore[call-overload] # a bytea column
        expires_us=int(expires_us),  # type: ignore[call-overload] # a bigint column
        ended=ended_us is not None,
        account_active=state == _ACTIVE,
        password_epoch=int(password_epoch),  # type: ignore[call-overload] # as above
        role_epoch=int(role_epoch),  # type: ignore[call-overload] # as above
        must_change=bool(must_change),
        password_expires_us=int(password_expires_us),  # type: ignore[call-overload] # as above
    )


def _remember(memory: dict[object, object], key: object, value: object) -> None:
    if len(memory) >= REMEMBERED_MAX:
        memory.clear()
    memory[key] = value
