"""What this process knows of certificates, register, sessions and the policies in force.

At most 250 ms behind the database.

Epoch counters in the store say when something of a kind changed. A notification or the poll sees a
new value, and what was read under the old one is forgotten. When the counters cannot be read,
nothing is known: every question raises STORE_AWAY.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TypeVar

from gateway import log
from gateway.clock import Clock
from gateway.config.exports import ExportRules
from gateway.errors import Reason, refuse
from gateway.identity.principal import Standing, read_standing
from gateway.pki.defect import Life
from gateway.policy import activation
from gateway.policy.bundle import BundleError
from gateway.policy.engine import Engine
from gateway.policy.trust import Trust
from gateway.registry import snapshot
from gateway.registry.snapshot import Registry
from gateway.store.database import Database, StoreAwayError, StoreError, Transaction

# A revoked certificate's connections are cut within one second (issue 2, 4); a quarter leaves time
# for the rest.
STALE_S = 0.25
# Polling a little faster than that keeps calls from waiting for the poll.
POLL_S = 0.2
# Before a broken poll is tried again.
RETRY_S = 0.5
CHANNEL = "gateway_epoch"
# Remembered sessions and certificates; beyond this the memory is emptied, which costs one query
# each.
REMEMBERED_MAX = 10_000

_EPOCHS = "SELECT name, value FROM gateway.epoch"
_CERTIFICATE = (
    "SELECT c.certificate_sha256, c.state, c.not_before_us, c.not_after_us, c.revoked_us,"
    " c.first_used_us, l.locked_us, c.lineage, c.generation, c.issuer_sha256"
    " FROM gateway.certificate AS c JOIN gateway.lineage AS l ON l.id = c.lineage"
    " WHERE c.serial = %s"
)
_LOG = log.get("current")
Found = TypeVar("Found")
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A registered certificate: its SHA-256, 32 bytes, and where it stands."""

    sha256: bytes
    life: Life


