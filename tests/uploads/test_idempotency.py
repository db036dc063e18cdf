"""The same batch again: one answer for ever, other bytes refused, both on the log."""

import asyncio
import json
from collections.abc import Callable

from gateway.errors import Reason
from gateway.tlog import proof
from gateway.tlog.keys import LogKeys
from gateway.v1.upload_service_pb2 import BatchReceipt
from tests.uploads.county import County, a_child, a_dose, county, refused, run, states


def verified(one: County, receipt: BatchReceipt) -> int:
    """Verify a receipt's proof and return its entry's index."""
    found = proof.parse(receipt.proof)
    found.verify(receipt.leaf, LogKeys.of(one.stage.signer.verifier))
    return found.index


def test_the_same_bytes_get_the_same_answer(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            raw = one.batch(a_child(), a_dose("1" * 18)).SerializeToString()
            first = await one.send_bytes(raw)
            await one.upload(a_child(2))
            again = await one.send_bytes(raw)
            first_index, again_index = verified(one, first), verified(one, again)
            assert first_index == again_index
            for receipt in (first, again):
                receipt.ClearField("proof")
            assert first == again
            assert await one.rows("SELECT count(*) FROM gateway.batch") == [(2,)]
            assert await one.rows("SELECT count(*) FROM gateway.item") == [(3,)]
            leaves = [json.loads(leaf) for leaf in await one.leaves()]
            assert [leaf.get("detail") for leaf in leaves] == [None, None, {"state": "repeated"}]
            assert leaves[0]["batch_id"] == leaves[2]["batch_id"]

    run(play())


def test_the_same_bytes_at_once_get_the_same_answer(conninfo: Callable[[str], str]) -> None:
    """Two lines of one system that lost touch: neither hears that the log is not writable."""

    async def play() -> None:
        async with county(conninfo) as one:
            raw = one.batch(a_child()).SerializeToString()
            receipts = await asyncio.gather(*(one.send_bytes(raw) for _ in range(3)))
            assert {verified(one, each) for each in receipts} == {0}
            assert len({(each.leaf, each.salt) for each in receipts}) == 1
            assert await one.rows("SELECT count(*) FROM gateway.item") == [(1,)]
            details = [json.loads(leaf).get("detail") for leaf in await one.leaves()]
            assert details == [None, {"state": "repeated"}, {"state": "repeated"}]

    run(play())


def test_other_bytes_under_the_same_id_are_refused(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            batch = one.batch(a_child())
            await one.send(batch)
            batch.sequence = 2
            refusal = await refused(one.send(batch))
            assert refusal.reason is Reason.REQUEST_ID_REUSED
            assert refusal.leaf_index == 1
            (leaf,) = await one.leaves("deny")
            assert json.loads(leaf)["reason"] == "REQUEST_ID_REUSED"
            assert json.loads(leaf)["request_id"] == batch.request_id
            # The next good call works.
            assert states(await one.upload(a_child(2))) == ["accepted"]

    run(play())


def test_another_organisations_id_is_another_batch(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            batch = one.batch(a_child())
            await one.send(batch)
            one.organisation = "140106"
            other = one.batch(a_child(5), unit_code="1401060001", request_id=batch.request_id)
            assert await one.send(other)
            assert await one.rows("SELECT count(*) FROM gateway.batch") == [(2,)]

    run(play())


def test_receipts_are_handed_out_again_to_their_owner(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            batch = one.batch(a_child())
            receipt = await one.send(batch)
            again = BatchReceipt.FromString(
                await one.intake.receipt(one.organisation, batch.request_id.upper())
            )
            assert (again.leaf, again.salt, again.items) == (
                receipt.leaf,
                receipt.salt,
                receipt.items,
            )
            verified(one, again)
            for organisation, name in (("140106", batch.request_id), (one.organisation, "x")):
                refusal = await refused(one.intake.receipt(organisation, name))
                assert refusal.reason is Reason.NOT_FOUND
            unknown = "00000000-0000-4000-8000-000000000000"
            refusal = await refused(one.intake.receipt(one.organisation, unknown))
            assert refusal.reason is Reason.NOT_FOUND

    run(play())


def test_a_repetition_writes_nothing(conninfo: Callable[[str], str]) -> None:
    """Not even when it was quarantined or rejected the first time."""

    async def play() -> None:
        async with county(conninfo) as one:
            raw = one.batch(a_dose(a_child()), a_dose("1")).SerializeToString()
            await one.send_bytes(raw)
            counts = (
                "SELECT (SELECT count(*) FROM gateway.held), (SELECT count(*) FROM gateway.dose)"
            )
            before = await one.rows(counts)
            await one.send_bytes(raw)
            assert await one.rows(counts) == before == [(2, 0)]

    run(play())
