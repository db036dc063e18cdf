"""How a ticket begins: the draft of a plan, and its submission with a count that tells little."""

import math
from dataclasses import replace
from functools import partial

from gateway.clock import US_PER_S
from gateway.errors import Reason, Violation, refuse
from gateway.exports import completing, drafting, facts, parquet, ticket_rows, unusual
from gateway.exports.drafting import Known, violation
from gateway.exports.facts import Around
from gateway.exports.moving import leaf_of
from gateway.exports.plan import Party, Plan
from gateway.exports.ticket import Act, Counted, Given, Ticket, opened
from gateway.exports.unusual import Request
from gateway.identity import accounts, roles
from gateway.identity.accounts import Account
from gateway.pki import register
from gateway.records.query import Bodies, snapshot
from gateway.records.tables import Tables
from gateway.services import export_wire
from gateway.services.call import Call
from gateway.services.export_tickets import Found, Tickets
from gateway.store.database import Transaction
from gateway.v1 import export_service_pb2 as pb

_US_PER_MINUTE = 60 * US_PER_S
_US_PER_DAY = 24 * 60 * _US_PER_MINUTE
# What a plan that has no number yet is judged under.
_UNNUMBERED = "EX-00000000"
_WAITING = (
    "SELECT count(*) FROM gateway.ticket"
    " WHERE requester_organisation = %s AND requester_person = %s AND state = 'draft'"
)
_COUNT = (
    "INSERT INTO gateway.export_count AS c (organisation, person, counted_us) VALUES (%s, %s, %s)"
    " ON CONFLICT (organisation, person) DO UPDATE SET counted_us = excluded.counted_us"
    " WHERE c.counted_us <= excluded.counted_us - %s"
)


