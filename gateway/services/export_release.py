"""The disclosure door's service of what comes after a download: receipt, key, destruction.

The key is the last thing that leaves. In one transaction: the ticket as the log knows it, both
approvals verified anew, the final decision, the debit in distinct children, the move, the leaf;
only then the header goes out. Before that nobody can read what was downloaded.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from functools import partial

from gateway.audit.event import Event
from gateway.clock import civil_day
from gateway.errors import Reason, Refusal, refuse
from gateway.exports import approval, budget, facts, receipt, ticket_rows
from gateway.exports.moving import leaf_of
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import Act, State, Ticket, moved
from gateway.services.call import Call, told
from gateway.services.export_tickets import Tickets
from gateway.services.export_wire import message
from gateway.services.requests import invalid
from gateway.services.times import day
from gateway.store.database import Transaction
from gateway.v1 import export_service_pb2 as pb


class ReleaseService:
    """Serves ReceiveExport, ReleaseExport, AcknowledgeExport, AttestDestruction."""

    def __init__(self, tickets: Tickets) -> None:
        """Release these tickets."""
        self._tickets = tickets

    async def ReceiveExport(
        self, call: Call, request: pb.ReceiveExportRequest
    ) -> pb.ReceiveExportResponse:
        """Keep the recipient's receipt for the whole payload.

        Raises RECEIPT_SIGNATURE and as `Tickets.judge`.
        """
        earlier = await self._tickets.repeated(call)
        if earlier is not None:
            return pb.ReceiveExportResponse(
                ticket=message(await self._tickets.again(call, earlier))
            )
        found = await self._tickets.find(call, request.ticket_id)
        self._tickets.judge(call, found, Act.RECEIVE)
        ticket = found.ticket
        if ticket.built is None or request.payload_sha256 != ticket.built.payload_sha256:
            raise refuse(Reason.RECEIPT_SIGNATURE)
        signed = receipt.statement(ticket.ticket_id, request.payload_sha256)
        await self._verify(call, signed, request.signature)

        async def keep(tx: Transaction, after: Ticket) -> None:
            certificate = call.link.certificate_sha256
            await receipt.keep(tx, after, certificate, request.signature, after.moved_us)

        after = await self._tickets.move(call, found, Act.RECEIVE, also=keep)
        return pb.ReceiveExportResponse(ticket=message(after))

    async def ReleaseExport(
        self, call: Call, request: pb.ReleaseExportRequest
    ) -> pb.ReleaseExportResponse:
        """Give the header, decided, debited and on the log before.

        Once more, up to three times, where an answer was lost; the children are charged once.
        Raises TICKET_SPENT, CHILD_BUDGET_SPENT, TICKET_TAMPERED and as `Tickets.judge`.
        """
        await self._tickets.repeated(call)
        seal = self._tickets.ground.seal
        found = await self._tickets.find(call, request.ticket_id)
        async with self._tickets.database.transaction() as tx:
            # So that the leaf of a refusal names the policies, too.
            overspent = await self._overspent(tx, found.ticket, found.around.now_us)
        self._tickets.judge(call, found, Act.RELEASE, overspent=overspent)

        async def work(tx: Transaction) -> tuple[Ticket, bytes, int]:
            before = await ticket_rows.lock(tx, found.ticket.ticket_id, seal)
            now_us = await self._tickets.now_us(tx)
            overspent = await self._overspent(tx, before, now_us)
            by = self._tickets.caller(call, found.around.registry)
            after = moved(before, Act.RELEASE, by, now_us, self._tickets.rules.approvals)
            charged = await budget.charge(tx, before, now_us)
            header = await ticket_rows.header(tx, before.ticket_id)
            if header is None:
                raise refuse(Reason.TICKET_STATE)
            await ticket_rows.move(tx, before, after)
            # Last: whoever was suspended by a leaf before ours is seen to be.
            await ticket_rows.hold_log(tx)
            newest = await self._tickets.newest(tx, before)
            self._tickets.judge(call, newest, Act.RELEASE, overspent=overspent)
            return after, header, charged

        after, header, _ = await call.effect(work, partial(_released, seal))
        await self._tickets.told(after)
        return pb.ReleaseExportResponse(ticket=message(after), header=header)

    async def AcknowledgeExport(
        self, call: Call, request: pb.AcknowledgeExportRequest
    ) -> pb.AcknowledgeExportResponse:
        """Take note that the file was opened; raises FIELD_INVALID and as `Tickets.judge`."""
        earlier = await self._tickets.repeated(call)
        if earlier is not None:
            return pb.AcknowledgeExportResponse(
                ticket=message(await self._tickets.again(call, earlier))
            )
        found = await self._tickets.find(call, request.ticket_id)
        self._tickets.judge(call, found, Act.ACKNOWLEDGE)
        built = found.ticket.built
        if built is None or request.manifest_sha256 != built.manifest_sha256:
            raise invalid("manifest_sha256", "MANIFEST", "This file's.", "须为该文件的清单摘要。")
        after = await self._tickets.move(call, found, Act.ACKNOWLEDGE)
        return pb.AcknowledgeExportResponse(ticket=message(after))

    async def AttestDestruction(
        self, call: Call, request: pb.AttestDestructionRequest
    ) -> pb.AttestDestructionResponse:
        """Keep the recipient's signed word; raises RECEIPT_SIGNATURE, as `Tickets.judge`."""
        earlier = await self._tickets.repeated(call)
        if earlier is not None:
            return pb.AttestDestructionResponse(
                ticket=message(await self._tickets.again(call, earlier))
            )
        found = await self._tickets.find(call, request.ticket_id)
        self._tickets.judge(call, found, Act.DESTROY)
        ticket, on = found.ticket, day(request.destroyed_date, "destroyed_date")
        if not civil_day(ticket.created_us) <= on <= civil_day(found.around.now_us):
            raise invalid(
                "destroyed_date",
                "DAY",
                "Not before the ticket, not ahead.",
                "须在申请之后且不晚于今日。",
            )
        signed = receipt.attestation(ticket.ticket_id, ticket.plan_sha256, on)
        await self._verify(call, signed, request.signature)

        async def keep(tx: Transaction, after: Ticket) -> None:
            certificate, signature = call.link.certificate_sha256, request.signature
            await receipt.keep(tx, after, certificate, signature, after.moved_us, on)

        after = await self._tickets.move(call, found, Act.DESTROY, also=keep)
        return pb.AttestDestructionResponse(ticket=message(after))

    async def _overspent(self, tx: Transaction, ticket: Ticket, now_us: int) -> frozenset[str]:
        """Return the budgets beyond; what was charged once is not counted against itself."""
        if ticket.state is State.RELEASED:
            return frozenset()
        return await budget.overspent(tx, ticket, self._tickets.rules.quota, now_us)

    async def _verify(self, call: Call, signed: bytes, signature: bytes) -> None:
        """Return where this connection's certificate signed; raises RECEIPT_SIGNATURE."""
        async with self._tickets.database.transaction() as tx:
            around = await self._tickets.around(tx)
            own = await facts.named(tx, call.link.certificate_sha256, around)
        if own is None:
            raise refuse(Reason.RECEIPT_SIGNATURE)
        try:
            approval.verify(own.certificate, signed, signature)
        except Refusal:
            raise refuse(Reason.RECEIPT_SIGNATURE) from None


def _released(seal: TicketSeal, done: tuple[Ticket, bytes, int], event: Event) -> Event:
    after, _, charged = done
    return told(leaf_of(seal, after, event), counts={"children": charged})
