"""The disclosure door's service of tickets: messages become values and back.

How a ticket moves, `exports.ticket` says; who may, the policy; this file knows which rpc is which
act.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from gateway.errors import Reason, Refusal, refuse
from gateway.exports import approval, duties, facts, ticket_rows
from gateway.exports.ticket import (
    NOTHING,
    Act,
    Approval,
    Given,
    Ticket,
    sides,
)
from gateway.pki import register
from gateway.services import pages
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.export_drafts import Drafts
from gateway.services.export_stopping import stop
from gateway.services.export_tickets import Found, Tickets
from gateway.services.export_wire import message, state
from gateway.services.pages import Pages
from gateway.services.requests import require_reason
from gateway.v1 import export_service_pb2 as pb


class ExportService:
    """Serves gateway.v1.ExportService, but for the download and what follows it."""

    def __init__(self, tickets: Tickets, drafts: Drafts, current: Current, pages: Pages) -> None:
        """Serve these tickets."""
        self._tickets = tickets
        self._drafts = drafts
        self._current = current
        self._pages = pages

    async def DraftExport(
        self, call: Call, request: pb.DraftExportRequest
    ) -> pb.DraftExportResponse:
        """Freeze a plan; raises as `Drafts.draft`."""
        return pb.DraftExportResponse(ticket=message(await self._drafts.draft(call, request)))

    async def SubmitExport(
        self, call: Call, request: pb.SubmitExportRequest
    ) -> pb.SubmitExportResponse:
        """Count a plan and ask for approval; raises as `Drafts.submit`."""
        return pb.SubmitExportResponse(ticket=message(await self._drafts.submit(call, request)))

    async def WithdrawExport(
        self, call: Call, request: pb.WithdrawExportRequest
    ) -> pb.WithdrawExportResponse:
        """Take back one's own ticket; raises as `Tickets.judge`."""
        moved = await self._move(call, request.ticket_id, Act.WITHDRAW)
        return pb.WithdrawExportResponse(ticket=message(moved))

    async def ApproveExport(
        self, call: Call, request: pb.ApproveExportRequest
    ) -> pb.ApproveExportResponse:
        """Add the caller's signature.

        Raises PLAN_CHANGED, APPROVAL_SIGNATURE, RECIPIENT_OVERDUE, and as `Tickets.judge`.
        """
        earlier = await self._tickets.repeated(call)
        if earlier is not None:
            return pb.ApproveExportResponse(ticket=message(await self._again(call, earlier)))
        found = await self._tickets.find(call, request.ticket_id)
        given = Given(approval=await self._signed(call, found, request))
        self._tickets.judge(call, found, Act.APPROVE, given)
        moved = await self._tickets.move(call, found, Act.APPROVE, given)
        return pb.ApproveExportResponse(ticket=message(moved))

    async def DenyExport(self, call: Call, request: pb.DenyExportRequest) -> pb.DenyExportResponse:
        """Refuse a plan for good; raises as `Tickets.judge`."""
        require_reason(request.reason)
        moved = await self._move(call, request.ticket_id, Act.DENY)
        return pb.DenyExportResponse(ticket=message(moved))

    async def RevokeExport(
        self, call: Call, request: pb.RevokeExportRequest
    ) -> pb.RevokeExportResponse:
        """Stop a ticket, also one that was tampered with; raises as `export_stopping.stop`."""
        require_reason(request.reason)
        moved = await self._stop(call, request.ticket_id, Act.REVOKE)
        return pb.RevokeExportResponse(ticket=message(moved))

    async def HoldExport(self, call: Call, request: pb.HoldExportRequest) -> pb.HoldExportResponse:
        """Freeze a ticket; raises as `Tickets.judge`."""
        require_reason(request.reason)
        moved = await self._move(call, request.ticket_id, Act.HOLD)
        return pb.HoldExportResponse(ticket=message(moved))

    async def UnholdExport(
        self, call: Call, request: pb.UnholdExportRequest
    ) -> pb.UnholdExportResponse:
        """Let a held ticket go on, as the second of two; raises as `Tickets.judge`."""
        moved = await self._move(call, request.ticket_id, Act.UNHOLD)
        return pb.UnholdExportResponse(ticket=message(moved))

    async def RecallExport(
        self, call: Call, request: pb.RecallExportRequest
    ) -> pb.RecallExportResponse:
        """Call back what was released, by a day of its own; raises as `export_stopping.stop`."""
        require_reason(request.reason)
        async with self._tickets.database.transaction() as tx:
            now_us = await self._tickets.now_us(tx)
        given = Given(due_us=duties.recall_due_us(now_us, self._recall_days()))
        moved = await self._stop(call, request.ticket_id, Act.RECALL, given)
        return pb.RecallExportResponse(ticket=message(moved))

    async def GetExport(self, call: Call, request: pb.GetExportRequest) -> pb.GetExportResponse:
        """Show a ticket, and by whose authority it was approved.

        Raises NOT_FOUND, TICKET_TAMPERED, POLICY_DENIED.
        """
        found = await self._tickets.find(call, request.ticket_id)
        ticket = self._tickets.look(call, found)
        async with self._tickets.database.transaction() as tx:
            standings = await facts.standings(tx, ticket, found.around)
        return pb.GetExportResponse(ticket=message(ticket, standings))

    async def ListExports(
        self, call: Call, request: pb.ListExportsRequest
    ) -> pb.ListExportsResponse:
        """List the tickets that the caller may see, the newest first."""
        limit, word = pages.size(request), state(request.state)
        place = self._pages.position(call, request)
        registry = await self._current.registry()
        caller = self._tickets.caller(call, registry)

        async def read(before: str, most: int) -> list[Ticket]:
            async with self._tickets.database.transaction() as tx:
                return await ticket_rows.page(tx, before, word, most)

        found = await pages.gather(
            read,
            lambda one: one.ticket_id,
            lambda one: bool(sides(one, caller)),
            ticket_rows.NEWEST if place is None else str(place[0]),
            limit,
        )
        call.note(counts={"entries": len(found)})
        full = len(found) == limit
        token = self._pages.seal(call, request, [found[-1].ticket_id]) if full else ""
        return pb.ListExportsResponse(tickets=map(message, found), next_page_token=token)

    async def _move(self, call: Call, ticket_id: str, act: Act) -> Ticket:
        """Move a ticket by an act that comes with nothing, or show it where it moved so before."""
        earlier = await self._tickets.repeated(call)
        if earlier is not None:
            return await self._again(call, earlier)
        found = await self._tickets.find(call, ticket_id)
        self._tickets.judge(call, found, act, NOTHING)
        return await self._tickets.move(call, found, act)

    async def _stop(self, call: Call, ticket_id: str, act: Act, given: Given = NOTHING) -> Ticket:
        """Stop a ticket, or show it where it was stopped by this very request."""
        earlier = await self._tickets.repeated(call)
        if earlier is not None:
            return await self._again(call, earlier)
        return await stop(self._tickets, call, ticket_id, act, given)

    def _recall_days(self) -> int:
        """Return how many days a recall leaves; none, while no rules of exports are in force."""
        try:
            return self._tickets.rules.bounds.recall_days
        except Refusal:
            return 0

    async def _again(self, call: Call, ticket_id: str) -> Ticket:
        return await self._tickets.again(call, ticket_id)

    async def _signed(self, call: Call, found: Found, request: pb.ApproveExportRequest) -> Approval:
        """Return the approval that a request makes, its signature verified.

        By the certificate of this very connection; raises PLAN_CHANGED, APPROVAL_SIGNATURE.
        """
        ticket, certificate = found.ticket, call.link.certificate_sha256
        if request.plan_sha256 != ticket.plan_sha256:
            raise refuse(Reason.PLAN_CHANGED)
        async with self._tickets.database.transaction() as tx:
            own = await facts.named(tx, certificate, found.around)
        who = self._tickets.caller(call, found.around.registry).party
        if own is None or not own.is_of(who, register.TLS):
            raise refuse(Reason.APPROVAL_SIGNATURE)
        signed = approval.statement(ticket.ticket_id, ticket.plan_sha256)
        approval.verify(own.certificate, signed, request.signature)
        return Approval(who.organisation, who.name, who.account, certificate, request.signature, 0)
