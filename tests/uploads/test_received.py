"""What is sealed of an item, and what is told of its identity."""

import uuid
from collections.abc import Callable
from typing import Any

from gateway.uploads.received import KIND_NAMES
from gateway.v1.child_pb2 import TEST_RESULT_POSITIVE, ChildRestricted
from gateway.v1.upload_service_pb2 import Item
from tests.audit.stage import until
from tests.uploads.county import County, a_child, a_dose, county, refused, run, states

Conninfo = Callable[[str], str]


async def opened(one: County, request_id: str, index: int) -> tuple[Item, bytes | None]:
    """Return an item as disclosure opens it, and its restricted part."""
    sql = """
        SELECT i.key_id, i.nonce, i.body, i.restricted_key_id, i.restricted_nonce, i.restricted_body
        FROM gateway.item AS i JOIN gateway.batch AS b USING (batch_id) WHERE b.request_id = %s AND item_index = %s
    """
    ((key_id, nonce, body, *apart),) = await one.rows(sql, request_id, index)
    row = uuid.UUID(request_id).bytes + index.to_bytes(4)
    item = Item.FromString((await key_of(one, key_id)).open("item", row, 0, nonce, body))
    if apart[0] is None:
        return item, None
    return item, (await key_of(one, apart[0])).open("item.restricted", row, 0, apart[1], apart[2])


async def key_of(one: County, key_id: uuid.UUID) -> Any:
    sql = "SELECT recipient, wrapped FROM gateway.content_key WHERE key_id = %s"
    ((recipient, wrapped),) = await one.rows(sql, key_id)
    return one.opener.unwrap(key_id, recipient, wrapped)


def test_every_item_is_kept_as_it_came(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            records = [
                a_child(),
                a_dose(a_child()),
                a_dose(a_child(9)),
                a_dose("1"),
                a_child(guardians=[]),
            ]
            batch = one.batch(*records)
            batch.items.add()
            receipt = await one.send(batch)
            assert states(receipt) == [
                "accepted",
                "accepted",
                "quarantined",
                "rejected",
                "rejected",
                "rejected",
            ]
            for index, item in enumerate(batch.items):
                assert await opened(one, batch.request_id, index) == (item, None)

    run(play())


def test_items_of_one_are_kept_too(conninfo: Conninfo) -> None:
    """The way of a batch of one item is another statement."""

    async def play() -> None:
        async with county(conninfo) as one:
            for record in (a_child(), a_dose(a_child()), a_dose("1"), restricted()):
                batch = one.batch(record)
                await one.send(batch)
                item, apart = await opened(one, batch.request_id, 0)
                if apart is not None:
                    item.child.restricted.CopyFrom(ChildRestricted.FromString(apart))
                assert item == batch.items[0]

    run(play())


def restricted() -> Any:
    child = a_child(2)
    child.restricted.mother_hiv = TEST_RESULT_POSITIVE
    child.restricted.allergies = "过敏"
    return child


def test_the_restricted_part_is_sealed_apart(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            batch = one.batch(a_child(1), restricted())
            await one.send(batch)
            item, apart = await opened(one, batch.request_id, 1)
            assert not item.child.HasField("restricted")
            assert apart is not None
            assert ChildRestricted.FromString(apart) == batch.items[1].child.restricted
            keys = await one.rows("SELECT recipient FROM gateway.content_key")
            assert len(keys) == len(set(keys)) == 2

    run(play())


def test_unknown_fields_are_kept_as_evidence(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            batch = one.batch(a_child())
            batch.items[0].child.MergeFromString(b"\xc0\x3e\x01")
            await one.send(batch)
            item, _ = await opened(one, batch.request_id, 0)
            assert item.SerializeToString() == batch.items[0].SerializeToString()

    run(play())


def test_a_record_of_a_later_version_is_rejected(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            batch = one.batch(a_child())
            batch.items.add().MergeFromString(b"\xc2\x3e\x00")
            receipt = await one.send(batch)
            assert [f.rule_id for f in receipt.items[1].findings] == ["EN-10", "EN-08"]

    run(play())


def test_a_key_is_stored_with_the_first_batch_that_is_taken(conninfo: Conninfo) -> None:
    """A batch that was not committed has not stored its key; the next one under that key does."""

    async def play() -> None:
        async with county(conninfo) as one:
            await one.stage.signer.kill()
            assert (await refused(one.upload(a_child()))).code == "UNAVAILABLE"
            await one.stage.signer.start()
            await until(lambda: one.stage.recorder.state.phase == "normal")
            batch = one.batch(a_child(2))
            await one.send(batch)
            assert (await opened(one, batch.request_id, 0))[0] == batch.items[0]
            one.stage.clock.turn(seconds=61)
            await one.upload(a_child(3))
            assert await one.rows("SELECT count(*) FROM gateway.content_key") == [(2,)]

    run(play())


def test_kinds_are_the_contracts_field_numbers() -> None:
    for field in Item.DESCRIPTOR.fields:
        assert KIND_NAMES[field.number] == field.name
