"""One attempt to take a prepared batch: the effect that runs in the recorder's transaction."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from gateway.audit.event import Event
from gateway.errors import Reason, refuse
from gateway.store.database import StoreError, Transaction, UniqueViolationError
from gateway.store.seal import ContentKey
from gateway.uploads import known, quarantine, writing
from gateway.uploads.answer import stored_answer
from gateway.uploads.idempotency import UPLOAD, Stored, expect_same, stored_batch
from gateway.uploads.judgement import Judgement
from gateway.uploads.received import Prepared
from gateway.v1.upload_service_pb2 import (
    ITEM_STATE_ACCEPTED,
    ITEM_STATE_DUPLICATE,
    ITEM_STATE_FLAGGED,
    ITEM_STATE_QUARANTINED,
    ITEM_STATE_REJECTED,
)

_COUNTED: dict[int, str] = {
    ITEM_STATE_ACCEPTED: "accepted",
    ITEM_STATE_FLAGGED: "flagged",
    ITEM_STATE_DUPLICATE: "duplicate",
    ITEM_STATE_QUARANTINED: "quarantined",
    ITEM_STATE_REJECTED: "rejected",
}
# Two processes that wait for each other's rows; PostgreSQL has undone ours.
_DEADLOCK = "40P01"
_NO_KEYS: frozenset[UUID] = frozenset()


class StoredKeys:
    """The newest content keys of each organisation that are known to be committed."""

    def __init__(self) -> None:
        """Know of none."""
        self._ids: dict[str, frozenset[UUID]] = {}

    def note(self, prepared: Prepared) -> None:
        """Remember that a batch's keys are committed, and forget those before them."""
        organisation, used = prepared.desk.organisation, {key.key_id for key in prepared.keys}
        stored = self._ids.get(organisation, _NO_KEYS)
        if not stored.issuperset(used):
            kept = stored if prepared.key.key_id in stored else _NO_KEYS
            self._ids[organisation] = kept | used

    def missing(self, prepared: Prepared) -> Sequence[ContentKey]:
        """Return the keys of a batch whose rows must be written with it."""
        stored = self._ids.get(prepared.desk.organisation, _NO_KEYS)
        return [key for key in prepared.keys if key.key_id not in stored]


class Taking:
    """An attempt: as an effect it takes the batch, and keeps what its answer is made of.

    `answer` is what was stored now; `stored` is what was stored before under the same request id.
    """

    def __init__(self, prepared: Prepared, event: Event, stored_keys: StoredKeys) -> None:
        """Take this batch; `event` says who sends, what is evidence of the batch is added here."""
        self.prepared = prepared
        self._stored_keys = stored_keys
        self.answer = b""
        self.stored: Stored | None = None
        self.event = event.with_(
            kind=UPLOAD,
            organisation=prepared.desk.organisation,
            request_id=str(prepared.request_id),
            unit=prepared.batch.unit_code,
            sequence=prepared.batch.sequence,
            commitment=prepared.commitment,
        )

    async def __call__(self, tx: Transaction) -> Event:
        """Judge and write the batch; return its event, or that of a repetition.

        Raises REVISION_STALE when another process stored one of its records meanwhile, and
        REQUEST_ID_REUSED.
        """
        beside = await known.load(tx, self.prepared)
        self.judge(beside)
        try:
            batch_id = await writing.write(
                tx, self.prepared, beside, self.answer, self.missing_keys()
            )
        except StoreError as error:
            if isinstance(error, UniqueViolationError) or error.sqlstate == _DEADLOCK:
                raise refuse(Reason.REVISION_STALE) from None
            raise
        if batch_id is None:
            return await self._again(tx)
        return await self.written(tx, beside, batch_id)

    def missing_keys(self) -> Sequence[ContentKey]:
        """Return the batch's content keys whose rows are not committed yet."""
        return self._stored_keys.missing(self.prepared)

    def judge(self, beside: known.Known) -> None:
        """Give every item its state, and make the answer."""
        Judgement(self.prepared, beside).run()
        self.answer, self.stored = stored_answer(self.prepared), None

    async def written(self, tx: Transaction, beside: known.Known, batch_id: int) -> Event:
        """Keep what was not taken, settle what was held; return the event with its counts."""
        prepared = self.prepared
        await quarantine.hold(tx, prepared, batch_id)
        await quarantine.settle(tx, prepared, beside)
        counts = Counter(_COUNTED[item.state] for item in prepared.items)
        counts["items"] = len(prepared.items)
        if beside.waiting:
            counts["released"] = await quarantine.release(tx, beside.waiting, prepared.desk.now_us)
        return self.event.with_(batch_id=batch_id, counts=dict(counts))

    async def _again(self, tx: Transaction) -> Event:
        """Return the event of a batch that was taken before; raises REQUEST_ID_REUSED."""
        prepared = self.prepared
        stored = await stored_batch(tx, prepared.desk.organisation, prepared.request_id)
        if stored is None:
            # Its writer's transaction was undone between our two statements.
            raise refuse(Reason.REVISION_STALE)
        expect_same(stored, prepared.digest)
        self.stored = stored
        return self.event.with_(batch_id=stored.batch_id, detail={"state": "repeated"})
