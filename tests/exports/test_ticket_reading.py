"""A row that is no ticket is TICKET_TAMPERED, and can be stopped; what is out is its plan's."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from gateway.errors import Reason, Refusal
from gateway.exports import ticket_reading
from gateway.exports.states import State
from gateway.exports.ticket import Ticket
from gateway.store.database import Database
from tests.exports.test_ticket_rows import made

Conninfo = Callable[[str], str]
ROW = f"{ticket_reading.COLUMNS} FROM gateway.ticket"
NO_PLAN = "UPDATE ticket SET plan = '\\x7b7d', plan_sha256 = sha256('\\x7b7d')"
OTHERS = "UPDATE ticket SET recipient_organisation = '140200'"

FREE_STATE = (
    "ALTER TABLE ticket DROP CONSTRAINT ticket_state_known; UPDATE ticket SET state = 'free'"
)
NO_SIGNATURE = (
    "ALTER TABLE ticket_approval ALTER signature DROP NOT NULL;"
    " UPDATE ticket_approval SET signature = NULL"
)


def spoiled(conninfo: Conninfo, steps: int, statement: str, **how: bool) -> list[Ticket]:
    """What is read of a ticket whose row somebody changed."""

    async def work() -> list[Ticket]:
        database = await Database.open(conninfo("disclosure"), application="test", size=2)
        try:
            await made(database, steps)
            with psycopg.connect(conninfo("owner"), autocommit=True) as owner:
                owner.execute("SET search_path = gateway")
                owner.execute(statement.encode())
            async with database.transaction() as tx:
                return await ticket_reading.tickets(tx, await tx.fetch(ROW), **how)
        finally:
            await database.close()

    return asyncio.run(work())


@pytest.mark.parametrize(
    "statement",
    [
        NO_PLAN,
        OTHERS,
        FREE_STATE,
        NO_SIGNATURE,
    ],
    ids=["plan", "beside", "state", "approval"],
)
def test_a_row_that_is_no_ticket_is_told_and_left_out_of_lists(
    conninfo: Conninfo, statement: str
) -> None:
    with pytest.raises(Refusal) as raised:
        spoiled(conninfo, 3, statement)
    assert raised.value.reason is Reason.TICKET_TAMPERED


def test_of_a_list_only_the_sound_ones_come(conninfo: Conninfo) -> None:
    assert spoiled(conninfo, 3, NO_PLAN, sound=True) == []


def test_to_be_stopped_it_needs_no_plan_that_can_be_read(conninfo: Conninfo) -> None:
    [found] = spoiled(conninfo, 5, NO_PLAN, spoiled=True)
    assert (found.state, found.plan.recipient.person) == (State.SEALED, ("140100", "wu"))
    # Of what stands for it nothing could go out.
    assert (found.plan.columns, found.plan.row_cap, found.plan.not_after_us) == ((), 0, 0)


def test_what_is_out_is_owed_by_whom_its_plan_names(conninfo: Conninfo) -> None:
    [found] = spoiled(conninfo, 9, OTHERS)
    assert found.plan.recipient.organisation == "140100"
