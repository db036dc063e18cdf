"""The budgets count distinct children over all tickets, exactly, and one release at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from random import Random

import pytest

from gateway.clock import US_PER_S
from gateway.config.exports import QuotaRules
from gateway.errors import Reason, Refusal
from gateway.exports import budget, ticket_rows
from gateway.exports.plan import Party
from gateway.exports.ticket import Built, State, Ticket
from gateway.store.database import Database, Transaction
from tests.exports.tickets import PLAN, START_US

Conninfo = Callable[[str], str]
DAY_US = 86_400 * US_PER_S
NOW_US = START_US + 400 * DAY_US
WIDE = QuotaRules(*(1_000,) * 6)


def within(conninfo: Conninfo, work: Callable[[Database], Awaitable[None]]) -> None:
    async def run() -> None:
        database = await Database.open(conninfo("disclosure"), application="test", size=3)
        try:
            await work(database)
        finally:
            await database.close()

    asyncio.run(run())


async def built(
    tx: Transaction,
    children: Iterable[int],
    recipient: str = "140100",
    requester: str = "li",
) -> Ticket:
    """A ticket whose file holds these children."""
    plan = replace(
        PLAN,
        recipient=Party(recipient, "wu", "wu.export"),
        requester=Party("140100", requester, f"{requester}.export"),
    )
    ticket = await ticket_rows.create(tx, plan, START_US)
    tags = [child.to_bytes(16) for child in sorted(set(children))]
    await tx.execute(
        "INSERT INTO gateway.export_child (ticket_id, child_tag) SELECT %s, unnest(%b::bytea[])",
        (ticket.ticket_id, tags),
    )
    return ticket


def test_a_child_counts_once_however_many_tickets_it_is_in(conninfo: Conninfo) -> None:
    """Attack 30: fifty small tickets are one big one; the sums are a plain set's."""
    random = Random(20_261_126)

    async def work(database: Database) -> None:
        released: list[tuple[Ticket, frozenset[int], int]] = []
        for _ in range(50):
            children = frozenset(random.sample(range(120), random.randint(1, 12)))
            at_us = NOW_US - random.choice((0, 1, 2, 29, 31, 364, 366)) * DAY_US
            who = random.choice(("140100", "140200")), random.choice(("li", "chen"))
            async with database.transaction() as tx:
                ticket = await built(tx, children, *who)
                assert await budget.debit(tx, ticket, at_us) == len(children)
            released.append((ticket, children, at_us))
        for recipient, requester in (("140100", "li"), ("140200", "chen"), ("140200", "new")):
            wanted = frozenset(range(100, 130))
            async with database.transaction() as tx:
                ticket = await built(tx, wanted, recipient, requester)
                sums = {
                    f"{of}_{window}": len(
                        wanted.union(
                            *(
                                children
                                for one, children, at_us in released
                                if at_us > NOW_US - days * DAY_US and same(one, ticket)
                            )
                        )
                    )
                    for of, same in (("organisation", _same_organisation), ("person", _same_person))
                    for window, days in budget.WINDOWS.items()
                }
                exactly = QuotaRules(**sums)
                assert await budget.overspent(tx, ticket, exactly, NOW_US) == frozenset()
                for name, most in sums.items():
                    less = replace(exactly, **{name: most - 1})
                    assert await budget.overspent(tx, ticket, less, NOW_US) == {name}

    within(conninfo, work)


def _same_organisation(one: Ticket, other: Ticket) -> bool:
    return one.plan.recipient.organisation == other.plan.recipient.organisation


def _same_person(one: Ticket, other: Ticket) -> bool:
    return one.plan.requester.person == other.plan.requester.person


def test_a_release_leaves_the_window_to_the_microsecond(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        async with database.transaction() as tx:
            before = await built(tx, range(10))
            await budget.debit(tx, before, NOW_US)
            ticket = await built(tx, range(10, 20))
            tight = replace(WIDE, person_day=19)
            for off_us, expected in ((-1, {"person_day"}), (0, set()), (1, set())):
                at_us = NOW_US + DAY_US + off_us
                assert await budget.overspent(tx, ticket, tight, at_us) == expected

    within(conninfo, work)


def test_a_header_sent_again_charges_nobody_again(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        async with database.transaction() as tx:
            ticket = await built(tx, range(7))
            assert await budget.debit(tx, ticket, NOW_US) == 7
            assert await budget.debit(tx, ticket, NOW_US + 1) == 0

    within(conninfo, work)


def test_of_two_releases_at_once_the_second_sees_the_first(conninfo: Conninfo) -> None:
    """Attack 37: each fits alone; together they do not."""
    tight = replace(WIDE, organisation_day=15)

    async def work(database: Database) -> None:
        async with database.transaction() as tx:
            first, second = await built(tx, range(10)), await built(tx, range(10, 20))

        async def release(ticket: Ticket) -> bool:
            async with database.transaction() as tx:
                spent = await budget.overspent(tx, ticket, tight, NOW_US)
                if not spent:
                    await budget.debit(tx, ticket, NOW_US)
                return not spent

        assert sorted(await asyncio.gather(release(first), release(second))) == [False, True]

    within(conninfo, work)


def test_charged_are_those_whom_the_file_was_built_with(conninfo: Conninfo) -> None:
    """As many others, the same bytes cut otherwise, or somebody charged before: TICKET_TAMPERED."""

    async def tampered(tx: Transaction, ticket: Ticket) -> None:
        with pytest.raises(Refusal) as raised:
            await budget.charge(tx, ticket, NOW_US)
        assert raised.value.reason is Reason.TICKET_TAMPERED

    async def work(database: Database) -> None:
        async with database.transaction() as tx:
            own = [child.to_bytes(16) for child in (1, 2, 3)]
            made = Built(9, 3, 1, "12" * 32, "34" * 32, budget.digest(own))
            listed = replace(await built(tx, (3, 1, 2)), state=State.RECEIVED, built=made)
            swapped = replace(await built(tx, (1, 2, 4)), state=State.RECEIVED, built=made)
            await tampered(tx, swapped)
            assert await budget.charge(tx, listed, NOW_US) == 3
            # Charged already, and not by a release.
            await tampered(tx, listed)
            again = replace(listed, state=State.RELEASED)
            assert await budget.charge(tx, again, NOW_US) == 0
            # What was built before there was a digest has its number.
            before = replace(made, children_sha256="")
            early = replace(await built(tx, (7, 8, 9)), state=State.RECEIVED, built=before)
            assert await budget.charge(tx, early, NOW_US) == 3
            await tampered(tx, replace(early, built=replace(before, children=2)))

    within(conninfo, work)


def test_a_digest_knows_where_one_tag_ends() -> None:
    assert budget.digest([b"ab", b"c"]) == budget.digest([b"c", b"ab"])
    assert budget.digest([b"ab", b"c"]) != budget.digest([b"a", b"bc"])