class Drafts:
    """Begins tickets; one per process."""

    def __init__(self, tickets: Tickets, bodies: Bodies, tables: Tables) -> None:
        """Begin tickets of what these bodies and tables hold."""
        self._tickets = tickets
        self._bodies = bodies
        self._tables = tables

    async def draft(self, call: Call, request: pb.DraftExportRequest) -> Ticket:
        """Return the draft of a plan.

        Raises FIELD_INVALID with violations, RECIPIENT_OVERDUE, DRAFTS_TOO_MANY, POLICY_DENIED.
        """
        earlier = await self._tickets.repeated(call)
        if earlier is not None:
            return await self._tickets.again(call, earlier)
        async with self._tickets.database.transaction() as tx:
            around = await self._tickets.around(tx)
            plan = await self._planned(tx, call, request, around)
            ticket = opened(_UNNUMBERED, plan, around.now_us)
            found = Found(ticket, await facts.of(tx, ticket, around), around)
        call.note(detail={"plan_sha256": plan.sha256})
        self._tickets.judge(call, found)

        async def work(tx: Transaction) -> Ticket:
            # Here, where nobody else of this door writes: of two at once one is the last.
            row = await tx.fetch_one(_WAITING, plan.requester.person)
            if row is None or row[0] >= self._tickets.rules.bounds.drafts:
                raise refuse(Reason.DRAFTS_TOO_MANY)
            return await ticket_rows.create(tx, plan, await self._tickets.now_us(tx))

        return await call.effect(work, partial(leaf_of, self._tickets.ground.seal))

    async def submit(self, call: Call, request: pb.SubmitExportRequest) -> Ticket:
        """Return the submitted ticket with its count.

        Raises PLAN_CHANGED, RECIPIENT_OVERDUE, COUNT_TOO_SOON, COUNT_TOO_LARGE, TICKET_UNUSUAL, as
        `Tickets.judge` and `Tickets.move`.
        """
        earlier = await self._tickets.repeated(call)
        if earlier is not None:
            return await self._tickets.again(call, earlier)
        found = await self._tickets.find(call, request.ticket_id)
        # Nobody has a plan counted, or hears of it, that he may not submit.
        bare = replace(found, facts=replace(found.facts, planned=(0, 0)))
        self._tickets.judge(call, bare, Act.SUBMIT, Given(counted=Counted(0, 0, 2)))
        if request.plan_sha256 != found.ticket.plan_sha256:
            raise refuse(Reason.PLAN_CHANGED)
        rows, children = await self._count(found.ticket.plan, found.around.now_us)
        if rows > found.ticket.plan.row_cap or children > max(found.ticket.plan.child_cap, 0):
            raise refuse(Reason.COUNT_TOO_LARGE)
        counted = Counted(rows, children, await self._needed(found, rows))
        given = Given(counted=counted)
        planned = replace(found, facts=replace(found.facts, planned=(rows, children)))
        self._tickets.judge(call, planned, Act.SUBMIT, given)
        call.note(counts={"rows": rows, "children": children, "confirmations": counted.needed})
        return await self._tickets.move(call, found, Act.SUBMIT, given)

    async def _planned(
        self, tx: Transaction, call: Call, request: pb.DraftExportRequest, around: Around
    ) -> Plan:
        """Return the plan of a request that may be asked for; raises FIELD_INVALID."""
        code, name = request.recipient_organisation_code, request.recipient_account_name
        account = await accounts.read(tx, code, name)
        if account is None or not _receives(account):
            raise export_wire.faulty([violation("recipient", "EX-RECIPIENT")])
        requester = self._tickets.caller(call, around.registry).party
        recipient = Party(code, account.subject_name, name)
        if recipient.person == requester.person:
            raise export_wire.faulty([violation("recipient", "EX-APART")])
        plan = export_wire.plan(request, requester, recipient)
        plan = await _completed(tx, plan, around)
        found = await self._faults(tx, plan, around)
        if found:
            raise export_wire.faulty(found)
        return plan

    async def _faults(self, tx: Transaction, plan: Plan, around: Around) -> list[Violation]:
        known = Known(
            facts.covers(plan.requester.organisation, plan, around),
            around.divisions,
            self._tables.vaccines,
            around.registry.units,
        )
        found = drafting.faults(plan, self._tickets.rules.plan, known, around.now_us)
        if found:
            return found
        bad = await facts.bad_certificates(tx, plan, around)
        found = [violation(field, "EX-CERTIFICATE") for field in bad]
        if not await facts.tunnel_active(tx, plan, around):
            found.append(violation("tunnel", "EX-TUNNEL"))
        if plan.format == "parquet" and not parquet.available():
            found.append(violation("format", "EX-FORMAT"))
        return found

    async def _count(self, plan: Plan, now_us: int) -> tuple[int, int]:
        """Return how many rows and children a plan finds, in hundreds, none as a hundred.

        Raises COUNT_TOO_SOON: the person's last count is charged before this one is made.
        """
        rules = self._tickets.rules.count
        wait_us = rules.every_minutes * _US_PER_MINUTE
        async with self._tickets.database.transaction() as tx:
            if not await tx.execute(_COUNT, (*plan.requester.person, now_us, wait_us)):
                raise refuse(Reason.COUNT_TOO_SOON, retry_after_s=rules.every_minutes * 60.0)
        async with self._tickets.database.transaction() as tx:
            await snapshot(tx)
            rows, children = await self._bodies.count(tx, drafting.wanted(plan))
        individual = plan.child_cap > 0
        return _up(rows, rules.round_to), _up(children, rules.round_to) if individual else 0

    async def _needed(self, found: Found, rows: int) -> int:
        """Return how many persons must approve; raises TICKET_UNUSUAL."""
        rules, now_us = self._tickets.rules, found.around.now_us
        since_us = now_us - rules.unusual.memory_days * _US_PER_DAY
        requester = found.ticket.plan.requester
        async with self._tickets.database.transaction() as tx:
            seal = self._tickets.ground.seal
            released = await ticket_rows.released(tx, requester.person, since_us, seal)
        signs = unusual.signs(Request(found.ticket, rows, now_us), released, rules.unusual)
        return unusual.needed(signs, rules.unusual, rules.approvals)


def _up(count: int, to: int) -> int:
    return max(math.ceil(count / to), 1) * to


async def _completed(tx: Transaction, plan: Plan, around: Around) -> Plan:
    """Return the plan with the recipient's own certificates and tunnel where it names none."""
    until_us = plan.not_after_us
    connecting = plan.connection_certificate_sha256 or await completing.in_force(
        tx, plan.recipient, register.TLS, until_us
    )
    encrypting = plan.encryption_certificate_sha256 or await completing.in_force(
        tx, plan.recipient, register.ENCRYPTION, until_us
    )
    tunnel = plan.tunnel or await completing.only_tunnel(tx, plan.recipient.organisation, around)
    return replace(
        plan,
        connection_certificate_sha256=connecting,
        encryption_certificate_sha256=encrypting,
        tunnel=tunnel,
    )


def _receives(account: Account) -> bool:
    officer = account.subject_kind == "officer"
    return account.active and officer and roles.RECIPIENT in account.roles
