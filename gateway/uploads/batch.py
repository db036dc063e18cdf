"""Takes batches: judged, stored and on the log as one, answered with evidence, also later again.

    1 prepare   everything that needs no database: form, pure rules, tags, sealing (no await:
    batches keep their order)
    2 known     one statement: what the store knows about these records
    3 judge     findings and states
    4 write     rows, answer, leaf; a request id that is taken is answered with what was stored
    5 answer    stored bytes, leaf, proof

2 to 4 run in the recorder's transaction (`taking`), one batch after another or several single doses
in one go (`together`); an exception leaves nothing behind.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID
from weakref import WeakValueDictionary

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.errors import Reason, Refusal, refuse
from gateway.identity.principal import Principal
from gateway.records.desk import Desk
from gateway.records.ids import record_id_bytes
from gateway.records.keys import Tagger, Units
from gateway.records.tables import Tables
from gateway.store.database import Database
from gateway.store.seal import ContentKeys
from gateway.tlog.proof import Proof
from gateway.uploads import quarantine, sweep
from gateway.uploads.answer import with_evidence
from gateway.uploads.idempotency import Stored, stored_batch
from gateway.uploads.quarantine import Place
from gateway.uploads.received import Prepared, prepare
from gateway.uploads.taking import StoredKeys, Taking
from gateway.uploads.together import Single, is_single_dose
from gateway.v1.upload_service_pb2 import BatchReceipt, QuarantinedItem, UploadBatchesRequest

# A deadlock and a row that came first, twice over, for one who meets a busier process.
_RETRIES = 3


class Intake:
    """The flow of uploads of one process.

    Its recorder runs effects one after another (one lane). With more lanes or processes a dose and
    its card can pass each other unseen: the sweep then releases the dose.
    """

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        keys: ContentKeys,
        tagger: Tagger,
        tables: Tables,
        units: Callable[[], Units],
        clock: Clock,
    ) -> None:
        """Take batches; `units` returns the newest register."""
        self._database = database
        self._recorder = recorder
        self._keys = keys
        self._tagger = tagger
        self._tables = tables
        self._units = units
        self._clock = clock
        self._stored_keys = StoredKeys()
        # One sender of an id at a time: in one commit group the second would find the batch without
        # its leaf. A lock lives as long as somebody holds or awaits it.
        self._ids: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def accept(
        self, principal: Principal, event: Event, raw: bytes, batch: UploadBatchesRequest
    ) -> bytes:
        """Return the serialised BatchReceipt of a batch, taken now or before; takes `batch` over.

        Raises BATCH_MALFORMED (no leaf yet); REQUEST_ID_REUSED, REVISION_STALE and what the
        recorder raises (with their leaf).
        """
        key = (principal.organisation, batch.request_id)
        async with self._ids.setdefault(key, asyncio.Lock()):
            return await self._accept(principal.organisation, event, raw, batch)

    async def _accept(
        self, organisation: str, event: Event, raw: bytes, batch: UploadBatchesRequest
    ) -> bytes:
        now_us = self._clock.now_us()
        desk = Desk(self._tables, self._units(), self._tagger, organisation, now_us)
        for _ in range(_RETRIES):
            try:
                return await self._take(prepare(raw, batch, desk, self._keys), event)
            except Refusal as refusal:
                if refusal.reason is not Reason.REVISION_STALE:
                    raise
            # Another process stored one of these records meanwhile: judge again beside it.
            batch = UploadBatchesRequest.FromString(raw)
        return await self._take(prepare(raw, batch, desk, self._keys), event)

    async def _take(self, prepared: Prepared, event: Event) -> bytes:
        kind = Single if is_single_dose(prepared) else Taking
        taking = kind(prepared, event, self._stored_keys)
        entry = await self._recorder.append(taking.event, taking)
        if taking.stored is not None:
            return await self._evidence(taking.stored)
        self._stored_keys.note(prepared)
        proof = Proof(entry.index, entry.hashes, entry.checkpoint, prepared.salt)
        return with_evidence(taking.answer, entry.leaf, proof.text())

    async def receipt(self, organisation: str, request_id: str) -> bytes:
        """Return the serialised BatchReceipt of a batch of one's own organisation.

        Raises NOT_FOUND.
        """
        value = record_id_bytes(request_id)
        if value is None:
            raise refuse(Reason.NOT_FOUND)
        async with self._database.transaction() as tx:
            stored = await stored_batch(tx, organisation, UUID(bytes=value))
        if stored is None:
            raise refuse(Reason.NOT_FOUND)
        return await self._evidence(stored)

    async def _evidence(self, stored: Stored) -> bytes:
        salt = BatchReceipt.FromString(stored.answer).salt
        proof = await self._recorder.proof(stored.leaf_index, salt)
        return with_evidence(stored.answer, stored.leaf, proof)

    async def held(
        self, organisation: str, unit_code: str, after: Place, size: int
    ) -> list[tuple[QuarantinedItem, Place]]:
        """Return up to `size` items of an organisation that wait for correction, of one unit or.

        "") of all, oldest first.
        """
        async with self._database.transaction() as tx:
            return await quarantine.page(tx, self._tables, organisation, unit_code, after, size)

    async def sweep(self, event: Event) -> int:
        """Reject waiting doses whose time is over and release those whose card is there.

        Return how many were due.

        To be called every few minutes with the process's own event. Nothing due: no leaf.
        """
        now_us = self._clock.now_us()
        async with self._database.transaction() as tx:
            waiting = await sweep.due(tx, now_us)
        if waiting:
            event = event.with_(kind="upload.sweep")
            await self._recorder.append(
                event, lambda tx: sweep.sweep(tx, event, self._tables, now_us)
            )
        return len(waiting)
