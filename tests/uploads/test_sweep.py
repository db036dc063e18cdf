"""The sweep: waiting ends after 72 hours, and what a card released unseen is released."""

import json
from collections.abc import Callable

from gateway.audit.event import Event
from gateway.v1 import upload_service_pb2 as u
from tests.uploads.county import County, a_child, a_dose, county, run, states
from tests.uploads.test_quarantine import listed

EVENT = Event(door="intake")


async def sweep(one: County) -> int:
    return await one.intake.sweep(EVENT)


def test_after_72_hours_a_waiting_dose_is_rejected(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_dose(a_child()))
            one.stage.clock.turn(seconds=72 * 3600 - 1)
            assert await sweep(one) == 0
            assert len(await one.leaves()) == 1
            one.stage.clock.turn(seconds=1)
            assert await sweep(one) == 1
            (item,) = await listed(one)
            assert item.state == u.ITEM_STATE_REJECTED
            assert not item.HasField("deadline_time")
            assert [f.rule_id for f in item.findings] == ["VA-01"]
            leaf = json.loads((await one.leaves())[1])
            assert leaf["kind"] == "upload.sweep"
            assert leaf["counts"] == {"rejected": 1, "released": 0}
            # The child comes too late for it; the dose must be sent again.
            assert states(await one.upload(a_child())) == ["accepted"]
            assert await one.rows("SELECT count(*) FROM gateway.dose") == [(0,)]
            assert await sweep(one) == 0

    run(play())


def test_past_its_time_a_child_releases_nothing_before_the_sweep_either(
    conninfo: Callable[[str], str],
) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_dose(a_child()))
            one.stage.clock.turn(seconds=72 * 3600)
            await one.upload(a_child())
            assert await one.rows("SELECT count(*) FROM gateway.dose") == [(0,)]
            assert await sweep(one) == 1
            assert (await listed(one))[0].state == u.ITEM_STATE_REJECTED

    run(play())


def test_what_a_card_did_not_see_is_released(conninfo: Callable[[str], str]) -> None:
    """A dose and its card in two transactions at the same time see each other in neither."""

    async def play() -> None:
        async with county(conninfo) as one:
            dose = a_dose(a_child())
            await one.upload(dose)
            async with one.stage.database.transaction() as tx:
                await tx.execute("UPDATE gateway.held SET deadline_us = NULL")
            await one.upload(a_child())
            async with one.stage.database.transaction() as tx:
                later = one.stage.clock.us + 5_000_000
                await tx.execute("UPDATE gateway.held SET deadline_us = %s", (later,))
            assert await one.rows("SELECT count(*) FROM gateway.dose") == [(0,)]
            assert await sweep(one) == 1
            assert await one.rows("SELECT batch_id, item_index FROM gateway.dose") == [(1, 0)]
            assert await listed(one) == []
            assert json.loads((await one.leaves())[-1])["counts"] == {"rejected": 0, "released": 1}

    run(play())
