"""What the gateway watches of tickets by itself: who may no longer is stopped, what is out is followed to its end."""

from datetime import timedelta

import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from gateway.clock import US_PER_S, civil_day
from gateway.exports import payloads
from gateway.exports.keeping import OVERDUE_ALERT, UNACKNOWLEDGED_ALERT
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.types_pb2 import Date
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about
from tests.exports.fetching import DOOR, WIDE, chore, destroyed, download, list_children, release
from tests.exports.planted import plant
from tests.world import held

DAY_S = 86_400


@pytest.fixture
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


async def look(cast):
    """Let the keeper look; the leaves that came of it."""
    await cast.tickets._current.renew()
    watch = Watch(cast.world)
    moved = await chore(cast, "Keeper").look(DOOR)
    return moved, [one for one in await watch.leaves() if one["kind"].startswith("export.")]


def lay(cast, ticket):
    """Put a payload on the disk, and a header into the store."""
    path = payloads.path(cast.world.home.exports, ticket.ticket_id)
    path.write_bytes(b"noise")
    keep = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
    cast.world.sql(keep, ticket.ticket_id, b"header")
    return path


def headers(cast, ticket):
    sql = "SELECT count(*) FROM gateway.export_header WHERE ticket_id = %s"
    return cast.world.sql(sql, ticket.ticket_id)[0][0]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE gateway.account SET state = 2 WHERE name = 'zhao'",
        "UPDATE gateway.account SET roles = '{auditor}' WHERE name = 'qian'",
        "UPDATE gateway.account SET state = 2 WHERE name = 'wang'",
        "UPDATE gateway.certificate SET state = 2, revoked_us = 1, reason = 'key_compromise' WHERE subject_name = 'wang'",
        "UPDATE gateway.organisation SET state = 2 WHERE code = '140100'",
    ],
    ids=["approver suspended", "approver no more", "recipient", "certificate", "organisation"],
)
def test_whoever_falls_takes_the_unreleased_ticket_along(province, change):
    async def work(cast):
        tickets = [plant(cast, steps, **WIDE) for steps in (3, 5, 6, 7)]
        out = plant(cast, 8, **WIDE)
        paths = [lay(cast, one) for one in tickets[1:]]
        assert await look(cast) == (0, [])
        cast.world.sql(change)
        cast.world.clock.turn(seconds=1)
        moved, leaves = await look(cast)
        assert moved == len(tickets)
        assert [cast.state(one) for one in tickets] == ["revoked"] * 4
        assert {one["kind"] for one in leaves} == {"export.stop"}
        assert all(one["policies"] and one["detail"]["cause"] == "policy" for one in leaves)
        assert sum(headers(cast, one) for one in tickets) == 0
        assert not [path for path in paths if path.exists()]
        assert cast.state(out) == "released"
        assert await look(cast) == (0, [])

    province(work)


def test_a_release_that_nobody_acknowledged_is_asked_after_once_and_told_when_overdue(province):
    async def work(cast):
        ticket, read = plant(cast, 8, **WIDE), plant(cast, 9, **WIDE)
        assert await look(cast) == (0, [])
        cast.world.clock.turn(seconds=DAY_S)
        moved, leaves = await look(cast)
        assert moved == 0
        assert [one["detail"] for one in leaves] == [
            {"ticket": ticket.ticket_id, "alert": UNACKNOWLEDGED_ALERT}
        ]
        assert await look(cast) == (0, [])
        cast.world.clock.turn(seconds=61 * DAY_S)
        moved, leaves = await look(cast)
        assert moved == 2
        assert {one["detail"]["alert"] for one in leaves} == {OVERDUE_ALERT}
        assert [cast.state(one) for one in (ticket, read)] == ["overdue"] * 2

    province(work)


def test_headers_and_payloads_go_when_nothing_asks_for_them_any_more(province):
    async def work(cast):
        released, ended = plant(cast, 8, **WIDE), plant(cast, 10, **WIDE)
        path, over = lay(cast, released), lay(cast, ended)
        stranger = cast.world.home.exports / "notes.txt"
        stranger.write_bytes(b"somebody's")
        await look(cast)
        assert (path.exists(), over.exists(), headers(cast, released)) == (True, False, 1)
        cast.world.clock.turn(seconds=6 * DAY_S)
        await look(cast)
        assert (path.exists(), headers(cast, released)) == (False, 0)
        assert stranger.exists()

    province(work)


