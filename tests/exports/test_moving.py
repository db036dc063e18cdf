"""What the gateway does to tickets by itself leaves a leaf each, and the clock ends what is over."""

import asyncio
import contextlib

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clock import US_PER_S
from gateway.errors import Refusal
from gateway.exports.moving import FORGET_KIND, KINDS, leaf_of
from gateway.exports.ticket import TABLE, Act, Given, State
from tests.coverage.rpcs import Watch
from tests.exports.cast import Cast
from tests.exports.planted import plant
from tests.exports.tickets import BUILT, SEAL, along
from tests.world import held

HOUR = 3600


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster, doors=("identity", "disclosure")) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


def test_every_act_of_the_gateways_own_has_its_kind():
    own = {act for act, rule in TABLE.items() if "gateway" in rule.by}
    assert set(KINDS) == own
    assert len(set(KINDS.values())) == len(KINDS)
    assert all(kind.startswith("export.") for kind in KINDS.values())


def test_a_leaf_tells_where_to_and_the_mac_of_the_whole(province):
    async def work(cast):
        after = along(3)
        event = leaf_of(SEAL, after, cast.base().with_(detail={"cause": "clock"}))
        assert event.detail == {
            "cause": "clock",
            "ticket": after.ticket_id,
            "plan_sha256": after.plan_sha256,
            "to_state": "approved",
            "ticket_version": 4,
            "ticket_mac": SEAL.of(after),
        }

    province(work)


def test_the_clock_ends_what_waits_too_long_and_what_is_past_its_window(province):
    async def work(cast):
        mover, clock = cast.mover(), cast.world.clock
        await mover.expire(cast.base())  # what other tests left
        waiting, approved, draft = plant(cast, 2), plant(cast, 3), plant(cast, 0)
        watch = Watch(cast.world)
        assert await mover.expire(cast.base()) == 0
        # Nor does it try, and have the log say each time that it may not.
        assert await watch.leaves() == []
        clock.turn(seconds=73 * HOUR)
        watch = Watch(cast.world)
        assert await mover.expire(cast.base()) >= 1
        mine = [one for one in await watch.leaves() if one["detail"]["ticket"] == waiting.ticket_id]
        [leaf] = mine
        assert (leaf["kind"], leaf["decision"]) == ("export.expire", "allow")
        moves = (leaf["detail"]["from_state"], leaf["detail"]["to_state"])
        assert moves == ("once_approved", "expired")
        states = [cast.state(one) for one in (waiting, approved, draft)]
        assert states == ["expired", "approved", "draft"]
        clock.turn(seconds=3 * 24 * HOUR)
        assert await mover.expire(cast.base()) >= 1
        states = [cast.state(one) for one in (waiting, approved, draft)]
        assert states == ["expired"] * 3
        assert await mover.expire(cast.base()) == 0

    province(work)


def test_what_is_built_is_moved_with_what_belongs_to_it_or_not_at_all(province):
    async def work(cast):
        mover = cast.mover()
        ticket = await cast.value(plant(cast, 3))
        building = await mover.move(ticket, Act.BUILD, cast.base())
        assert building.state is State.BUILDING

        async def fails(_tx):
            raise OSError

        refusal = await cast.refusal(
            mover.move(building, Act.SEAL, cast.base(), Given(built=BUILT.built), fails)
        )
        assert refusal.reason.value == "INTERNAL"
        stale = await cast.refusal(mover.move(ticket, Act.FAIL, cast.base()))
        assert stale.reason.value == "REVISION_STALE"
        sealed = await mover.move(building, Act.SEAL, cast.base(), BUILT)
        assert sealed.built == BUILT.built

    province(work)


