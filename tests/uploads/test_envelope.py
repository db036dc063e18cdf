"""The envelope: what refuses a batch as a whole, and that nothing of it was taken then."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import Reason, Refusal
from gateway.uploads import envelope
from gateway.v1.upload_service_pb2 import UploadBatchesRequest
from tests.audit.stage import NOW_US
from tests.records.office import desk
from tests.uploads.county import FOREIGN_UNIT, UNIT, a_child, a_dose, an_item, county, refused, run

Batch = UploadBatchesRequest
ID = "5f0d7d3e-0c5b-4a57-8c4e-4d1b6a6f9c11"
MINUTE, DAY = 60, 86400


def a_batch(**changes: Any) -> Batch:
    batch = Batch(
        request_id=ID,
        unit_code=UNIT,
        sequence=1,
        schema_version="2026-1",
        lane=Batch.LANE_LIVE,
        items=[an_item(a_child())],
    )
    batch.made_time.FromMicroseconds(NOW_US)
    for name, value in changes.items():
        if name == "age":
            batch.made_time.FromMicroseconds(NOW_US - value * 1_000_000)
        elif name == "items":
            batch.ClearField("items")
            batch.items.extend(value)
        else:
            setattr(batch, name, value)
    return batch


def broken(batch: Batch, raw: bytes = b"") -> list[tuple[str, str]]:
    try:
        envelope.check(batch, raw, desk())
    except Refusal as refusal:
        return [(one.rule, one.field) for one in refusal.violations]
    return []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"request_id": ID.upper()}, []),
        ({"request_id": ""}, [("EN-10", "request_id")]),
        ({"request_id": "01HZY3Q2M7T8V9W0X1Y2Z3A4B5"}, [("EN-10", "request_id")]),
        ({"unit_code": FOREIGN_UNIT}, [("EN-03", "unit_code")]),
        ({"unit_code": ""}, [("EN-03", "unit_code")]),
        ({"sequence": 0}, [("EN-10", "sequence")]),
        ({"sequence": 2**63}, [("EN-10", "sequence")]),
        ({"schema_version": "2019-1"}, [("EN-01", "schema_version")]),
        ({"client_version": "a\n"}, [("EN-09", "client_version")]),
        ({"client_version": "a" * 101}, [("EN-09", "client_version")]),
        ({"age": 10 * MINUTE}, []),
        ({"age": 10 * MINUTE + 1}, [("EN-07", "made_time")]),
        ({"age": -10 * MINUTE}, []),
        ({"age": -10 * MINUTE - 1}, [("EN-07", "made_time")]),
        ({"age": 400 * DAY, "lane": Batch.LANE_BACKFILL}, []),
        ({"age": 400 * DAY + 1, "lane": Batch.LANE_BACKFILL}, [("EN-07", "made_time")]),
        ({"age": -10 * MINUTE - 1, "lane": Batch.LANE_BACKFILL}, [("EN-07", "made_time")]),
        ({"lane": Batch.LANE_UNSPECIFIED}, [("EN-08", "lane")]),
        ({"lane": 7}, [("EN-08", "lane")]),
        ({"items": []}, [("EN-06", "items")]),
        ({"items": [an_item(a_child())] * 1000}, []),
        ({"items": [an_item(a_child())] * 1001}, [("EN-06", "items")]),
        ({"sequence": 0, "unit_code": ""}, [("EN-03", "unit_code"), ("EN-10", "sequence")]),
    ],
)
def test_rules(changes: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert broken(a_batch(**changes)) == found


def test_a_batch_of_more_bytes_than_allowed() -> None:
    assert broken(a_batch(), bytes(4 * 1024 * 1024)) == []
    assert broken(a_batch(), bytes(4 * 1024 * 1024 + 1)) == [("EN-06", "items")]


def test_violations_have_texts_and_no_values() -> None:
    with pytest.raises(Refusal) as raised:
        envelope.check(a_batch(schema_version="canary"), b"", desk())
    for violation in raised.value.violations:
        assert violation.english
        assert violation.chinese
        assert "canary" not in repr(violation)


def test_a_refused_batch_leaves_nothing(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            bad = one.batch(a_child(), schema_version="1")
            refusal = await refused(one.send(bad))
            assert refusal.reason is Reason.BATCH_MALFORMED
            # The guard writes the leaf of what was refused before the log was asked.
            assert refusal.leaf_index is None
            assert await one.rows("SELECT 1 FROM gateway.batch") == []
            good = one.batch(a_child(), request_id=bad.request_id, sequence=1)
            await one.send(good)

    run(play())


def test_unknown_fields_of_the_envelope_refuse_it(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            raw = one.batch(a_child()).SerializeToString() + b"\xc0\x3e\x01"
            refusal = await refused(one.send_bytes(raw))
            assert [v.rule for v in refusal.violations] == ["EN-08"]

    run(play())


def test_unknown_fields_of_an_item_reject_the_item(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            batch = one.batch(a_child(1), a_child(2), a_dose(a_child(1)))
            batch.items[1].child.MergeFromString(b"\xc0\x3e\x01")
            batch.items[2].vaccination.lot.MergeFromString(b"\xc0\x3e\x01")
            batch.items.add().CopyFrom(batch.items[0])
            batch.items[3].MergeFromString(b"\xc0\x3e\x01")
            receipt = await one.send(batch)
            found = [[f.rule_id for f in item.findings] for item in receipt.items]
            assert found == [[], ["EN-08"], ["EN-08"], ["EN-08"]]

    run(play())
