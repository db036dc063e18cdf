"""A plan as a page of plain words, and tickets as a table: what who signs has seen."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.cli.output import Output
from gateway.cli.tables import table
from gateway.client.approving import FIELDS, Shown
from gateway.client.papers import grouped
from gateway.clock import iso
from gateway.policy import fields
from gateway.tlog.leaf import Json
from gateway.v1 import export_service_pb2 as v1

_STATE = "EXPORT_STATE_"
# What a page says of an approval beside whose it is.
_DOUBTFUL: Mapping[int, str] = {
    v1.APPROVAL_STANDING_RETIRED: "retired",
    v1.APPROVAL_STANDING_FALSE: "false",
}
_COLUMNS = ("ticket", "state", "requester", "recipient", "purpose", "approvals", "rows", "window")
# Filters: empty asks for everything, and the page says so.
_FILTERS = frozenset({"units", "vaccine_codes"})
_DAYS = frozenset({"born_from", "born_until", "happened_from", "happened_until"})
_DIGESTS = frozenset({"connection_certificate_sha256", "encryption_certificate_sha256"})
_TIMES = frozenset({"not_before_us", "not_after_us"})
_PARTIES = frozenset({"requester", "recipient"})


def page(output: Output, ticket: v1.ExportTicket, shown: Shown) -> str:
    """Return the page of a ticket whose plan was read out of its bytes."""
    lines = [output.text("export.page.title", ticket=shown.ticket_id), ""]
    rows = [
        (output.text(f"export.plan.{name}"), _value(output, name, shown.fields)) for name in FIELDS
    ]
    lines.append(table(("", ""), rows))
    lines.append(output.text("export.page.state", state=_state(output, ticket)))
    if ticket.needed_count:
        counted = {"rows": ticket.counted_row_count, "children": ticket.counted_child_count}
        lines.append(output.text("export.page.counted", **counted))
        lines.append(output.text("export.page.needed", needed=ticket.needed_count))
    for one in ticket.approvals:
        who = {"organisation": one.organisation_code, "name": one.officer_name}
        lines.append(output.text("export.page.approved", at=_time(one.approved_time), **who))
        if one.standing in _DOUBTFUL:
            lines.append("  " + output.text(f"export.page.approved.{_DOUBTFUL[one.standing]}"))
    if ticket.HasField("recall_due_time"):
        lines.append(output.text("export.page.recalled", by=_time(ticket.recall_due_time)))
    lines.append(output.text("export.page.digest", sha256=grouped(shown.sha256)))
    return "\n".join(lines)


def listing(output: Output, tickets: Iterable[v1.ExportTicket], plans: Iterable[Shown]) -> str:
    """Return tickets as a table, the newest first."""
    headers = [output.text(f"export.column.{name}") for name in _COLUMNS]
    rows = [
        (
            ticket.ticket_id,
            _state(output, ticket),
            _person(plan.fields["requester"]),
            _person(plan.fields["recipient"]),
            plan.fields["purpose"],
            f"{len(ticket.approvals)}/{ticket.needed_count or '-'}",
            ticket.built_row_count or ticket.counted_row_count or "-",
            " - ".join(
                _value(output, name, plan.fields) for name in ("not_before_us", "not_after_us")
            ),
        )
        for ticket, plan in zip(tickets, plans, strict=True)
    ]
    return table(headers, rows)


def state_word(ticket: v1.ExportTicket) -> str:
    """Return the state as messages and leaves name it: "once_approved"."""
    return v1.ExportState.Name(ticket.state).removeprefix(_STATE).lower()


def _state(output: Output, ticket: v1.ExportTicket) -> str:
    said = output.text(f"export.state.{state_word(ticket)}")
    return output.text("export.state.held", state=said) if ticket.held else said


def _value(output: Output, name: str, plan: Mapping[str, Json]) -> str:
    value: Any = plan[name]  # Any: each field has its own JSON type, judged by its name
    if name in _PARTIES:
        return output.text("export.page.person", account=value["account"], who=_person(value))
    if name in _DAYS or name in _FILTERS:
        return _listed(value) or output.text("export.page.all")
    if name == "columns":
        return "\n".join(_column(output, str(plan["dataset"]), str(path)) for path in value)
    if name in _DIGESTS:
        return grouped(value)
    if name in _TIMES:
        return iso(value)
    if name in ("dataset", "format"):
        return output.text(f"export.{name}.{value}")
    return _listed(value)


def _listed(value: Any) -> str:  # noqa: ANN401  as above
    return ", ".join(value) if isinstance(value, list) else str(value)


def _column(output: Output, dataset: str, path: str) -> str:
    """Return a column with what is left of its values."""
    known = fields.columns(dataset) if dataset in fields.DATASETS else {}
    kind = known[path].export_class if path in known else "unknown"
    return f"{path}: {output.text('export.class.' + (kind or 'token').lower())}"


def _person(party: Any) -> str:  # noqa: ANN401  as above
    return f"{party['name']}@{party['organisation']}"


def _time(moment: Timestamp) -> str:
    return iso(moment.ToMicroseconds())
