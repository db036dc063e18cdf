"""What rows of tickets say, as values; none of it is proven yet (`ticket_rows`)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from gateway import log
from gateway.errors import Reason, Refusal, refuse
from gateway.exports import plan as plans
from gateway.exports.plan import Party, Plan
from gateway.exports.ticket import OUT, Approval, Built, Counted, Recall, State, Ticket
from gateway.store.database import Transaction

# The order of `_ticket`.
COLUMNS = (
    "SELECT ticket_id, plan, encode(plan_sha256, 'hex'), state, version, created_us, moved_us,"
    " held, submitted_us, counted_rows, counted_children, needed, unheld_organisation,"
    " unheld_person, unheld_account, built_rows, built_children, payload_bytes,"
    " encode(payload_sha256, 'hex'), encode(manifest_sha256, 'hex'), releases,"
    " requester_organisation, requester_person, recipient_organisation, recipient_person,"
    " not_after_us, destroy_by, fetches, recalled_organisation, recalled_person, recall_due_us,"
    " encode(children_sha256, 'hex')"
)
_APPROVALS = (
    "SELECT ticket_id, organisation, person, account, encode(certificate_sha256, 'hex'),"
    " signature, approved_us FROM gateway.ticket_approval WHERE ticket_id = ANY(%s)"
    " ORDER BY ticket_id, place"
)
# Stands for a plan that cannot be read: of it nothing can go out, and nothing is owed.
_UNREADABLE = Plan(
    dataset="stock",
    divisions=(),
    born_from=None,
    born_until=None,
    happened_from=None,
    happened_until=None,
    vaccine_codes=(),
    units=(),
    columns=(),
    purpose="",
    legal_basis="",
    requester=Party("", "", ""),
    recipient=Party("", "", ""),
    connection_certificate_sha256="00" * 32,
    encryption_certificate_sha256="00" * 32,
    tunnel="",
    row_cap=0,
    child_cap=0,
    not_before_us=0,
    not_after_us=0,
    destroy_by=date.min,
    format="csv",
)
_LOG = log.get("exports")
# Any, here and below: as the columns have them.
Row = Sequence[Any]


async def tickets(
    tx: Transaction, rows: Iterable[Row], *, sound: bool = False, spoiled: bool = False
) -> list[Ticket]:
    """Return the tickets of these rows with their approvals.

    Raises TICKET_TAMPERED for a row that is none; of a list, only the `sound` ones are returned:
    one row that somebody spoiled stops nothing that the gateway does of the others. `spoiled`: also
    one whose plan cannot be read, or with what is not the plan's beside it, to be stopped.
    """
    rows, found = list(rows), list[Ticket]()
    approvals = await tx.fetch(_APPROVALS, ([row[0] for row in rows],)) if rows else []
    for row in rows:
        own = [one for one in approvals if one[0] == row[0]]
        try:
            found.append(_ticket(row, own, spoiled=spoiled))
        except Refusal:
            if not sound:
                raise
            _LOG.error("ticket.tampered", ticket=row[0])
    return found


def _ticket(row: Row, approvals: Sequence[Row], *, spoiled: bool) -> Ticket:
    """Return the ticket of a row; raises TICKET_TAMPERED, also where a column has no value."""
    try:
        plan = _plan(row, spoiled=spoiled)
        found = _values(row, plan, approvals)
    except (plans.PlanError, TypeError, ValueError):
        raise refuse(Reason.TICKET_TAMPERED) from None
    # What stands beside the plan to find it by, and what the budgets go by, is the plan's own. What
    # is out is owed by whom the plan names, whatever somebody writes beside it (decision 0020).
    beside = (*plan.requester.person, *plan.recipient.person, plan.not_after_us, plan.destroy_by)
    if tuple(row[21:27]) != beside and not spoiled and found.state not in OUT:
        raise refuse(Reason.TICKET_TAMPERED)
    return found


def _plan(row: Row, *, spoiled: bool) -> Plan:
    try:
        return plans.parse(bytes(row[1]))
    except plans.PlanError:
        if not spoiled:
            raise
        asked, takes = Party(row[21], row[22], ""), Party(row[23], row[24], "")
        return replace(_UNREADABLE, requester=asked, recipient=takes)


def _values(row: Row, plan: Plan, approvals: Sequence[Row]) -> Ticket:
    return Ticket(
        ticket_id=row[0],
        plan=plan,
        plan_sha256=row[2],
        state=State(row[3]),
        version=row[4],
        created_us=row[5],
        moved_us=row[6],
        held=row[7],
        submitted_us=row[8],
        counted=None if row[9] is None else Counted(*row[9:12]),
        approvals=tuple(
            Approval(one[1], one[2], one[3], one[4], bytes(one[5]), one[6]) for one in approvals
        ),
        unheld_by=None if row[12] is None else Party(*row[12:15]),
        built=None if row[15] is None else _built(row),
        releases=row[20],
        fetches=row[27],
        recalled=None if row[28] is None else Recall(*row[28:31]),
    )


def _built(row: Row) -> Built:
    rows, children, payload_bytes, payload, manifest = row[15:20]
    return Built(rows, children, payload_bytes, payload, manifest, row[31] or "")
