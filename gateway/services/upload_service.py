"""The intake door's service: each batch decoded, permitted and handed to the flow of uploads."""

# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from gateway.clock import Clock
from gateway.config.policies import WarningRules
from gateway.pki import renewal
from gateway.services import pages, requests
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.pages import Pages
from gateway.services.permits import Permits, unit_records
from gateway.uploads.batch import Intake
from gateway.uploads.quarantine import START, Place
from gateway.v1 import upload_service_pb2 as pb

# Field 1 of UploadBatchesResponse and of GetReceiptResponse, length-delimited: a receipt's stored
# bytes are handed out as they are, never parsed and written again.
_RECEIPT_TAG = b"\x0a"
_SEVEN_BITS = 0x7F


class UploadService:
    """Serves gateway.v1.UploadService."""

    def __init__(
        self,
        intake: Intake,
        current: Current,
        permits: Permits,
        pages: Pages,
        warnings: WarningRules,
        clock: Clock,
    ) -> None:
        """Hand batches to this flow; `warnings` are the steps of the expiry ladder."""
        self._intake = intake
        self._current = current
        self._permits = permits
        self._pages = pages
        self._warnings = warnings
        self._clock = clock

    async def UploadBatches(self, call: Call, raw: bytes) -> bytes:
        """Answer one batch of the stream; the flow records it together with what it stores.

        Raises MESSAGE_MALFORMED, POLICY_DENIED, BATCH_MALFORMED, REQUEST_ID_REUSED.
        """
        batch = requests.parse(pb.UploadBatchesRequest, raw)
        requests.adopt_id(call, batch.request_id)
        registry = self._current.known
        self._permits.require(call, [unit_records(batch.unit_code, registry)], registry)
        receipt = await self._intake.accept(call.caller, call.event, raw, batch)
        return receipt_field(receipt) + await self._warning(call)

    async def GetReceipt(self, call: Call, request: pb.GetReceiptRequest) -> pb.GetReceiptResponse:
        """Hand out the receipt of a batch of the caller's organisation; raises NOT_FOUND."""
        stored = await self._intake.receipt(call.caller.organisation, request.request_id)
        return pb.GetReceiptResponse.FromString(receipt_field(stored))

    async def ListQuarantine(
        self, call: Call, request: pb.ListQuarantineRequest
    ) -> pb.ListQuarantineResponse:
        """List what was not accepted of the caller's organisation, oldest first."""
        size = pages.size(request)
        position = self._pages.position(call, request)
        after = START if position is None else Place(int(position[0]), int(position[1]))
        organisation = call.caller.organisation
        found = await self._intake.held(organisation, request.unit_code, after, size + 1)
        shown = found[:size]
        call.note(counts={"rows": len(shown)})
        response = pb.ListQuarantineResponse(items=[item for item, _ in shown])
        if len(found) > size:
            last = shown[-1][1]
            position = [last.batch_id, last.item_index]
            response.next_page_token = self._pages.seal(call, request, position)
        return response

    async def _warning(self, call: Call) -> bytes:
        """Return the field that tells how soon the certificate ends, beside the stored receipt.

        Nothing while no step of the ladder is reached.
        """
        found = await self._current.certificate(call.link.serial)
        if found is None:
            return b""
        bounds = (found.life.not_before_us, found.life.not_after_us)
        step = renewal.warning_days(*bounds, self._clock.now_us(), self._warnings)
        return pb.UploadBatchesResponse(certificate_warning_days=step).SerializeToString()


def receipt_field(receipt: bytes) -> bytes:
    """Return the bytes of a response whose only field, of number 1, is this serialised receipt."""
    length, prefix = len(receipt), bytearray(_RECEIPT_TAG)
    while length > _SEVEN_BITS:
        prefix.append(length & _SEVEN_BITS | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + receipt
