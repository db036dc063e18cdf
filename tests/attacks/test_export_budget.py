"""Attacks on the budgets (reference/exports.md section 8: 30, 31, 37): many children by many tickets, recipients, at once.

Each at the key, through the live disclosure door: the reason, one leaf that names F40, no key and no debit; and what is
within the budgets is released after it.
"""

import asyncio
from hashlib import sha256

import pytest

from gateway.exports import budget
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast
from tests.exports.fetching import WIDE, release
from tests.exports.planted import plant, retold
from tests.exports.tickets import BUILT
from tests.world import PASSWORD, RefusedError, held

DAY_S = 86_400
# What each budget looks back (policies/cedar/exports.toml), said here once more.
DAYS = {"day": 1, "month": 30, "year": 365}
MANY = 10


@pytest.fixture(scope="module")
def stands(cluster):
    with held(cluster) as stands:
        yield stands, stands.run(Cast.open(stands.world))


@pytest.fixture
def province(stands):
    """Nobody was given anything yet."""
    world, cast = stands
    cast.world.sql("DELETE FROM gateway.export_debit")
    return lambda work: world.run(work(cast))


@pytest.fixture(autouse=True)
def quiet(capfd):
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


def quota(cast):
    return cast.tickets.rules.quota


def released(cast, begin, end, **who):
    """A ticket whose key is out, with these children (by number)."""
    ticket = plant(cast, 8, **WIDE, **who)
    cast.world.sql(
        "INSERT INTO gateway.export_debit (ticket_id, child_tag, released_us)"
        " SELECT %s, sha256(int4send(n)), %s::bigint FROM generate_series(%s::int, %s::int) AS n",
        *(ticket.ticket_id, cast.world.clock.now_us(), begin, end - 1),
    )


def waiting(cast, begin, **who):
    """A ticket whose key is asked for next, with its children from this number on."""
    ticket = plant(cast, 7, **WIDE, **who)
    keep = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
    cast.world.sql(keep, ticket.ticket_id, b"header")
    cast.world.sql("DELETE FROM gateway.export_child WHERE ticket_id = %s", ticket.ticket_id)
    cast.world.sql(
        "INSERT INTO gateway.export_child (ticket_id, child_tag)"
        " SELECT %s, sha256(int4send(n)) FROM generate_series(%s::int, %s::int) AS n",
        *(ticket.ticket_id, begin, begin + CHILDREN - 1),
    )
    tags = [sha256(n.to_bytes(4)).digest() for n in range(begin, begin + CHILDREN)]
    cast.world.sql(
        "UPDATE gateway.ticket SET children_sha256 = decode(%s, 'hex') WHERE ticket_id = %s",
        *(budget.digest(tags), ticket.ticket_id),
    )
    retold(cast, ticket.ticket_id)
    return ticket


assert BUILT.built is not None
CHILDREN = BUILT.built.children


def debits(cast, ticket):
    sql = "SELECT count(*) FROM gateway.export_debit WHERE ticket_id = %s"
    return cast.world.sql(sql, ticket.ticket_id)[0][0]


async def too_much(cast, ticket):
    """Ask for the key: it is one child too many."""
    await cast.token(cast["wang"])
    watch = Watch(cast.world)
    error = await refused(release(cast, ticket))
    leaf = await watch.only_leaf()
    assert error.reason == leaf["reason"] == "CHILD_BUDGET_SPENT"
    assert (leaf["kind"], leaf["decision"]) == ("export.release", "deny")
    assert leaf["policies"] == ["f40-budget"]
    assert (debits(cast, ticket), cast.state(ticket)) == (0, "received")


@pytest.mark.parametrize("window", list(DAYS))
def test_030_many_small_tickets_are_one_big_one(province, window):
    """A day's, a month's, a year's children by ten tickets; the last one has one child more than is left."""

    async def work(cast):
        days = DAYS[window]
        most = getattr(quota(cast), f"person_{window}")
        most = min(most, getattr(quota(cast), f"organisation_{window}"))
        full, each = most - CHILDREN + 1, (most - CHILDREN + 1) // MANY
        for number in range(MANY):
            end = full if number == MANY - 1 else (number + 1) * each
            released(cast, number * each, end)
        # They were released as long ago as just still counts.
        ago_us = (days * DAY_S - 3600) * 1_000_000
        cast.world.sql("UPDATE gateway.export_debit SET released_us = released_us - %s", ago_us)
        await too_much(cast, waiting(cast, 10_000_000))
        # The one who asked for the same children again has no more than before; and tomorrow is another day.
        again = waiting(cast, 0)
        assert (await release(cast, again)).header
        cast.world.clock.turn(seconds=7200)
        assert (await release(cast, waiting(cast, 10_000_000))).header

    province(work)


def test_031_many_recipients_of_one_organisation(province):
    """Each of them asks for and takes little; together their organisation has a day's children."""

    async def work(cast):
        most = quota(cast).organisation_day
        others = {"by": "liang", **cast.taken_by("wuhe")}
        released(cast, 0, most - CHILDREN + 1, **others)
        await too_much(cast, waiting(cast, 10_000_000))
        # It is its organisation that has them: another one's recipient gets what he may.
        theirs = waiting(cast, 10_000_000, **cast.taken_by("yang"))
        assert (await release(cast, theirs, by="yang")).header
        cast.world.clock.turn(seconds=DAY_S + 1)
        assert (await release(cast, waiting(cast, 20_000_000))).header

    province(work)


def test_037_two_releases_at_once_that_fit_alone(province):
    """One after the other, whoever is first: the second sees what the first one took."""

    async def work(cast):
        released(cast, 0, quota(cast).organisation_day - 2 * CHILDREN + 1)
        tickets = [waiting(cast, begin) for begin in (10_000_000, 20_000_000)]
        await cast.token(cast["wang"])
        watch = Watch(cast.world)
        told = await asyncio.gather(
            *(release(cast, one) for one in tickets), return_exceptions=True
        )
        leaves = await watch.calls()
        [error] = [one for one in told if isinstance(one, RefusedError)]
        assert error.reason == "CHILD_BUDGET_SPENT"
        [late] = [one for one, answer in zip(tickets, told, strict=True) if answer is error]
        assert sorted((one["decision"], one.get("reason")) for one in leaves) == [
            *(("allow", None), ("deny", "CHILD_BUDGET_SPENT"))
        ]
        assert sorted(debits(cast, one) for one in tickets) == [0, CHILDREN]
        assert cast.state(late) == "received"
        cast.world.clock.turn(seconds=DAY_S + 1)
        assert (await release(cast, late)).header

    province(work)
