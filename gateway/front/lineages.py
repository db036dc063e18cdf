"""What becomes of a lineage when a certificate is presented: its first use, the alarm of a clone.

Decided once, and on the log before its bearer is served: one handshake of a lineage at a time asks
the register again and appends the leaf with its effect. So of many handshakes with a new
certificate one is the first, and of many with an old one one locks.
"""

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.errors import Reason, refuse
from gateway.front import leaves, standing
from gateway.front.leaves import Visit
from gateway.front.standing import Standing
from gateway.pki.defect import Life, worst
from gateway.pki.verify import Verified
from gateway.store.database import Database, Transaction

_FIRST_USE = "SELECT gateway.certificate_first_use(%s, %s)"
_LOCK = "SELECT gateway.lineage_lock(%s, %s)"


class Lineages:
    """The lineages of one front's register."""

    def __init__(
        self, database: Database, recorder: Recorder, clock: Clock, grace_s: float
    ) -> None:
        """Decide by this register; `grace_s` is the policy's `renewal.grace_s`."""
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._grace_s = grace_s
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, visit: Visit, verified: Verified, found: Standing) -> Reason | None:
        """Return the defect that the connection comes with, None for a good certificate.

        Raises what `standing.find` and `Recorder.append` raise.
        """
        life = found.life
        if self._is_first(life, verified) or self._is_clone(life):
            async with self._turns.setdefault(life.lineage, asyncio.Lock()):
                life = await self._decide(visit, verified)
        return worst(life.registered(), verified.defect)

    async def _decide(self, visit: Visit, verified: Verified) -> Life:
        """Do what is still to be done, now that nobody else does; return where it then stands."""
        life = await self._life(verified)
        if self._is_first(life, verified):
            event = visit.told(leaves.USED)
            await self._recorder.append(event, self._first_use(event, verified.serial))
        elif self._is_clone(life):
            event = leaves.clone(visit)
            await self._recorder.append(event, self._lock(event, verified.serial))
        else:
            return life
        return await self._life(verified)

    async def _life(self, verified: Verified) -> Life:
        own = (verified.subject, verified.serial, verified.sha256)
        return (await standing.find(self._database, *own)).life

    def _is_first(self, life: Life, verified: Verified) -> bool:
        wrong = life.registered() or verified.defect
        return wrong is None and life.first_used_us is None

    def _is_clone(self, life: Life) -> bool:
        superseded = life.registered() is Reason.CERT_SUPERSEDED
        return superseded and not life.graceful(self._clock.now_us(), self._grace_s)

    def _first_use(self, event: Event, serial: str) -> Callable[[Transaction], Awaitable[Event]]:
        async def use(tx: Transaction) -> Event:
            row = await tx.fetch_one(_FIRST_USE, (serial, self._clock.now_us()))
            if row is None or row[0] is None:  # taken back since it was asked
                found = (await standing.read(tx, [serial])).get(serial)
                raise refuse((found and found.life.registered()) or Reason.CERT_UNKNOWN)
            return event.with_(counts={"superseded": row[0]})

        return use

    def _lock(self, event: Event, serial: str) -> Callable[[Transaction], Awaitable[Event]]:
        async def lock(tx: Transaction) -> Event:
            await tx.fetch_one(_LOCK, (serial, self._clock.now_us()))
            return event

        return lock
