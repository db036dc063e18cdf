"""A small gateway that keeps tickets: what it is told of them it remembers, and answers with the ticket."""

from dataclasses import dataclass, field, replace

from gateway.errors import Reason, refuse
from gateway.exports.ticket import State
from gateway.services import export_wire
from gateway.v1 import export_service_pb2 as pb
from tests.cli.small_admin import SmallAdmin
from tests.exports.tickets import PLAN, along

_EXPORTS = "/gateway.v1.ExportService/"
TICKET = "EX-00000001"


@dataclass
class SmallExports(SmallAdmin):
    """Also: tickets by number, and every request that was made about them."""

    tickets: dict[str, pb.ExportTicket] = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def methods(self):
        mine = {
            "DraftExport": self.draft,
            "GetExport": self.get,
            "ListExports": self.listed,
            **{
                f"{word}Export": self.move
                for word in (
                    *("Submit", "Withdraw", "Approve", "Deny", "Revoke", "Hold", "Unhold"),
                    "Recall",
                )
            },
        }
        found = {
            f"{_EXPORTS}{name}": (method, getattr(pb, f"{name}Request"))
            for name, method in mine.items()
        }
        return {**super().methods(), **found}

    def keep(self, steps, ticket_id=TICKET, **changes):
        """Keep a ticket that has gone so many steps."""
        ticket = replace(along(steps, **changes), ticket_id=ticket_id)
        self.tickets[ticket_id] = export_wire.message(ticket)
        return self.tickets[ticket_id]

    def draft(self, request, token):
        self._check(token)
        self.asked.append(request)
        plan = export_wire.plan(request, PLAN.requester, PLAN.recipient)
        ticket = replace(along(0), plan=plan, plan_sha256=plan.sha256, state=State.DRAFT)
        return pb.DraftExportResponse(ticket=export_wire.message(ticket))

    def get(self, request, token):
        self._check(token)
        if request.ticket_id not in self.tickets:
            raise refuse(Reason.NOT_FOUND)
        return pb.GetExportResponse(ticket=self.tickets[request.ticket_id])

    def listed(self, request, token):
        """One to a page, so that the pages are asked for."""
        self._check(token)
        self.asked.append(request)
        found = list(self.tickets.values())
        start = int(request.page_token or 0)
        rest = str(start + 1) if start + 1 < len(found) else ""
        return pb.ListExportsResponse(tickets=found[start : start + 1], next_page_token=rest)

    def move(self, request, token):
        self._check(token)
        self.asked.append(request)
        answer = type(request).__name__.replace("Request", "Response")
        return getattr(pb, answer)(ticket=self.tickets[request.ticket_id])
