"""Tickets put into a world's store as they stand after so many steps, for tests of what comes then."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.audit.event import Event
from gateway.exports import approval, ticket_rows
from gateway.exports.marks import Marks
from gateway.exports.moving import leaf_of
from gateway.exports.plan import Party, Plan
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import Act, Approval, Caller, Given, Ticket
from gateway.services import export_wire
from gateway.store import roles, ticket_key
from gateway.store.database import Database, Transaction
from gateway.v1 import export_service_pb2 as pb
from tests.exports.cast import Cast, digest
from tests.exports.tickets import WAY, S, officer, step
from tests.world import PROVINCE

_APPEND = "SELECT size FROM gateway.audit_append(%s, (SELECT size FROM gateway.audit_head))"
# The approvals keep their distance; the rest is quick, for certificates begin to live shortly before.
APART_US = 121 * S


def plan_of(cast: Cast, by: str = "lian", **changes: Any) -> Plan:
    """The plan that a request of `Cast.plan` makes, asked for by somebody."""
    request = cast.plan(**changes)
    asks, takes = cast[by], cast[request.recipient_account_name]
    return export_wire.plan(
        request,
        Party(asks.organisation, asks.subject.name, asks.account),
        Party(takes.organisation, takes.subject.name, takes.account),
    )


def plant(cast: Cast, steps: int, *, held: bool = False, **changes: Any) -> pb.ExportTicket:
    """Put a ticket that has gone so many steps of WAY into the store, each with its leaf."""
    with ThreadPoolExecutor(1) as apart:
        ticket = apart.submit(asyncio.run, _planted(cast, steps, held, changes)).result()
    return export_wire.message(ticket)


def retold(cast: Cast, ticket_id: str) -> None:
    """Have the log tell a ticket as its row stands now: as only the door's own key can."""
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, _retold(cast, ticket_id)).result()


async def _retold(cast: Cast, ticket_id: str) -> None:
    world = cast.world
    door = roles.conninfo(world.home, world.settings, "disclosure")
    database = await Database.open(door, application="plant", size=1)
    try:
        async with database.transaction() as tx:
            ticket = await ticket_rows.read(tx, ticket_id)
            assert ticket is not None
            await _tell(tx, cast.tickets.ground.seal, ticket)
    finally:
        await database.close()


async def _planted(cast: Cast, steps: int, held: bool, changes: dict[str, Any]) -> Ticket:
    world = cast.world
    # Nobody else tells the log of exports.
    door = roles.conninfo(world.home, world.settings, "disclosure")
    database = await Database.open(door, application="plant", size=1)
    seal = TicketSeal(ticket_key.load(world.home), Marks(world.home.exports))
    begun_us = world.clock.now_us() - (steps + 2) * S - APART_US
    early = changes.pop("not_before_us", begun_us - S)
    plan = replace(plan_of(cast, **changes), not_before_us=early)
    try:
        async with database.transaction() as tx:
            ticket = await ticket_rows.create(tx, plan, begun_us)
            await _tell(tx, seal, ticket)
        for number, (act, by) in enumerate(WAY[:steps], 1):
            given, who = _hands(cast, ticket, act, by)
            at_us = _at(begun_us, number)
            ticket = await _move(
                *(database, seal, ticket),
                lambda t, a=act, w=who, u=at_us, g=given: step(t, a, w, u, g),
            )
        if held:
            at_us = _at(begun_us, steps + 1)
            ticket = await _move(
                database, seal, ticket, lambda t: step(t, Act.HOLD, officer("song"), at_us)
            )
    finally:
        await database.close()
    return ticket


def _at(begun_us: int, number: int) -> int:
    """When a step is taken, counted from 1; the third is the second approval."""
    return begun_us + number * S + (APART_US if number >= 3 else 0)


async def _move(
    database: Database, seal: TicketSeal, ticket: Ticket, change: Callable[[Ticket], Ticket]
) -> Ticket:
    async with database.transaction() as tx:
        before = await ticket_rows.lock(tx, ticket.ticket_id, seal)
        after = await ticket_rows.move(tx, before, change(before))
        await _tell(tx, seal, after)
    return after


def _hands(
    cast: Cast, ticket: Ticket, act: Act, by: Caller | None
) -> tuple[Given | None, Caller | None]:
    """Who does a step in this world, and what comes with it: real signatures."""
    plan = ticket.plan
    if by is not None and "requester" in by.roles:
        return None, replace(by, party=plan.requester)
    if by is not None and "recipient" in by.roles:
        return None, replace(by, party=plan.recipient)
    if act is not Act.APPROVE or by is None:
        return None, by
    person = cast[by.party.name]
    told = approval.statement(ticket.ticket_id, ticket.plan_sha256)
    signature = person.key.sign(told, ec.ECDSA(SHA256()))
    who = replace(by, party=Party(PROVINCE, person.subject.name, person.account))
    given = Approval(*who.party.person, who.party.account, digest(person), signature, 0)
    return Given(approval=given), who


async def _tell(tx: Transaction, seal: TicketSeal, ticket: Ticket) -> None:
    leaf = leaf_of(seal, ticket, Event(kind="export.planted")).to_leaf(ticket.moved_us)
    await tx.fetch(_APPEND, ([leaf],))
