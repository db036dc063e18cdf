"""Batches of one dose in one commit group: taken in one go, with the outcome of one by one."""

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import Reason, Refusal
from gateway.tlog import proof
from gateway.tlog.keys import LogKeys
from gateway.uploads import together
from gateway.v1.upload_service_pb2 import BatchReceipt, UploadBatchesRequest
from tests.uploads.county import (
    BORN,
    FOREIGN_UNIT,
    OTHER_COUNTY,
    SECOND_UNIT,
    County,
    a_child,
    a_dose,
    county,
    rules,
    states,
)

Conninfo = Callable[[str], str]
Outcome = BatchReceipt | BaseException


@pytest.fixture
def joined(monkeypatch) -> list[int]:
    """Return how many batches were written together, each time."""
    seen: list[int] = []
    original = together.open_singles

    async def counting(tx, batches, *rest):
        seen.append(len(batches))
        return await original(tx, batches, *rest)

    monkeypatch.setattr(together, "open_singles", counting)
    return seen


async def at_once(one: County, *batches: UploadBatchesRequest) -> Sequence[Outcome]:
    """Send batches so that they stand in one commit group."""
    return await asyncio.gather(*map(one.send, batches), return_exceptions=True)


def taken(outcomes: Sequence[Outcome]) -> list[BatchReceipt]:
    """Return receipts where nothing was refused."""
    assert all(isinstance(each, BatchReceipt) for each in outcomes), outcomes
    return [each for each in outcomes if isinstance(each, BatchReceipt)]


