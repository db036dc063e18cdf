"""The part of UploadService about what a restore lost: cities prove it by their receipts."""

# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import asyncio
from collections.abc import Sequence

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.config.home import Home
from gateway.errors import Refusal
from gateway.services.call import Call, told
from gateway.services.repeats import is_repeat
from gateway.services.requests import invalid
from gateway.store.database import Transaction
from gateway.uploads import lost
from gateway.uploads.lost import Lost, Restores
from gateway.v1 import upload_service_pb2 as pb

# Of a full batch each, without findings, they fill three quarters of a message.
_RECEIPTS_MAX = 64


class LossService:
    """Serves PresentLostReceipts of gateway.v1.UploadService."""

    def __init__(self, home: Home, clock: Clock) -> None:
        """Judge receipts by this HOME's log keys and restores."""
        self._home, self._clock = home, clock

    async def PresentLostReceipts(
        self, call: Call, request: pb.PresentLostReceiptsRequest
    ) -> pb.PresentLostReceiptsResponse:
        """Keep to the record what receipts prove to be lost, all of them or none.

        Raises FIELD_INVALID, RECEIPT_INVALID, RECEIPT_FOREIGN, RECEIPT_KEPT, REQUEST_ID_REUSED.
        """
        if not 1 <= len(request.receipts) <= _RECEIPTS_MAX:
            raise invalid("receipts", "COUNT", "1 to 64.", "一至六十四份。")
        organisation = call.caller.organisation
        try:
            # Hundreds of signatures and hashes: uploads are not kept waiting meanwhile.
            found = await asyncio.to_thread(self._judged, request.receipts, organisation)
        except Refusal as refusal:
            call.note(detail=refusal.metadata)
            raise

        async def work(tx: Transaction) -> list[Lost]:
            await is_repeat(tx, call)
            return await lost.record(tx, organisation, found, self._clock.now_us())

        added = await call.effect(work, _told)
        return pb.PresentLostReceiptsResponse(added=len(added))

    def _judged(self, receipts: Sequence[pb.BatchReceipt], organisation: str) -> list[Lost]:
        restores = Restores.of(self._home)
        return [restores.judge(each, organisation) for each in receipts]


def _told(added: list[Lost], event: Event) -> Event:
    """Count what is new on record, and name the restore that lost it, the newest of several."""
    counts = lost.counted(added)
    if not added:
        return told(event, counts=counts)
    cut = max((one.cut for one in added), key=lambda each: each.restored_us)
    return told(event, counts=counts, detail={"statement_sha256": cut.statement})
