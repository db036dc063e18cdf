import uuid

from gateway.client.batches import Envelope, portions, sent_of
from gateway.clock import TurnedClock
from gateway.v1 import upload_service_pb2 as up
from gateway.v1 import vaccination_pb2 as v


def items(count, size=0):
    return [
        up.Item(vaccination=v.Vaccination(record_id=str(n), dose_amount="x" * size))
        for n in range(count)
    ]


def envelope(**options):
    namespace = uuid.UUID(int=7)
    return Envelope(
        "1401050003", 5, namespace=namespace, clock=TurnedClock(1_800_000_000_000_000), **options
    )


def test_a_batch_is_complete_and_numbered():
    made = envelope()
    first, second = made.seal(items(3), 0), made.seal(items(2), 1)
    request = up.UploadBatchesRequest.FromString(first.message)
    assert (first.sequence, second.sequence) == (5, 6)
    assert first.request_id == request.request_id != second.request_id
    assert (request.unit_code, request.schema_version, len(request.items)) == (
        "1401050003",
        "2026-1",
        3,
    )
    assert request.lane == up.UploadBatchesRequest.LANE_BACKFILL
    assert request.made_time.seconds == 1_800_000_000
    assert request.client_version
    assert sent_of(first.message) == first


def test_the_id_follows_from_upload_and_number():
    assert envelope().seal(items(1), 4).request_id == envelope().seal(items(2), 4).request_id


def test_portions_hold_what_a_batch_can_by_number_and_size():
    assert [len(portion) for portion in portions(items(2500))] == [1000, 1000, 500]
    assert [len(portion) for portion in portions(items(9, size=1_000_000))] == [4, 4, 1]
    assert [len(portion) for portion in portions(items(2, size=5_000_000))] == [1, 1]
    assert list(portions([])) == []
    sizes = [
        len(envelope().seal(portion, 0).message) for portion in portions(items(3000, size=4100))
    ]
    assert max(sizes) <= 4 * 1024 * 1024
