"""Attack 18: a backup put back brings no approved ticket back: they return as revoked, each by a leaf."""

import asyncio
import json

import pytest

from gateway.exports.continuity import MARK_FILE, RESTORED_ALERT, Continuity
from gateway.exports.marks import MARKS_FILE, Marks
from gateway.exports.moving import FORGET_KIND
from gateway.services.server import open_door
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch, eventually
from tests.exports.cast import Cast
from tests.exports.fetching import WIDE, destroyed, release
from tests.exports.planted import plant
from tests.world import RefusedError, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster, doors=("identity", "disclosure")) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


def continuity(cast):
    return Continuity(cast.mover(), cast.world.home.exports)


def forgotten(cast):
    """As after root took the marks away while the gateway was down, or put HOME back without them."""
    (cast.world.home.exports / MARKS_FILE).unlink()
    cast.tickets.ground.seal.marks.known = False


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


def test_a_released_ticket_stays_owed_and_loses_its_key(province):
    """Somebody may have called it back since the backup: nobody gets the key again, the duty is met."""

    async def work(cast):
        memory = continuity(cast)
        await memory.look(cast.base())
        ticket = plant(cast, 8, **WIDE)
        keep = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
        cast.world.sql(keep, ticket.ticket_id, b"header")
        # What was done since the backup: the door had seen it come further.
        await cast.tickets.ground.seal.marks.keep(ticket.ticket_id, 99)
        forgotten(cast)
        watch = Watch(cast.world)
        assert await memory.look(cast.base()) == 0
        [leaf] = [one for one in await watch.leaves() if one["kind"] == FORGET_KIND]
        told = {"ticket": ticket.ticket_id, "alert": RESTORED_ALERT, "cause": "restored"}
        assert leaf["detail"] == told
        assert cast.world.sql("SELECT 1 FROM gateway.export_header") == []
        with pytest.raises(RefusedError) as raised:
            await release(cast, ticket)
        assert (raised.value.reason, cast.state(ticket)) == ("TICKET_STATE", "released")
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))
        assert cast.state(ticket) == "destroyed"

    province(work)


def test_what_had_come_further_before_the_backup_was_put_back_is_ended_too(province):
    """Its mark is above the row: it is revoked above both, and seen to be so. No mark falls but without any."""

    async def work(cast):
        memory, marks = continuity(cast), cast.tickets.ground.seal.marks
        await memory.look(cast.base())
        ticket, draft = plant(cast, 5), plant(cast, 0)
        for one in (ticket, draft):
            await marks.keep(one.ticket_id, 99)
        mark(cast).unlink()
        assert await memory.look(cast.base()) == 1
        assert cast.state(ticket) == "revoked"
        request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
        seen = await cast.ask(cast["song"], "GetExport", request)
        assert (seen.ticket.version, marks.of(ticket.ticket_id)) == (100, 100)
        # The leaf is the database's word: the rest goes on from where the backup has it once root says so.
        assert marks.of(draft.ticket_id) == Marks(cast.world.home.exports).of(draft.ticket_id) == 99
        request = pb.GetExportRequest(ticket_id=draft.ticket_id)
        with pytest.raises(RefusedError) as raised:
            await cast.ask(cast["lian"], "GetExport", request)
        assert raised.value.reason == "TICKET_TAMPERED"
        forgotten(cast)
        assert await memory.look(cast.base()) == 0
        assert marks.of(draft.ticket_id) == Marks(cast.world.home.exports).of(draft.ticket_id) == 1
        await cast.ask(cast["lian"], "GetExport", request)

    province(work)


def test_without_marks_a_backup_was_put_back(province):
    async def work(cast):
        ticket = plant(cast, 3)
        memory = continuity(cast)
        await memory.look(cast.base())
        (cast.world.home.exports / MARKS_FILE).unlink()
        await cast.world.doors["disclosure"].stop(1.0)
        cast.world.doors["disclosure"] = await open_door(
            cast.world.home, "disclosure", cast.world.clock
        )
        assert cast.state(ticket) == "revoked"

    province(work)


def test_a_move_whose_mark_a_crash_left_out_is_taken_up(province):
    async def work(cast):
        memory, marks = continuity(cast), cast.tickets.ground.seal.marks
        await memory.look(cast.base())
        ticket, forged = plant(cast, 5), plant(cast, 5)
        further = "UPDATE gateway.ticket SET version = version + 9 WHERE ticket_id = %s"
        cast.world.sql(further, forged.ticket_id)
        assert await memory.look(cast.base()) == 0
        assert marks.of(ticket.ticket_id) == ticket.version
        # A row that nobody proved raises nothing.
        assert marks.of(forged.ticket_id) == 0
        # What the other tests of this module count stays alone.
        cast.world.sql(further.replace("+ 9", "- 9"), forged.ticket_id)
        mark(cast).unlink()
        assert await memory.look(cast.base()) == 2

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