class Current:
    """One process's memory; made by `open`, ended by `close`."""

    def __init__(
        self, database: Database, clock: Clock, trust: Trust, *, governs: bool = False
    ) -> None:
        """Prepare; `open` is how to make one."""
        self.trust = trust
        self._governs = governs
        self._database = database
        self._clock = clock
        self._epochs: dict[str, int] = {}
        self._read_at = float("-inf")
        self._registry: Registry | None = None
        self._engine: Engine | None = None
        self._export_rules: ExportRules | None = None
        self._certificates: dict[str, Certificate] = {}
        self._standings: dict[bytes, Standing] = {}
        self._polling = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls, database: Database, clock: Clock, trust: Trust, *, governs: bool = False
    ) -> "Current":
        """Return a memory that has read everything once and keeps itself current.

        `trust` are whose certificates may have signed policies: those of before too. `governs`: a
        register with another province than ours serves nobody here. Raises StoreError.
        """
        current = cls(database, clock, trust, governs=governs)
        await current._poll()
        current._tasks = [
            asyncio.create_task(current._keep_polling()),
            asyncio.create_task(current._listen()),
        ]
        return current

    async def close(self) -> None:
        """Stop polling and listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def renew(self) -> None:
        """Read the counters now: after a change of our own, the next call here sees it.

        Away: the next one finds out.
        """
        with suppress(StoreAwayError):
            async with self._polling:
                await self._poll()

    @property
    def epochs(self) -> Mapping[str, int]:
        """The counters as last read: equal ones, nothing changed in between."""
        return self._epochs

    @property
    def known(self) -> Registry:
        """The register as last read, for work within a call whose checks have just asked.

        Raises REGISTER_TAMPERED where the door governs and another is the province.
        """
        if self._registry is None:
            raise refuse(Reason.STORE_AWAY)
        if self._governs:
            self._require_province(self._registry)
        return self._registry

    def require_province(self) -> None:
        """Pass while the register's province is ours; raises REGISTER_TAMPERED."""
        if self._registry is not None:
            self._require_province(self._registry)

    def _require_province(self, registry: Registry) -> None:
        if registry.provinces != {self.trust.province}:
            raise refuse(Reason.REGISTER_TAMPERED)

    @property
    def engine(self) -> Engine:
        """The policies in force as last read, within such a call; raises POLICIES_UNUSABLE.

        A bundle that does not verify decides nothing, and neither does the one before it.
        """
        if self._engine is None:
            raise refuse(Reason.POLICIES_UNUSABLE)
        return self._engine

    @property
    def export_rules(self) -> ExportRules:
        """The rules of exports in force, likewise; a bundle without them lets nothing leave."""
        if self._export_rules is None:
            raise refuse(Reason.POLICIES_UNUSABLE)
        return self._export_rules

    async def seen_by(self, tx: Transaction) -> Registry:
        """Return the register as a transaction sees it now, whatever is remembered.

        Raises REVISION_STALE where the policies in force are others than the remembered ones,
        REGISTER_TAMPERED.
        """
        epochs: dict[str, int] = dict(await tx.fetch(_EPOCHS))
        if epochs["policies"] != self._epochs["policies"]:
            raise refuse(Reason.REVISION_STALE)
        if epochs["registry"] == self._epochs["registry"]:
            return self.known
        found = await snapshot.load(tx)
        self._require_province(found)
        return found

    async def registry(self) -> Registry:
        """Return the register; raises STORE_AWAY, REGISTER_TAMPERED as `known`."""
        await self._refresh()
        return self.known

    async def certificate(self, serial: str) -> Certificate | None:
        """Return the registered certificate of a serial (lower hex), or None; raises STORE_AWAY."""
        return await self._look_up("revocation", self._certificates, serial, _read_certificate)

    async def standing(self, sid: bytes) -> Standing | None:
        """Return a session with its account, or None; raises STORE_AWAY."""
        return await self._look_up("session", self._standings, sid, read_standing)

    async def _look_up(
        self,
        epoch: str,
        memory: dict[Key, Found],
        key: Key,
        read: Callable[[Transaction, Key], Awaitable[Found | None]],
    ) -> Found | None:
        await self._refresh()
        known = memory.get(key)
        if known is not None:
            return known
        before = self._epochs[epoch]
        try:
            async with self._database.transaction() as tx:
                found = await read(tx, key)
        except StoreError:
            raise refuse(Reason.STORE_AWAY) from None
        # Absence is not remembered, for a new row need not move the epoch; nor what may be older
        # than a new epoch.
        if found is not None and before == self._epochs[epoch]:
            if len(memory) >= REMEMBERED_MAX:
                memory.clear()
            memory[key] = found
        return found

    async def _refresh(self) -> None:
        """Return once the counters are known to be at most STALE_S old; raises STORE_AWAY."""
        if self._is_fresh():
            return
        try:
            async with self._polling:
                if not self._is_fresh():
                    await self._poll()
        except StoreError:
            raise refuse(Reason.STORE_AWAY) from None

    def _is_fresh(self) -> bool:
        return 0 <= self._clock.monotonic() - self._read_at <= STALE_S

    async def _poll(self) -> None:
        """Read the counters and forget what they outdate.

        The register is read again in the same transaction.
        """
        asked_at = self._clock.monotonic()
        async with self._database.transaction() as tx:
            epochs: dict[str, int] = dict(await tx.fetch(_EPOCHS))
            if self._registry is None or epochs["registry"] != self._epochs.get("registry"):
                self._registry = await snapshot.load(tx)
                self._tell_province()
            if epochs["policies"] != self._epochs.get("policies"):
                self._engine, self._export_rules = await _in_force(tx, self.trust)
        if epochs["revocation"] != self._epochs.get("revocation"):
            self._certificates.clear()
        if epochs["session"] != self._epochs.get("session"):
            self._standings.clear()
        self._epochs = epochs
        self._read_at = asked_at

    def _tell_province(self) -> None:
        ours = self.trust.province
        found = frozenset[str]() if self._registry is None else self._registry.provinces
        if found != {ours}:
            _LOG.error("register.province", ours=ours, named=sorted(found))

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self._try()

    async def _listen(self) -> None:
        async with aclosing(self._database.listen(CHANNEL)) as notices:
            async for _channel, _name in notices:
                await self._try()

    async def _try(self) -> None:
        try:
            async with self._polling:
                await self._poll()
        except StoreAwayError:
            await asyncio.sleep(RETRY_S)


async def _in_force(tx: Transaction, trust: Trust) -> tuple[Engine | None, ExportRules | None]:
    """Return engine and rules of exports in force, None where there are none that verify."""
    try:
        found = await activation.active(tx, trust)
        return (None, None) if found is None else (Engine(found.bundle), found.bundle.rules())
    except BundleError as error:
        _LOG.error("policies.unusable", why=str(error))
        return None, None


async def _read_certificate(tx: Transaction, serial: str) -> Certificate | None:
    row = await tx.fetch_one(_CERTIFICATE, (serial,))
    return None if row is None else Certificate(bytes(row[0]), Life(*row[1:]))