def test_a_row_that_is_not_what_the_log_says_stops_nobody_elses_expiry(province):
    async def work(cast):
        forged, good = plant(cast, 2), plant(cast, 2)
        sql = "UPDATE gateway.ticket SET releases = 1 WHERE ticket_id = %s"
        cast.world.sql(sql, forged.ticket_id)
        await cast.mover().expire(cast.base())  # what other tests left
        cast.world.clock.turn(seconds=73 * HOUR)
        watch = Watch(cast.world)
        await cast.mover().expire(cast.base())
        told = {leaf["detail"]["ticket"]: leaf.get("reason") for leaf in await watch.leaves()}
        mine = {one.ticket_id: told[one.ticket_id] for one in (forged, good)}
        assert mine == {forged.ticket_id: "TICKET_TAMPERED", good.ticket_id: None}
        cast.world.sql("UPDATE gateway.ticket SET releases = 0")

    province(work)


def test_a_draft_that_nobody_submits_expires(province):
    async def work(cast):
        until = Timestamp()
        until.FromMicroseconds(cast.world.clock.now_us() + 40 * 24 * HOUR * US_PER_S)
        draft = plant(cast, 0, not_after_time=until)
        await cast.mover().expire(cast.base())
        assert cast.state(draft) == "draft"
        cast.world.clock.turn(seconds=cast.tickets.rules.approvals.draft_days * 24 * HOUR)
        watch = Watch(cast.world)
        await cast.mover().expire(cast.base())
        assert cast.state(draft) == "expired"
        told = [leaf for leaf in await watch.leaves() if leaf["kind"] == "export.expire"]
        assert [one["detail"]["ticket"] for one in told].count(draft.ticket_id) == 1

    province(work)


def test_a_move_keeps_how_far_the_ticket_came(province):
    async def work(cast):
        mover, ticket = cast.mover(), await cast.value(plant(cast, 3))
        building = await mover.move(ticket, Act.BUILD, cast.base())
        assert mover.seal.marks.of(ticket.ticket_id) == building.version
        # A row that had come further moves no more, but for the end of what a backup brought back.
        await mover.seal.marks.keep(ticket.ticket_id, building.version + 9)
        refusal = await cast.refusal(mover.move(building, Act.REVOKE, cast.base()))
        assert refusal.reason.value == "TICKET_TAMPERED"
        ended = await mover.move(building, Act.REVOKE, cast.base(), put_back=True)
        assert (ended.state, ended.version) == (State.REVOKED, building.version + 10)

    province(work)


def test_a_spoiled_row_is_told_once_and_a_header_forgotten_by_its_leaf(province):
    async def work(cast):
        mover, ticket = cast.mover(), plant(cast, 8)
        keep = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
        cast.world.sql(keep, ticket.ticket_id, b"header")
        watch = Watch(cast.world)
        for _ in range(2):
            await mover.tell_tampered(ticket.ticket_id, Act.REVOKE, cast.base())
        await mover.forget(
            ticket.ticket_id, cast.base().with_(detail={"alert": "tickets-restored"})
        )
        told, forgotten = await watch.leaves()
        assert (told["kind"], told["reason"]) == ("export.stop", "TICKET_TAMPERED")
        assert (forgotten["kind"], forgotten["decision"]) == (FORGET_KIND, "allow")
        assert forgotten["detail"] == {"ticket": ticket.ticket_id, "alert": "tickets-restored"}
        assert cast.world.sql("SELECT 1 FROM gateway.export_header") == []

    province(work)


def test_while_the_log_is_away_the_clock_ends_nothing_and_says_so(province):
    """What is not on the log is no refusal to pass over: the chore fails, and tries again."""

    async def work(cast):
        waiting = plant(cast, 2)
        cast.world.clock.turn(seconds=73 * HOUR)
        await cast.world.kill_signer()
        try:
            refusal = await cast.refusal(cast.mover().expire(cast.base()))
            assert refusal.reason.value == "SIGNER_AWAY"
            assert cast.state(waiting) == "once_approved"
        finally:
            await cast.world.start_signer()
        while cast.state(waiting) != "expired":
            with contextlib.suppress(Refusal):
                await cast.mover().expire(cast.base())
            await asyncio.sleep(0.05)

    province(work)
