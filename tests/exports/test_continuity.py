"""Attack 18: a backup put back brings no approved ticket back: they return as revoked, each by a leaf."""

import asyncio
import json

import pytest

from gateway.exports.continuity import MARK_FILE, RESTORED_ALERT, Continuity
from gateway.services.server import open_door
from tests.coverage.rpcs import Watch, eventually
from tests.exports.cast import Cast
from tests.exports.planted import plant
from tests.world import held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster, doors=("identity", "disclosure")) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


def continuity(cast):
    return Continuity(cast.mover(), cast.world.home.exports)


def mark(cast):
    return cast.world.home.exports / MARK_FILE


async def revoked(cast, spoil):
    """What becomes of one ticket of each kind when the log is not the one of the mark."""
    memory = continuity(cast)
    await memory.look(cast.base())
    tickets = [plant(cast, steps) for steps in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert await memory.look(cast.base()) == 0
    spoil(mark(cast))
    watch = Watch(cast.world)
    assert await memory.look(cast.base()) == 5
    leaves = await watch.leaves()
    assert {leaf["kind"] for leaf in leaves} == {"export.stop"}
    assert {leaf["detail"]["alert"] for leaf in leaves} == {RESTORED_ALERT}
    assert {leaf["detail"]["cause"] for leaf in leaves} == {"restored"}
    assert await memory.look(cast.base()) == 0
    return [cast.state(one) for one in tickets]


@pytest.mark.parametrize(
    "spoil",
    [
        # The log is shorter than what the door has seen.
        lambda file: file.write_text(json.dumps({"index": 10**9, "leaf_hash": "00" * 32})),
        # It has grown since, otherwise.
        lambda file: file.write_text(json.dumps({"index": 1, "leaf_hash": "00" * 32})),
        # Whoever has lost his memory believes nothing.
        lambda file: file.unlink(),
        lambda file: file.write_text("{"),
        lambda file: file.write_text("[]"),
    ],
    ids=["older", "other", "absent", "torn", "nonsense"],
)
def test_what_somebody_approved_and_nobody_released_returns_as_revoked(province, spoil):
    """Also what one had approved: it may have been denied or withdrawn since."""

    async def work(cast):
        states = await revoked(cast, spoil)
        assert states == ["draft", "submitted", *["revoked"] * 5, "released"]

    province(work)


def test_the_mark_follows_every_move_and_is_for_the_door_alone(province):
    async def work(cast):
        await continuity(cast).look(cast.base())
        before = mark(cast).read_bytes()
        serving = asyncio.create_task(continuity(cast).serve(cast.base()))
        try:
            await cast.draft()
            size = cast.world.size()
            await eventually(lambda: json.loads(mark(cast).read_bytes())["index"] == size - 1)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        assert mark(cast).read_bytes() != before
        assert mark(cast).stat().st_mode & 0o777 == 0o600

    province(work)


def test_a_row_that_the_log_does_not_know_stops_nothing(province):
    async def work(cast):
        memory = continuity(cast)
        await memory.look(cast.base())
        forged, good = plant(cast, 3), plant(cast, 3)
        cast.world.sql(
            "UPDATE gateway.ticket SET releases = 1 WHERE ticket_id = %s", forged.ticket_id
        )
        mark(cast).unlink()
        assert await memory.look(cast.base()) == 1
        assert (cast.state(forged), cast.state(good)) == ("approved", "revoked")
        cast.world.sql(
            "UPDATE gateway.ticket SET releases = 0 WHERE ticket_id = %s", forged.ticket_id
        )
        mark(cast).unlink()
        assert await memory.look(cast.base()) == 1

    province(work)


def test_a_door_that_starts_on_a_restored_log_revokes_before_it_serves(province):
    async def work(cast):
        world = cast.world
        ticket = plant(cast, 3)
        await world.doors["disclosure"].stop(1.0)
        mark(cast).write_text(json.dumps({"index": 10**9, "leaf_hash": "00" * 32}))
        watch = Watch(world)
        world.doors["disclosure"] = await open_door(world.home, "disclosure", world.clock)
        kinds = [leaf["kind"] for leaf in await watch.leaves()]
        assert kinds == ["policies.load", "export.stop"]
        assert cast.state(ticket) == "revoked"

    province(work)
