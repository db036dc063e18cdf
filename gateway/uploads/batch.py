"""Takes batches: judged, stored and on the log as one, answered with evidence, also later again.

    1 prepare   everything that needs no database: form, pure rules, tags, sealing (no await:
    batches keep their order)
    2 known     one statement: what the store knows about these records
    3 judge     findings and states
    4 write     rows, answer, leaf; a request id that is taken is answered with what was stored
    5 answer    stored bytes, leaf, proof

2 to 4 run in the recorder's transaction, one batch after another; an exception leaves nothing
behind.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.errors import Reason, Refusal, refuse
from gateway.identity.principal import Principal
from gateway.records.desk import Desk
from gateway.records.ids import record_id_bytes
from gateway.records.keys import Tagger, Units
from gateway.records.tables import Tables
from gateway.store.database import Database, StoreError, Transaction, UniqueViolationError
from gateway.store.seal import ContentKeys
from gateway.tlog.proof import Proof
from gateway.uploads import known, quarantine, sweep, writing
from gateway.uploads.answer import stored_answer, with_evidence
from gateway.uploads.idempotency import UPLOAD, Stored, expect_same, stored_batch
from gateway.uploads.judgement import Judgement
from gateway.uploads.quarantine import Place
from gateway.uploads.received import Prepared, prepare
from gateway.v1.upload_service_pb2 import (
    ITEM_STATE_ACCEPTED,
    ITEM_STATE_DUPLICATE,
    ITEM_STATE_FLAGGED,
    ITEM_STATE_QUARANTINED,
    ITEM_STATE_REJECTED,
    BatchReceipt,
    QuarantinedItem,
    UploadBatchesRequest,
)

_COUNTED: dict[int, str] = {
    ITEM_STATE_ACCEPTED: "accepted",
    ITEM_STATE_FLAGGED: "flagged",
    ITEM_STATE_DUPLICATE: "duplicate",
    ITEM_STATE_QUARANTINED: "quarantined",
    ITEM_STATE_REJECTED: "rejected",
}
# A deadlock and a row that came first, twice over, for one who meets a busier process.
_RETRIES = 3
# Two processes that wait for each other's rows; PostgreSQL has undone ours.
_DEADLOCK = "40P01"
_NO_KEYS: frozenset[UUID] = frozenset()


@dataclass(slots=True)
class _Taking:
    """One attempt: what its effect found out."""

    prepared: Prepared
    answer: bytes = b""
    stored: Stored | None = None


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
        # The newest content key of each organisation that is known to be committed.
        self._stored_keys: dict[str, frozenset[UUID]] = {}

    async def accept(
        self, principal: Principal, event: Event, raw: bytes, batch: UploadBatchesRequest
    ) -> bytes:
        """Return the serialised BatchReceipt of a batch, taken now or before; takes `batch` over.

        Raises BATCH_MALFORMED (no leaf yet); REQUEST_ID_REUSED, REVISION_STALE and what the
        recorder raises (with their leaf).
        """
        now_us = self._clock.now_us()
        desk = Desk(self._tables, self._units(), self._tagger, principal.organisation, now_us)
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
        taking = _Taking(prepared)
        # Who sends is on the event already; what is evidence of the batch is added here.
        event = event.with_(
            kind=UPLOAD,
            organisation=prepared.desk.organisation,
            request_id=str(prepared.request_id),
            unit=prepared.batch.unit_code,
            sequence=prepared.batch.sequence,
            commitment=prepared.commitment,
        )

        async def effect(tx: Transaction) -> Event:
            return await self._effect(tx, taking, event)

        entry = await self._recorder.append(event, effect)
        stored = taking.stored
        if stored is not None:
            return await self._evidence(stored)
        self._note_keys(prepared)
        proof = Proof(entry.index, entry.hashes, entry.checkpoint, prepared.salt)
        return with_evidence(taking.answer, entry.leaf, proof.text())

    def _note_keys(self, prepared: Prepared) -> None:
        """Remember that the batch's keys are committed, and forget those before them."""
        organisation, used = prepared.desk.organisation, _key_ids(prepared)
        known_keys = self._stored_keys.get(organisation, _NO_KEYS)
        if not known_keys.issuperset(used):
            kept = known_keys if prepared.key.key_id in known_keys else _NO_KEYS
            self._stored_keys[organisation] = kept | used

    async def _effect(self, tx: Transaction, taking: _Taking, event: Event) -> Event:
        prepared = taking.prepared
        beside = await known.load(tx, prepared)
        Judgement(prepared, beside).run()
        taking.answer = stored_answer(prepared)
        committed = self._stored_keys.get(prepared.desk.organisation, _NO_KEYS)
        keys_stored = committed.issuperset(_key_ids(prepared))
        try:
            batch_id = await writing.write(
                tx, prepared, beside, taking.answer, keys_stored=keys_stored
            )
        except StoreError as error:
            if isinstance(error, UniqueViolationError) or error.sqlstate == _DEADLOCK:
                raise refuse(Reason.REVISION_STALE) from None
            raise
        if batch_id is None:
            return await self._again(tx, taking, event)
        await quarantine.hold(tx, prepared, batch_id)
        await quarantine.settle(tx, prepared, beside)
        counts = Counter(_COUNTED[item.state] for item in prepared.items)
        counts["items"] = len(prepared.items)
        if beside.waiting:
            counts["released"] = await quarantine.release(tx, beside.waiting, prepared.desk.now_us)
        return event.with_(batch_id=batch_id, counts=dict(counts))

    async def _again(self, tx: Transaction, taking: _Taking, event: Event) -> Event:
        """Return the event of a batch that was taken before; raises REQUEST_ID_REUSED."""
        stored = await stored_batch(
            tx, taking.prepared.desk.organisation, taking.prepared.request_id
        )
        if stored is None:
            # Its writer's transaction was undone between our two statements.
            raise refuse(Reason.REVISION_STALE)
        expect_same(stored, taking.prepared.digest)
        taking.stored = stored
        return event.with_(batch_id=stored.batch_id, detail={"state": "repeated"})

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


def _key_ids(prepared: Prepared) -> set[UUID]:
    keys = (prepared.key, prepared.restricted_key)
    return {key.key_id for key in keys if key is not None}
