"""What every rpc about a ticket goes through: found, judged, moved with its leaf.

    1 the ticket as the log knows it        3 the policy, named in the leaf
    2 who is in it now, from the register   4 the move, in one transaction with its leaf

What the machine and the policy both refuse is told with the machine's reason, which says more; the
leaf names the policies all the same.
"""

import re
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial

from gateway.clock import US_PER_S, Clock
from gateway.config.exports import ApprovalRules, ExportRules
from gateway.errors import Reason, Refusal, refuse
from gateway.exports import facts, ticket_rows
from gateway.exports.facts import Around
from gateway.exports.moving import TAMPERED_ALERT, leaf_of
from gateway.exports.plan import Party
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import NOTHING, UNRULED, Act, Caller, Given, Ticket, moved, sides
from gateway.pki.issuers import Issuers
from gateway.policy import request as policy
from gateway.policy.request import Calling, Resource
from gateway.registry.snapshot import Registry
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.permits import Permits
from gateway.services.repeats import earlier
from gateway.services.requests import invalid
from gateway.store.database import Database, Transaction

_TICKET = re.compile(r"EX-[0-9]{8}", re.ASCII)
# What only the plan's certificate does, through the plan's tunnel.
_BOUND = frozenset({"DownloadExport", "ReceiveExport", "ReleaseExport"})
# What brings an export about: not for who owes the proof of a destruction.
_GETTING = _BOUND | {"DraftExport", "SubmitExport", "ApproveExport"}
# What moves a ticket towards the release: not with a column that may not leave any more, nor with
# an approval that is not its approver's. Everything else stops it, meets a duty or looks at it.
_ONWARD = _BOUND | {"SubmitExport", "ApproveExport", "UnholdExport"}
_EARLIER = "SELECT gateway.export_leaf(%s, %s)"


@dataclass(frozen=True, slots=True)
class Ground:
    """What tickets are judged by that does not change while the door serves."""

    divisions: Container[str]
    trust_domain: str
    static: Mapping[str, str]
    issuers: Issuers
    former: Issuers
    seal: TicketSeal


@dataclass(frozen=True, slots=True)
class Found:
    """A ticket as the log knows it, who is in it now, and when that was."""

    ticket: Ticket
    facts: policy.Ticket
    around: Around


