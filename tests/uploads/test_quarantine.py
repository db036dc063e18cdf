"""What was not taken: kept, listed without content, released by its child, settled by its correction."""

from collections.abc import Callable
from datetime import timedelta

from gateway.uploads.quarantine import START
from gateway.v1 import upload_service_pb2 as u
from tests.uploads.county import (
    BORN,
    SECOND_UNIT,
    UNIT,
    County,
    a_child,
    a_dose,
    county,
    rules,
    run,
    states,
)

Conninfo = Callable[[str], str]
HOURS_72_US = 72 * 3600 * 1_000_000


async def listed(one: County, unit: str = "") -> list[u.QuarantinedItem]:
    return [item for item, _ in await one.intake.held(one.organisation, unit, START, 1000)]


def test_a_dose_waits_for_its_child_and_is_taken_with_it(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            child = a_child()
            dose = a_dose(child)
            receipt = await one.upload(dose)
            assert (states(receipt), rules(receipt)) == (["quarantined"], ["VA-01"])
            (item,) = await listed(one)
            assert (item.record_id, item.kind, item.unit_code) == (
                dose.record_id,
                "vaccination",
                UNIT,
            )
            assert item.deadline_time.ToMicroseconds() == one.stage.clock.us + HOURS_72_US
            assert item.received_time.ToMicroseconds() == one.stage.clock.us
            assert [f.rule_id for f in item.findings] == ["VA-01"]
            assert item.findings[0].message
            assert item.findings[0].message_zh
            leaf = (await one.upload(child)).leaf
            assert b'"released":1' in leaf
            assert await listed(one) == []
            # It lies where it came in.
            assert await one.rows("SELECT batch_id, item_index FROM gateway.dose") == [(1, 0)]
            assert states(await one.upload(dose)) == ["duplicate"]
            # The first answer stays what it was.
            assert await one.rows("SELECT state FROM gateway.held") == [(1,)]
            answered = await one.rows("SELECT state FROM gateway.item ORDER BY batch_id")
            assert answered == [
                (u.ITEM_STATE_QUARANTINED,),
                (u.ITEM_STATE_ACCEPTED,),
                (u.ITEM_STATE_DUPLICATE,),
            ]

    run(play())


def test_a_released_dose_is_judged_by_every_rule(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            child = a_child()
            doses = [
                a_dose(child, day=BORN - timedelta(days=1)),
                a_dose(child, number=2, day=BORN + timedelta(days=5)),
                a_dose(child, "0101", day=BORN, lot__expiry_date=BORN - timedelta(days=1), route=3),
                a_dose(child, "0101", day=BORN, free_of_charge=False, route=3, site=1),
            ]
            receipt = await one.upload(*doses)
            assert [rules(receipt, n) for n in range(4)] == [
                ["VA-01"],
                ["VA-01"],
                ["VA-05", "VA-01"],
                ["VA-14", "VA-01"],
            ]
            await one.upload(child)
            rows = await one.rows("SELECT item_index, state, findings FROM gateway.held ORDER BY 1")
            found = {
                index: (state, [rule for rule, _ in findings]) for index, state, findings in rows
            }
            assert found == {
                0: (u.ITEM_STATE_REJECTED, ["VA-03"]),
                1: (u.ITEM_STATE_FLAGGED, ["VA-06", "VA-10"]),
                2: (u.ITEM_STATE_QUARANTINED, ["VA-05"]),
                3: (u.ITEM_STATE_FLAGGED, ["VA-14"]),
            }
            assert [item.index for item in await listed(one)] == [0, 2]
            assert await one.rows("SELECT count(*) FROM gateway.dose") == [(2,)]
            # Nothing of it waits any more.
            assert await one.rows("SELECT 1 FROM gateway.held WHERE deadline_us IS NOT NULL") == []

    run(play())


def test_doses_in_the_childs_own_batch_and_waiting_ones_are_judged_together(
    conninfo: Conninfo,
) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            child = a_child()
            second = a_dose(child, number=2, day=BORN + timedelta(days=40))
            await one.upload(second)
            receipt = await one.upload(child, a_dose(child))
            assert states(receipt) == ["accepted", "accepted"]
            assert await one.rows("SELECT state, findings FROM gateway.held") == [(1, [])]

    run(play())


def test_the_same_dose_held_twice_is_taken_once(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            dose = a_dose(a_child())
            for _ in range(2):
                assert states(await one.upload(dose)) == ["quarantined"]
            await one.upload(a_child())
            found = await one.rows("SELECT state FROM gateway.held ORDER BY batch_id")
            assert found == [(u.ITEM_STATE_ACCEPTED,), (u.ITEM_STATE_DUPLICATE,)]
            assert await listed(one) == []

    run(play())


def test_a_held_card_keeps_its_doses_waiting(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            bad = a_child(guardians=[])
            receipt = await one.upload(bad, a_dose(bad))
            assert states(receipt) == ["quarantined", "quarantined"]
            assert (await listed(one))[0].record_id == ""
            # Corrected, the card is taken, its dose released, and both are off the list.
            assert states(await one.upload(a_child())) == ["accepted"]
            assert await listed(one) == []

    run(play())


def test_a_correction_settles_what_was_held(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_child())
            dose = a_dose(a_child(), lot__vaccine_code="0099")
            assert rules(await one.upload(dose)) == ["VA-02"]
            dose.lot.vaccine_code = "0202"
            assert states(await one.upload(dose)) == ["accepted"]
            assert await listed(one) == []

    run(play())


def test_pages_and_units(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(*(a_dose("1") for _ in range(5)))
            await one.send(one.batch(a_dose("1"), unit_code=SECOND_UNIT))
            assert len(await listed(one)) == 6
            assert len(await listed(one, SECOND_UNIT)) == 1
            seen, after = [], START
            while page := await one.intake.held(one.organisation, UNIT, after, 2):
                seen += [item.index for item, _ in page]
                after = page[-1][1]
            assert seen == [0, 1, 2, 3, 4]
            assert await one.intake.held("140106", "", START, 10) == []
            assert {item.state for item in await listed(one)} == {u.ITEM_STATE_REJECTED}

    run(play())
