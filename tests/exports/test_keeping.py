"""What the gateway watches of tickets by itself: who may no longer is stopped, what is out is followed to its end."""

import pytest

from gateway.exports import payloads
from gateway.exports.keeping import OVERDUE_ALERT, UNACKNOWLEDGED_ALERT
from tests.coverage.rpcs import Watch
from tests.exports.cast import Cast
from tests.exports.fetching import DOOR, WIDE, chore
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
