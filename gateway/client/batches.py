"""Batches out of records: each complete by itself, with its own id, as the bytes that will be sent.

The bytes are made once. The gateway knows a batch by its id and the digest of exactly these bytes,
so whoever asks again sends them again and never serialises anew.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.client.verify import Sent
from gateway.clock import SYSTEM, Clock
from gateway.v1 import upload_service_pb2 as v1

SCHEMA_VERSION = "2026-1"
ITEMS_MAX = 1000
# Of the gateway's 4 MiB; the rest is the envelope's.
_ITEMS_BYTES = 4 * 1024 * 1024 - 4096
# An item's tag and length in the batch.
_ITEM_OVERHEAD_BYTES = 8


@dataclass(slots=True)
class Envelope:
    """What all batches of one upload share; `sequence` is the number of the next one, from 1."""

    unit_code: str
    sequence: int
    lane: v1.UploadBatchesRequest.Lane.ValueType = v1.UploadBatchesRequest.LANE_BACKFILL
    items_max: int = ITEMS_MAX
    namespace: uuid.UUID = field(default_factory=uuid.uuid4)
    clock: Clock = SYSTEM

    def seal(self, items: Iterable[v1.Item], number: int) -> Sent:
        """Return the batch of these items; its id follows from the upload's and the `number`."""
        made = Timestamp()
        made.FromMicroseconds(self.clock.now_us())
        request = v1.UploadBatchesRequest(
            request_id=str(uuid.uuid5(self.namespace, str(number))),
            unit_code=self.unit_code,
            sequence=self.sequence,
            schema_version=SCHEMA_VERSION,
            client_version=_client_version(),
            made_time=made,
            lane=self.lane,
            items=items,
        )
        self.sequence += 1
        count = len(request.items)
        message = request.SerializeToString()
        return Sent(request.request_id, self.unit_code, request.sequence, count, message)


def portions(items: Iterable[v1.Item], items_max: int = ITEMS_MAX) -> Iterator[list[v1.Item]]:
    """Yield the items in portions that a batch can hold by number and by size."""
    portion: list[v1.Item] = []
    room = _ITEMS_BYTES
    for item in items:
        size = item.ByteSize() + _ITEM_OVERHEAD_BYTES
        if portion and size > room:
            yield portion
            portion, room = [], _ITEMS_BYTES
        portion.append(item)
        room -= size
        if len(portion) == items_max:
            yield portion
            portion, room = [], _ITEMS_BYTES
    if portion:
        yield portion


def sent_of(message: bytes) -> Sent:
    """Return a batch from its bytes as they were spooled."""
    request = v1.UploadBatchesRequest.FromString(message)
    return Sent(
        request.request_id, request.unit_code, request.sequence, len(request.items), message
    )


@cache
def _client_version() -> str:
    return version("provincial-gateway")