def owing(cast):
    """A file of wang's whose day was yesterday."""
    day = civil_day(cast.world.clock.now_us()) - timedelta(days=1)
    return plant(cast, 8, destroy_by_date=Date(year=day.year, month=day.month, day=day.day), **WIDE)


def test_one_destruction_owed_holds_back_what_was_approved_and_revokes_none_of_it(province):
    """Whoever attests a day late loses no approval: everything goes on where it stood."""

    async def work(cast):
        waiting, sealed_, received = (plant(cast, steps, **WIDE) for steps in (3, 5, 7))
        for one in (sealed_, received):
            lay(cast, one)
        list_children(cast, received)
        theirs = plant(cast, 3, **county(cast))
        late = owing(cast)
        moved, leaves = await look(cast)
        assert (moved, [one["kind"] for one in leaves]) == (1, ["export.overdue"])
        assert cast.state(late) == "overdue"
        assert await chore(cast, "Builder").look(DOOR) == 1
        assert (cast.state(waiting), cast.state(theirs)) == ("approved", "sealed")
        for call in (
            cast.draft(),
            cast.ask(cast["zhao"], "ApproveExport", cast.signed(plant(cast, 1), cast["zhao"])),
            release(cast, received),
        ):
            await nothing_new(cast, late, call)
        watch = Watch(cast.world)
        fetched = await download(cast, sealed_)
        assert (fetched.refused.reason, fetched.parts) == ("RECIPIENT_OVERDUE", [])
        assert (await watch.only_leaf())["reason"] == "RECIPIENT_OVERDUE"
        assert await look(cast) == (0, [])
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, late))
        await chore(cast, "Builder").look(DOOR)
        assert cast.state(waiting) == "sealed"
        assert (await download(cast, sealed_)).tail is not None
        assert (await release(cast, received)).header == b"header"
        assert (await cast.draft()).ticket_id

    province(work)


async def nothing_new(cast, late, call):
    """A call that is refused because of this ticket, and says so."""
    await cast.token(cast["zhao"]), await cast.token(cast["wang"]), await cast.token(cast["lian"])
    watch = Watch(cast.world)
    error = await refused(call)
    assert error.reason == "RECIPIENT_OVERDUE"
    assert error.detail(ErrorInfo).metadata["ticket"] == late.ticket_id
    leaf = await watch.only_leaf()
    assert (leaf["decision"], leaf["reason"]) == ("deny", "RECIPIENT_OVERDUE")
    assert "f41-overdue" in leaf["policies"]


def county(cast):
    """Changes of a plan that goes to yang of the county."""
    plan = cast.plan_of_county()
    names = (
        *("recipient_organisation_code", "recipient_account_name", "tunnel_name"),
        *("connection_certificate_sha256", "encryption_certificate_sha256"),
    )
    return {name: getattr(plan, name) for name in names}


def test_a_recall_is_overdue_after_its_own_days(province):
    async def work(cast):
        ticket = plant(cast, 9, **WIDE)
        answer = await cast.ask(cast["song"], "RecallExport", about(pb.RecallExportRequest, ticket))
        due_us = answer.ticket.recall_due_time.ToMicroseconds()
        now_us = cast.world.clock.now_us()
        days = cast.tickets.rules.bounds.recall_days
        assert days * DAY_S < (due_us - now_us) / US_PER_S <= (days + 1) * DAY_S
        assert await look(cast) == (0, [])
        cast.world.clock.turn(seconds=(due_us - now_us) / US_PER_S)
        moved, [leaf] = await look(cast)
        assert (moved, leaf["detail"]["alert"]) == (1, OVERDUE_ALERT)
        await nothing_new(cast, ticket, cast.draft())
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))
        assert (await cast.draft()).ticket_id

    province(work)
