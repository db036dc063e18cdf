"""A row is what the log says of it, moves once, and only disclosure's role moves it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.audit.event import Event
from gateway.clock import TurnedClock
from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal
from gateway.exports import ticket_rows
from gateway.exports.ticket import Act, State, Ticket
from gateway.store import roles
from gateway.store.database import Database, Transaction
from gateway.store.embedded import Cluster
from tests.exports.tickets import (
    PLAN,
    RECIPIENT,
    REQUESTER,
    SEAL,
    START_US,
    WAY,
    S,
    approver,
    step,
)

Conninfo = Callable[[str], str]
DOORS = ("identity", "intake", "administration", "front")
# Another division, with the digest that goes with it.
OTHER_PLAN = (
    "UPDATE ticket SET plan = o.plan, plan_sha256 = sha256(o.plan) FROM (SELECT"
    " convert_to(replace(convert_from(plan, 'UTF8'), '140105', '140106'), 'UTF8') AS plan"
    " FROM ticket) AS o"
)
_APPEND = "SELECT size FROM gateway.audit_append(%s, (SELECT size FROM gateway.audit_head))"


@pytest.fixture(scope="module")
def conninfo_shared(cluster: Cluster) -> Conninfo:
    """Statements that are refused change nothing: they share the template database."""
    server = make_conninfo(roles.server(cluster.home, Settings()), dbname="gateway_template")
    return lambda role: roles.conninfo(cluster.home, Settings(dsn=server), role)


def within(conninfo: Conninfo, work: Callable[[Database], Awaitable[None]]) -> None:
    """Do something as the disclosure door."""

    async def run() -> None:
        database = await Database.open(conninfo("disclosure"), application="test", size=3)
        try:
            await work(database)
        finally:
            await database.close()

    asyncio.run(run())


async def tell(tx: Transaction, ticket: Ticket, decision: str = "allow") -> None:
    """Put the leaf of a move on the log, as the recorder does: last in the transaction."""
    detail = {"ticket": ticket.ticket_id, "ticket_mac": SEAL.of(ticket)}
    detail |= {"ticket_version": ticket.version}
    event = Event(kind="export.approve", detail=detail)
    if decision == "deny":
        event = Event(kind="export.approve", decision="deny", reason="TICKET_STATE", detail=detail)
    await tx.fetch(_APPEND, ([event.to_leaf(ticket.moved_us)],))


async def made(database: Database, steps: int = 0) -> Ticket:
    """A ticket in the store after so many steps of WAY, each with its leaf."""
    async with database.transaction() as tx:
        ticket = await ticket_rows.create(tx, PLAN, START_US)
        await tell(tx, ticket)
    for number, (act, by) in enumerate(WAY[:steps], 1):
        async with database.transaction() as tx:
            before = await ticket_rows.lock(tx, ticket.ticket_id, SEAL)
            ticket = step(before, act, by, START_US + number * 120 * S)
            await ticket_rows.move(tx, before, ticket)
            await tell(tx, ticket)
    return ticket


async def reason(database: Database, ticket_id: str) -> Reason:
    async with database.transaction() as tx:
        with pytest.raises(Refusal) as raised:
            await ticket_rows.lock(tx, ticket_id, SEAL)
    return raised.value.reason


def test_a_ticket_comes_back_as_it_was_written_at_every_step(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        for steps in (0, 1, 2, 3, 5, len(WAY)):
            ticket = await made(database, steps)
            async with database.transaction() as tx:
                assert await ticket_rows.read(tx, ticket.ticket_id) == ticket
                assert await ticket_rows.lock(tx, ticket.ticket_id, SEAL) == ticket
        async with database.transaction() as tx:
            assert await ticket_rows.read(tx, "EX-00000099") is None
        assert await reason(database, "EX-00000099") is Reason.NOT_FOUND

    within(conninfo, work)


def test_a_move_from_where_the_row_stands_no_more_is_stale(conninfo: Conninfo) -> None:
    """Two approvers race for one slot: the second sees that it is taken."""

    async def work(database: Database) -> None:
        before = await made(database, 1)
        first = step(before, Act.APPROVE, approver("zhao"), START_US + 240 * S)
        async with database.transaction() as tx:
            await ticket_rows.move(tx, before, first)
            await tell(tx, first)
        second = step(before, Act.APPROVE, approver("qian"), START_US + 240 * S)
        async with database.transaction() as tx:
            with pytest.raises(Refusal) as raised:
                await ticket_rows.move(tx, before, second)
        assert raised.value.reason is Reason.REVISION_STALE
        async with database.transaction() as tx:
            assert await ticket_rows.lock(tx, before.ticket_id, SEAL) == first

    within(conninfo, work)


def test_of_two_moves_in_one_transaction_the_second_is_stale(conninfo: Conninfo) -> None:
    """In a commit group the leaves come last: what is not on the log yet is not built upon."""

    async def work(database: Database) -> None:
        ticket = await made(database, 1)
        async with database.transaction() as tx:
            before = await ticket_rows.lock(tx, ticket.ticket_id, SEAL)
            async with tx.savepoint():
                after = step(before, Act.WITHDRAW, REQUESTER, START_US + 240 * S)
                await ticket_rows.move(tx, before, after)
            with pytest.raises(Refusal) as raised:
                await ticket_rows.lock(tx, ticket.ticket_id, SEAL)
            await tell(tx, after)
        assert raised.value.reason is Reason.REVISION_STALE
        async with database.transaction() as tx:
            assert (await ticket_rows.lock(tx, ticket.ticket_id, SEAL)).state is State.WITHDRAWN

    within(conninfo, work)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ticket SET state = 'approved'",
        "UPDATE ticket SET version = 9",
        "UPDATE ticket SET needed = 9",
        "UPDATE ticket SET releases = 1",
        "UPDATE ticket SET held = true",
        "UPDATE ticket SET submitted_us = submitted_us + 1",
        "DELETE FROM ticket_approval",
        "UPDATE ticket_approval SET person = 'other'",
        "UPDATE ticket_approval SET signature = 'x'",
        OTHER_PLAN,
        "UPDATE ticket SET plan = '\\x7b7d', plan_sha256 = sha256('\\x7b7d')",
    ],
)
def test_a_row_changed_by_hand_does_not_agree_with_the_log(
    conninfo: Conninfo, statement: str
) -> None:
    async def work(database: Database) -> None:
        ticket = await made(database, 2)
        with psycopg.connect(conninfo("owner"), autocommit=True) as owner:
            owner.execute("SET search_path = gateway")
            owner.execute(statement.encode())
        assert await reason(database, ticket.ticket_id) is Reason.TICKET_TAMPERED

    within(conninfo, work)


def test_an_old_row_put_back_does_not_agree_with_the_log(conninfo: Conninfo) -> None:
    """What was approved and then revoked does not come back with the row of yesterday."""

    async def work(database: Database) -> None:
        ticket = await made(database, 3)
        copy = "CREATE TEMP TABLE yesterday AS SELECT * FROM gateway.ticket"
        back = "UPDATE gateway.ticket AS t SET state = y.state, version = y.version, moved_us = y.moved_us FROM yesterday AS y"
        with psycopg.connect(conninfo("owner"), autocommit=True) as owner:
            owner.execute(copy)
            async with database.transaction() as tx:
                before = await ticket_rows.lock(tx, ticket.ticket_id, SEAL)
                after = step(before, Act.REVOKE, REQUESTER, START_US + 480 * S)
                await ticket_rows.move(tx, before, after)
                await tell(tx, after)
            owner.execute(back)
        async with database.transaction() as tx:
            found = await ticket_rows.read(tx, ticket.ticket_id)
        assert found == ticket
        assert await reason(database, ticket.ticket_id) is Reason.TICKET_TAMPERED

    within(conninfo, work)


def test_a_row_without_a_leaf_is_no_ticket_and_a_refused_leaf_is_none(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        async with database.transaction() as tx:
            ticket = await ticket_rows.create(tx, PLAN, START_US)
        assert await reason(database, ticket.ticket_id) is Reason.TICKET_TAMPERED
        async with database.transaction() as tx:
            await tell(tx, ticket, decision="deny")
        assert await reason(database, ticket.ticket_id) is Reason.TICKET_TAMPERED

    within(conninfo, work)


def test_a_header_goes_with_its_ticket(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        ticket = await made(database, 7)
        async with database.transaction() as tx:
            await ticket_rows.keep_header(tx, ticket.ticket_id, b"age-encryption.org/v1")
            assert await ticket_rows.header(tx, ticket.ticket_id) == b"age-encryption.org/v1"
        async with database.transaction() as tx:
            before = await ticket_rows.lock(tx, ticket.ticket_id, SEAL)
            after = step(before, Act.REVOKE, approver("zhao"), START_US + 9_000 * S)
            await ticket_rows.move(tx, before, after)
            await tell(tx, after)
        async with database.transaction() as tx:
            assert await ticket_rows.header(tx, ticket.ticket_id) is None

    within(conninfo, work)


def test_lists_go_from_the_newest_on_and_by_state(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        tickets = [await made(database, steps) for steps in (0, 1, 3, 1)]
        async with database.transaction() as tx:
            first = await ticket_rows.page(tx, ticket_rows.NEWEST, "", 3)
            rest = await ticket_rows.page(tx, first[-1].ticket_id, "", 3)
            assert [*first, *rest] == tickets[::-1]
            submitted = await ticket_rows.page(tx, ticket_rows.NEWEST, "submitted", 9)
            assert submitted == [tickets[3], tickets[1]]
            found = await ticket_rows.in_states(tx, [State.APPROVED, State.DRAFT])
            assert found == [tickets[0], tickets[2]]

    within(conninfo, work)


def test_the_clock_never_lies_before_the_log(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        await made(database)
        async with database.transaction() as tx:
            assert await ticket_rows.now_us(tx, TurnedClock(START_US - 9 * S)) == START_US
            assert await ticket_rows.now_us(tx, TurnedClock(START_US + 9 * S)) == START_US + 9 * S

    within(conninfo, work)


@pytest.mark.parametrize("role", DOORS)
@pytest.mark.parametrize(
    "statement",
    [
        *(f"SELECT 1 FROM {table}" for table in ("ticket", "ticket_approval", "export_header")),
        *(f"SELECT 1 FROM {table}" for table in ("export_debit", "export_receipt")),
        "UPDATE ticket SET state = 'approved'",
        "INSERT INTO ticket_approval SELECT * FROM ticket_approval",
        "INSERT INTO export_header VALUES ('EX-00000001', '')",
        "DELETE FROM export_header",
        "SELECT nextval('ticket_number')",
        "SELECT ticket_leaf('EX-00000001')",
        "SELECT body FROM item",
        "SELECT wrapped FROM content_key",
    ],
)
def test_the_role_of_another_door_reads_no_body_and_moves_no_ticket(
    conninfo_shared: Conninfo, role: str, statement: str
) -> None:
    with (
        psycopg.connect(conninfo_shared(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ticket",
        "DELETE FROM ticket_approval",
        "DELETE FROM export_debit",
        "DELETE FROM export_receipt",
        "UPDATE ticket SET plan = ''",
        "UPDATE ticket SET plan_sha256 = ''",
        "UPDATE ticket SET recipient_person = 'other'",
        "UPDATE ticket SET not_after_us = 0",
        "UPDATE ticket_approval SET signature = ''",
        "UPDATE export_header SET header = ''",
        "INSERT INTO item SELECT * FROM item",
        "UPDATE item SET body = ''",
        "UPDATE child SET unit_code = ''",
        "DELETE FROM dose",
        "SELECT leaf FROM audit_entry",
        "SELECT moved_ticket('')",
    ],
)
def test_disclosure_itself_changes_no_plan_and_no_record(
    conninfo_shared: Conninfo, statement: str
) -> None:
    with (
        psycopg.connect(conninfo_shared("disclosure")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_a_plan_and_its_digest_agree_in_the_table_too(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        ticket = await made(database)
        with (
            psycopg.connect(conninfo("owner")) as owner,
            pytest.raises(psycopg.errors.CheckViolation),
        ):
            owner.execute("UPDATE gateway.ticket SET plan = plan || ' '::bytea")
        assert SEAL.of(replace(ticket, held=True)) != SEAL.of(ticket)

    within(conninfo, work)


def test_the_recipient_and_the_requester_are_found_by_their_persons(conninfo: Conninfo) -> None:
    async def work(database: Database) -> None:
        await made(database)
        async with database.transaction() as tx:
            row = await tx.fetch_one(
                "SELECT requester_organisation, requester_person, recipient_organisation,"
                " recipient_person FROM gateway.ticket"
            )
        assert row == (*PLAN.requester.person, *RECIPIENT.party.person)

    within(conninfo, work)
