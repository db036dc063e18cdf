"""Plans and tickets between the contract's messages and the values of `exports`."""

from datetime import date

from gateway.errors import Reason, Refusal, Violation, refuse
from gateway.exports.approval import Standing
from gateway.exports.plan import DATASETS, FORMATS, Party, Plan
from gateway.exports.ticket import State, Ticket
from gateway.services.requests import invalid
from gateway.services.times import day, microseconds, timestamp
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.types_pb2 import Date

_STATES = {state: pb.ExportState.Value(f"EXPORT_STATE_{state.name}") for state in State}
_STANDINGS = {one: pb.ApprovalStanding.Value(f"APPROVAL_STANDING_{one.name}") for one in Standing}
_DATASETS = {pb.ExportDataset.Value(f"EXPORT_DATASET_{one.upper()}"): one for one in DATASETS}
_FORMATS = {
    pb.ExportFormat.Value(f"EXPORT_FORMAT_{one.upper().replace('-', '_')}"): one for one in FORMATS
}


def plan(request: pb.DraftExportRequest, requester: Party, recipient: Party) -> Plan:
    """Return the plan of a request; raises FIELD_INVALID for what has no value at all.

    Lists are sorted, and nothing is left out; columns keep their order. What the values are worth,
    `exports.drafting` judges.
    """
    dataset, form = _DATASETS.get(request.dataset), _FORMATS.get(request.format)
    if dataset is None:
        raise invalid("dataset", "EX-FORM", "One of the contract's.", "须为接口约定的数据集。")
    if form is None:
        raise invalid("format", "EX-FORM", "One of the contract's.", "须为接口约定的格式。")
    return Plan(
        dataset=dataset,
        divisions=tuple(sorted(request.division_codes)),
        born_from=_open_day(request, "born_from_date"),
        born_until=_open_day(request, "born_until_date"),
        happened_from=_open_day(request, "happened_from_date"),
        happened_until=_open_day(request, "happened_until_date"),
        vaccine_codes=tuple(sorted(request.vaccine_codes)),
        units=tuple(sorted(request.unit_codes)),
        columns=tuple(request.columns),
        purpose=request.purpose,
        legal_basis=request.legal_basis,
        requester=requester,
        recipient=recipient,
        connection_certificate_sha256=request.connection_certificate_sha256,
        encryption_certificate_sha256=request.encryption_certificate_sha256,
        tunnel=request.tunnel_name,
        row_cap=request.row_cap_count,
        child_cap=request.child_cap_count,
        not_before_us=microseconds(request.not_before_time),
        not_after_us=microseconds(request.not_after_time),
        destroy_by=day(request.destroy_by_date, "destroy_by_date"),
        format=form,
    )


def faulty(found: list[Violation]) -> Refusal:
    """Return FIELD_INVALID with all that was found."""
    return refuse(Reason.FIELD_INVALID, violations=tuple(found))


def state(number: int) -> str:
    """Return the word of a state, "" for unspecified; raises FIELD_INVALID for an unknown one."""
    if number == pb.EXPORT_STATE_UNSPECIFIED:
        return ""
    word = next((state.value for state, known in _STATES.items() if known == number), None)
    if word is None:
        raise invalid("state", "STATE", "One of the contract's.", "须为接口约定的状态。")
    return word


def message(ticket: Ticket, standings: tuple[Standing, ...] = ()) -> pb.ExportTicket:
    """Return a ticket as the contract has it, with what its approvals are where it was asked."""
    counted, built = ticket.counted, ticket.built
    told = pb.ExportTicket(
        ticket_id=ticket.ticket_id,
        state=_STATES[ticket.state],
        held=ticket.held,
        plan=ticket.plan.canonical(),
        plan_sha256=ticket.plan_sha256,
        version=ticket.version,
        created_time=timestamp(ticket.created_us),
        moved_time=timestamp(ticket.moved_us),
        approvals=[
            pb.ExportApproval(
                organisation_code=one.organisation,
                officer_name=one.person,
                account_name=one.account,
                approved_time=timestamp(one.at_us),
                certificate_sha256=one.certificate_sha256,
                signature=one.signature,
            )
            for one in ticket.approvals
        ],
    )
    for approval, standing in zip(told.approvals, standings, strict=False):
        approval.standing = _STANDINGS[standing]
    if ticket.submitted_us is not None and counted is not None:
        told.submitted_time.CopyFrom(timestamp(ticket.submitted_us))
        told.needed_count = counted.needed
        told.counted_row_count, told.counted_child_count = counted.rows, counted.children
    if built is not None:
        told.built_row_count, told.built_child_count = built.rows, built.children
        told.payload_bytes, told.payload_sha256 = built.payload_bytes, built.payload_sha256
    if ticket.recalled is not None:
        told.recall_due_time.CopyFrom(timestamp(ticket.recalled.due_us))
    return told


def _open_day(request: pb.DraftExportRequest, field: str) -> date | None:
    """Return the day of a field, None where it is absent; raises FIELD_INVALID for no day."""
    given: Date = getattr(request, field)
    return day(given, field) if request.HasField(field) else None  # type: ignore[arg-type] # ours