class Tickets:
    """The tickets of a disclosure door; one per process."""

    def __init__(
        self, database: Database, current: Current, permits: Permits, ground: Ground, clock: Clock
    ) -> None:
        """Keep tickets in this database and judge them by this ground."""
        self.database = database
        self.ground = ground
        self.clock = clock
        self._current = current
        self._permits = permits

    @property
    def rules(self) -> ExportRules:
        """The rules in force; raises POLICIES_UNUSABLE."""
        return self._current.export_rules

    def approval_rules(self, act: Act) -> ApprovalRules | None:
        """Return what an act is ruled by, None where it needs nothing; raises POLICIES_UNUSABLE."""
        return None if act in UNRULED else self.rules.approvals

    async def around(self, tx: Transaction) -> Around:
        """Return the register as last read, and the time, which never lies before the log.

        Nothing is read anew here: who holds a connection of the pool must not wait for another.
        """
        return await self._around(tx, self._current.known)

    async def newest(self, tx: Transaction, ticket: Ticket) -> Found:
        """Return a ticket in what this transaction sees, after `ticket_rows.hold_log`.

        So nothing that is on the log is missed. Raises REVISION_STALE where other policies came.
        """
        around = await self._around(tx, await self._current.seen_by(tx))
        return Found(ticket, await facts.of(tx, ticket, around), around)

    async def _around(self, tx: Transaction, registry: Registry) -> Around:
        one = self.ground
        known = (registry, one.divisions, one.trust_domain, one.static)
        return Around(*known, one.issuers, one.former, one.seal, await self.now_us(tx))

    async def now_us(self, tx: Transaction) -> int:
        """Return the time, which never lies before the log."""
        return await ticket_rows.now_us(tx, self.clock)

    async def find(self, call: Call, ticket_id: str, column: str = "ticket_id") -> Found:
        """Return a ticket; the leaf names it from here on.

        Raises FIELD_INVALID, NOT_FOUND for who has no part in it, too, TICKET_TAMPERED.
        """
        if not _TICKET.fullmatch(ticket_id):
            raise invalid(column, "TICKET", "EX- and eight digits.", "格式为 EX- 加八位数字。")
        call.note(detail={"ticket": ticket_id})
        await self._current.registry()
        try:
            async with self.database.transaction() as tx:
                ticket = await ticket_rows.lock(tx, ticket_id, self.ground.seal)
                around = await self.around(tx)
                known = await facts.of(tx, ticket, around)
        except Refusal as refusal:
            if refusal.reason is not Reason.TICKET_TAMPERED:
                raise
            call.note(detail={"alert": TAMPERED_ALERT})
            spoiled = await self.spoiled(ticket_id)
            if not sides(spoiled[0].ticket, self.caller(call, spoiled[0].around.registry)):
                raise refuse(Reason.NOT_FOUND) from None
            raise
        call.note(detail={"plan_sha256": ticket.plan_sha256, "from_state": ticket.state.value})
        found = Found(ticket, known, around)
        if not sides(ticket, self.caller(call, around.registry)):
            # Which tickets there are is no stranger's business; the leaf says that there is one.
            self.ask(call, call.action, found)
            raise refuse(Reason.NOT_FOUND)
        return found

    async def spoiled(self, ticket_id: str) -> tuple[Found, int]:
        """Return what its row says of a ticket, to stop it, and the version to go on from."""
        async with self.database.transaction() as tx:
            ticket, version = await ticket_rows.lock_spoiled(tx, ticket_id, self.ground.seal)
            around = await self.around(tx)
            return Found(ticket, await facts.of(tx, ticket, around), around), version

    async def repeated(self, call: Call) -> str | None:
        """Return the ticket of this very request where it was made before.

        Raises REQUEST_ID_REUSED. Notes the message's digest: it covers what stays out of the log.
        """
        async with self.database.transaction() as tx:
            leaf = await earlier(tx, call, _EARLIER)
        detail = None if leaf is None else leaf.get("detail")
        ticket_id = detail.get("ticket") if isinstance(detail, dict) else None
        return ticket_id if isinstance(ticket_id, str) else None

    async def again(self, call: Call, ticket_id: str) -> Ticket:
        """Return the ticket of a repeated request as it stands; raises as `look`."""
        found = await self.find(call, ticket_id)
        return self.look(call, found)

    def look(self, call: Call, found: Found) -> Ticket:
        """Return a ticket to whoever may see it; raises POLICY_DENIED."""
        self._require(call, "GetExport", found)
        return found.ticket

    def judge(
        self,
        call: Call,
        found: Found,
        act: Act | None = None,
        given: Given = NOTHING,
        overspent: frozenset[str] | None = None,
    ) -> None:
        """Pass a call that policy and machine allow.

        Raises the machine's reason, RECIPIENT_OVERDUE, RECIPIENT_MISMATCH, CHILD_BUDGET_SPENT,
        POLICY_DENIED.
        """
        allowed = self.ask(call, call.action, found, overspent)
        if call.action in _ONWARD:
            _require_genuine(call, found)
        if act is not None:
            by, rules = self.caller(call, found.around.registry), self.approval_rules(act)
            moved(found.ticket, act, by, found.around.now_us, rules, given)
        if call.action in _BOUND and not _is_bound(call, found.ticket):
            raise refuse(Reason.RECIPIENT_MISMATCH)
        if overspent:
            raise refuse(Reason.CHILD_BUDGET_SPENT)
        if found.facts.overdue and call.action in _GETTING:
            raise refuse(Reason.RECIPIENT_OVERDUE, metadata={"ticket": found.facts.owed})
        if found.facts.withdrawn and call.action in _ONWARD:
            raise refuse(Reason.COLUMN_WITHDRAWN)
        if not allowed:
            raise refuse(Reason.POLICY_DENIED)
        call.permitted = True

    async def move(
        self,
        call: Call,
        found: Found,
        act: Act,
        given: Given = NOTHING,
        also: Callable[[Transaction, Ticket], Awaitable[None]] | None = None,
    ) -> Ticket:
        """Move what was found, with its leaf, and `also` what belongs to it; `judge` before.

        Raises as `moved`, REVISION_STALE where somebody moved it meanwhile, TICKET_TAMPERED,
        DISK_LOW.
        """
        by = self.caller(call, found.around.registry)

        async def work(tx: Transaction) -> Ticket:
            before = await ticket_rows.lock(tx, found.ticket.ticket_id, self.ground.seal)
            if before.version != found.ticket.version:
                raise refuse(Reason.REVISION_STALE)
            now_us = await self.now_us(tx)
            after = moved(before, act, by, now_us, self.approval_rules(act), given)
            await ticket_rows.move(tx, before, after)
            if also is not None:
                await also(tx, after)
            return after

        return await self.told(await call.effect(work, partial(leaf_of, self.ground.seal)))

    async def told(self, ticket: Ticket) -> Ticket:
        """Return a ticket that moved, its mark kept: from here on somebody is told."""
        await self.ground.seal.marks.keep(ticket.ticket_id, ticket.version)
        return ticket

    def caller(self, call: Call, registry: Registry) -> Caller:
        """Return who calls, as the machine knows people."""
        who = call.caller
        party = Party(who.organisation, who.subject.name, who.account)
        officer = who.subject.kind == "officer"
        provincial = officer and who.organisation == facts.province(registry)
        return Caller(party, who.roles if officer else frozenset(), provincial)

    def _require(self, call: Call, action: str, found: Found) -> None:
        if not self.ask(call, action, found):
            raise refuse(Reason.POLICY_DENIED)
        call.permitted = True

    def ask(
        self, call: Call, action: str, found: Found, overspent: frozenset[str] | None = None
    ) -> bool:
        """Return what the policy in force says of an act on a ticket; the leaf names who decided.

        Raises POLICIES_UNUSABLE.
        """
        registry = found.around.registry
        chain = registry.chain(found.ticket.plan.requester.organisation)
        resource = Resource("ExportTicket", chain, ticket=found.facts)
        circumstances = calling(call, found.around.now_us, overspent)
        return self._permits.ask(call, action, [resource], registry, circumstances)


def calling(call: Call, now_us: int, overspent: frozenset[str] | None = None) -> Calling:
    """Return the circumstances of a call; a confirmation counts where the rpc asks for one."""
    who, within_s = call.caller, call.known.access.confirmed_within_s
    confirmed = 0 <= now_us - who.confirmed_us <= within_s * US_PER_S
    certificate = call.link.certificate_sha256
    return Calling(str(who.subject), certificate, who.origin.tunnel, confirmed, now_us, overspent)


def _require_genuine(call: Call, found: Found) -> None:
    """Pass a ticket each of whose approvals its approver signed; raises TICKET_TAMPERED.

    With a certificate that an authority of ours issued to that person: anything else did not come
    in by `ApproveExport`.
    """
    if not all(one.genuine for one in found.facts.approvals):
        call.note(detail={"alert": TAMPERED_ALERT})
        raise refuse(Reason.TICKET_TAMPERED)


def _is_bound(call: Call, ticket: Ticket) -> bool:
    """Tell whether a call comes by the certificate and the tunnel that the plan names."""
    plan = ticket.plan
    came = call.link.certificate_sha256, call.caller.origin.tunnel
    return came == (plan.connection_certificate_sha256, plan.tunnel)