def test_each_gets_its_rows_its_leaf_and_its_receipt(conninfo: Conninfo, joined: list[int]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(*(a_child(n) for n in range(5)))
            batches = [
                one.batch(a_dose(a_child(n)), unit_code=unit)
                for n, unit in enumerate([*[a_dose("").unit_code] * 3, SECOND_UNIT, SECOND_UNIT])
            ]
            for batch, receipt in zip(batches, taken(await at_once(one, *batches)), strict=True):
                assert states(receipt) == ["accepted"]
                found = proof.parse(receipt.proof)
                found.verify(receipt.leaf, LogKeys.of(one.stage.signer.verifier))
                leaf = json.loads(receipt.leaf)
                assert leaf["request_id"] == receipt.request_id == batch.request_id
                assert leaf["counts"] == {"accepted": 1, "items": 1}
                (row,) = await one.rows(
                    "SELECT b.batch_id, d.record_id, i.key_id IN (SELECT key_id FROM gateway.content_key)"
                    " FROM gateway.batch AS b JOIN gateway.item AS i USING (batch_id)"
                    " JOIN gateway.dose AS d USING (batch_id, item_index) WHERE request_id = %s",
                    uuid.UUID(batch.request_id),
                )
                record_id = uuid.UUID(batch.items[0].vaccination.record_id).bytes
                assert row == (leaf["batch_id"], record_id, True)
            assert joined == [5]
            kept = dict(await one.rows("SELECT unit_code, sequence FROM gateway.batch_sequence"))
            assert kept == {a_dose("").unit_code: 4, SECOND_UNIT: 2}

    asyncio.run(play())


def test_a_later_one_is_judged_beside_the_earlier(conninfo: Conninfo, joined: list[int]) -> None:
    """Findings that two doses of one child give are the same at once as one after another."""
    found = []

    async def play(number: int, *, once: bool) -> None:
        async with county(conninfo) as one:
            child = a_child(number)
            await one.upload(child)
            batches = [
                one.batch(a_dose(child, number=n, day=BORN + timedelta(days=n)))
                for n in (1, 2, 2, 3)
            ]
            if once:
                receipts = taken(await at_once(one, *batches))
            else:
                receipts = [await one.send(batch) for batch in batches]
            found.append([(states(each), rules(each)) for each in receipts])

    asyncio.run(play(1, once=False))
    assert joined == []
    asyncio.run(play(2, once=True))
    assert joined == [4]
    assert found[0] == found[1]
    assert any(rules for _, rules in found[0])


def test_what_is_not_taken_is_held(conninfo: Conninfo, joined: list[int]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_child())
            doses = (a_dose(a_child()), a_dose(a_child(7)), a_dose("1"))
            receipts = taken(await at_once(one, *map(one.batch, doses)))
            assert [states(each) for each in receipts] == [
                ["accepted"],
                ["quarantined"],
                ["rejected"],
            ]
            assert joined == [3]
            held = await one.rows(
                "SELECT request_id::text, state FROM gateway.held JOIN gateway.batch USING (batch_id)"
                " ORDER BY batch_id"
            )
            assert held == [(receipts[1].request_id, 4), (receipts[2].request_id, 5)]
            # Its card comes: what waits is taken, as ever.
            assert states(await one.upload(a_child(7))) == ["accepted"]
            assert await one.rows("SELECT count(*) FROM gateway.dose") == [(2,)]

    asyncio.run(play())


def test_gaps_of_each_unit_are_told(conninfo: Conninfo, joined: list[int]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(*(a_child(n) for n in range(4)))
            receipts = taken(
                await at_once(
                    one,
                    one.batch(a_dose(a_child(0)), sequence=2),
                    one.batch(a_dose(a_child(1)), sequence=4),
                    one.batch(a_dose(a_child(2)), sequence=3),
                    one.batch(a_dose(a_child(3)), sequence=5),
                )
            )
            assert joined == [4]
            assert [rules(each) for each in receipts] == [[], ["EN-05"], [], []]

    asyncio.run(play())


def test_one_record_twice_or_again_is_taken_one_by_one(
    conninfo: Conninfo, joined: list[int]
) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_child(), a_child(2))
            dose = a_dose(a_child())
            first = taken(await at_once(one, *map(one.batch, (dose, dose, a_dose(a_child(2))))))
            assert [states(each) for each in first] == [["accepted"], ["duplicate"], ["accepted"]]
            dose.revision, dose.correction_reason, dose.dose_amount = 1, "录入错误", "1.0ml"
            other = a_dose(a_child(2), "0101", route=3, site=1)
            second = taken(await at_once(one, one.batch(dose), one.batch(other)))
            assert [states(each) for each in second] == [["accepted"], ["accepted"]]
            assert await one.rows("SELECT count(*) FROM gateway.earlier_revision") == [(1,)]
            waits = a_dose(a_child(9))
            await one.upload(waits)
            third = taken(await at_once(one, one.batch(waits), one.batch(a_dose(a_child(8)))))
            assert [states(each) for each in third] == [["quarantined"], ["quarantined"]]
            assert joined == []

    asyncio.run(play())


def test_a_repetition_spoils_nobodys_batch(conninfo: Conninfo, joined: list[int]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(*(a_child(n) for n in range(4)))
            before, reused = one.batch(a_dose(a_child(0))), one.batch(a_dose(a_child(1)))
            first = await one.send(before)
            await one.send(reused)
            reused.sequence += 10
            new = [one.batch(a_dose(a_child(n))) for n in (2, 3)]
            outcomes = await at_once(one, new[0], before, reused, new[1])
            again, refusal = outcomes[1], outcomes[2]
            assert isinstance(again, BatchReceipt)
            assert (again.leaf, again.salt) == (first.leaf, first.salt)
            assert isinstance(refusal, Refusal)
            assert refusal.reason is Reason.REQUEST_ID_REUSED
            assert refusal.leaf_index is not None
            assert [states(each) for each in taken([outcomes[0], outcomes[3]])] == [
                ["accepted"],
                ["accepted"],
            ]
            assert joined == [4]
            assert await one.rows("SELECT count(*) FROM gateway.batch") == [(5,)]
            leaves = [json.loads(leaf) for leaf in await one.leaves()]
            # The card, two doses; the repetition and two more: each its own leaf.
            assert len(leaves) == 6
            assert len(await one.leaves("deny")) == 1

    asyncio.run(play())


def test_two_organisations_may_use_one_id(conninfo: Conninfo, joined: list[int]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_child(), a_child(2))
            neighbour = replace(one, organisation=OTHER_COUNTY)
            other = one.batch(a_dose(a_child(2)))
            shared = one.batch(
                a_dose(a_child(), "0101", route=3, site=1, unit_code=FOREIGN_UNIT),
                unit_code=FOREIGN_UNIT,
            )
            shared.request_id = other.request_id
            both = taken(await asyncio.gather(one.send(other), neighbour.send(shared)))
            assert joined == [2]
            named = await one.rows(
                "SELECT organisation, record_id FROM gateway.dose JOIN gateway.batch USING (batch_id)"
            )
            assert {name: uuid.UUID(bytes=record) for name, record in named} == {
                one.organisation: uuid.UUID(other.items[0].vaccination.record_id),
                OTHER_COUNTY: uuid.UUID(shared.items[0].vaccination.record_id),
            }
            assert [json.loads(each.leaf)["organisation"] for each in both] == [
                one.organisation,
                OTHER_COUNTY,
            ]

    asyncio.run(play())
