"""What is owed of a file that is out: until when, by whom it is met, and which ticket stands in the way until then."""

import asyncio
from dataclasses import replace
from datetime import date

import pytest

from gateway.errors import Reason, Refusal
from gateway.exports import duties, ticket_rows
from gateway.exports.plan import Party
from gateway.exports.ticket import OUT, Act, Caller, Given, Recall, State, Ticket, overdue_us
from gateway.store.database import Database
from tests.exports.test_ticket_rows import tell
from tests.exports.tickets import (
    HOUR,
    PLAN,
    RECALL_DUE_US,
    RECIPIENT,
    SEAL,
    START_US,
    WAY,
    S,
    along,
    officer,
    step,
)

LATER, DAY = START_US + HOUR, 24 * HOUR


def reason(ticket: Ticket, act: Act, by: Caller) -> Reason:
    """Why an act is refused."""
    with pytest.raises(Refusal) as raised:
        step(ticket, act, by, LATER)
    return raised.value.reason


def test_a_recall_ends_with_a_day() -> None:
    assert duties.recall_due_us(START_US, 7) == RECALL_DUE_US
    assert duties.recall_due_us(START_US + 15 * HOUR, 7) == RECALL_DUE_US
    assert duties.recall_due_us(START_US + 16 * HOUR, 7) == RECALL_DUE_US + DAY


def test_a_recall_has_a_day_of_its_own_and_never_a_later_one() -> None:
    recalled = step(along(8), Act.RECALL, officer(), LATER)
    assert recalled.recalled == Recall("140000", "song", RECALL_DUE_US)
    assert overdue_us(recalled) == RECALL_DUE_US < overdue_us(along(8))
    soon = step(along(8, destroy_by=date(2026, 11, 5)), Act.RECALL, officer(), LATER)
    assert overdue_us(soon) < RECALL_DUE_US
    # Called back when it was overdue already: overdue it stays.
    owed = replace(along(9), state=State.OVERDUE)
    late = step(owed, Act.RECALL, officer(), LATER, Given(due_us=overdue_us(owed) + 7 * DAY))
    assert late.state is State.RECALLED
    assert overdue_us(late) == overdue_us(owed)


def test_a_duty_is_met_from_wherever_the_file_can_be_read_held_or_not() -> None:
    for state in OUT:
        held = replace(along(8), state=state, held=True)
        assert step(held, Act.DESTROY, RECIPIENT, LATER).state is State.DESTROYED
    for state in set(State) - OUT:
        ticket = replace(along(8), state=state)
        assert reason(ticket, Act.DESTROY, RECIPIENT) is not None


def recipient(name: str, account: str, organisation: str = "140100") -> Caller:
    return Caller(Party(organisation, name, account), frozenset({"recipient"}), provincial=False)


def test_the_recipient_attests_under_any_account_and_does_nothing_else_so() -> None:
    other = recipient("wu", "wu.other")
    assert step(along(9), Act.DESTROY, other, LATER).state is State.DESTROYED
    assert reason(along(8), Act.ACKNOWLEDGE, other) is Reason.TICKET_NOT_YOURS
    assert reason(along(7), Act.RELEASE, other) is Reason.TICKET_NOT_YOURS
    bare = replace(other, roles=frozenset({"requester"}))
    assert reason(along(9), Act.DESTROY, bare) is Reason.TICKET_NOT_YOURS


def test_a_colleague_attests_what_the_province_called_back_and_who_called_it_back_does_not() -> (
    None
):
    colleague = recipient("zhou", "zhou")
    assert reason(along(9), Act.DESTROY, colleague) is Reason.TICKET_NOT_YOURS
    recalled = step(along(9), Act.RECALL, officer(), LATER)
    owed = step(recalled, Act.LAPSE, None, RECALL_DUE_US)
    for ticket in (recalled, owed):
        assert step(ticket, Act.DESTROY, colleague, RECALL_DUE_US).state is State.DESTROYED
        stranger = recipient("zhou", "zhou", "140200")
        assert reason(ticket, Act.DESTROY, stranger) is Reason.TICKET_NOT_YOURS
    own = replace(recalled, recalled=Recall("140100", "zhou", RECALL_DUE_US))
    assert reason(own, Act.DESTROY, colleague) is Reason.TICKET_NOT_YOURS


def test_what_is_owed_is_named_from_the_day_after_its_day(conninfo) -> None:
    """By the plan's day, or by a recall's where that comes first; whatever the chores did not do yet."""

    async def work() -> None:
        database = await Database.open(conninfo("disclosure"), application="test", size=1)
        try:
            async with database.transaction() as tx:
                ticket = await ticket_rows.create(tx, PLAN, START_US)

                async def moved(before: Ticket, after: Ticket) -> Ticket:
                    await ticket_rows.move(tx, before, after)
                    await tell(tx, after)
                    return after

                for number, (act, by) in enumerate(WAY[:8], 1):
                    after = step(ticket, act, by, START_US + number * 120 * S)
                    ticket = await moved(ticket, after)

                async def owed(now_us: int, organisation: str = "140100", besides: str = "") -> str:
                    return await duties.owed(tx, organisation, besides, now_us, SEAL)

                due = overdue_us(ticket)
                assert await owed(due - 1) == ""
                assert await owed(due) == ticket.ticket_id
                assert await owed(due, organisation="140200") == ""
                assert await owed(due, besides=ticket.ticket_id) == ""
                recalled = step(ticket, Act.RECALL, officer(), LATER)
                ticket = await moved(ticket, recalled)
                assert await owed(RECALL_DUE_US - 1) == ""
                assert await owed(RECALL_DUE_US) == ticket.ticket_id
                lapsed = step(ticket, Act.LAPSE, None, RECALL_DUE_US)
                ticket = await moved(ticket, lapsed)
                assert await owed(LATER) == ticket.ticket_id
                met = step(ticket, Act.DESTROY, RECIPIENT, due)
                await moved(ticket, met)
                assert await owed(due) == ""
        finally:
            await database.close()

    asyncio.run(work())
