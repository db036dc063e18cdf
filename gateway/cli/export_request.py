"""`gateway export request|submit`: what a requester does; a plan is written in a file (TOML).

Days are "2026-03-31", moments "2026-03-31T08:00:00+08:00". Filters that are left out ask for all.
"""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import export_page
from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import document, new_id
from gateway.client import approving
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.config import strict
from gateway.v1 import export_service_pb2 as v1
from gateway.v1.types_pb2 import Date

Ticket = Annotated[str, typer.Argument(metavar="TICKET", help="export.ticket")]
PlanFile = Annotated[
    Path, typer.Argument(metavar="PLAN.toml", help="export.plan-file", exists=True, dir_okay=False)
]
_DATASETS = {
    "children": v1.EXPORT_DATASET_CHILDREN,
    "vaccinations": v1.EXPORT_DATASET_VACCINATIONS,
    "stock": v1.EXPORT_DATASET_STOCK,
    "adverse_events": v1.EXPORT_DATASET_ADVERSE_EVENTS,
}
_FORMATS = {
    "csv": v1.EXPORT_FORMAT_CSV,
    "csv-bom": v1.EXPORT_FORMAT_CSV_BOM,
    "parquet": v1.EXPORT_FORMAT_PARQUET,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a plan's file says; `recipient` is ORGANISATION/ACCOUNT.

    Certificates (fingerprints) and tunnel are the recipient's own where they are left out.
    """

    dataset: str
    divisions: tuple[str, ...]
    columns: tuple[str, ...]
    purpose: str
    legal_basis: str
    recipient: str
    rows: int
    not_before: str
    not_after: str
    destroy_by: str
    children: int = 0
    connection_certificate: str = ""
    encryption_certificate: str = ""
    tunnel: str = ""
    born_from: str = ""
    born_until: str = ""
    happened_from: str = ""
    happened_until: str = ""
    vaccines: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    format: str = "csv"


def request(
    plan: PlanFile,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Freeze a plan as a draft."""
    output, found = Output.of(json, lang), load(profile)
    wanted = _message(strict.build(Wanted, strict.read(plan), f"{plan}: "), plan)

    async def work(client: Client) -> v1.DraftExportResponse:
        return await client.call(client.exports.DraftExport, wanted)

    tell(output, "export.request.done", connected(output, found, work).ticket)


def submit(
    ticket: Ticket,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Ask for approval of a draft of one's own."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.SubmitExportResponse:
        asked = v1.GetExportRequest(ticket_id=ticket)
        shown = read((await client.call(client.exports.GetExport, asked)).ticket)
        wanted = v1.SubmitExportRequest(
            request_id=new_id(), ticket_id=ticket, plan_sha256=shown.sha256
        )
        return await client.call(client.exports.SubmitExport, wanted)

    tell(output, "export.submit.done", connected(output, found, work).ticket)


def read(ticket: v1.ExportTicket) -> approving.Shown:
    """Return a ticket's plan out of its bytes; raises CommandError where they are none."""
    try:
        return approving.read(ticket)
    except approving.PlanMismatchError as error:
        raise CommandError("PLAN_INVALID", str(error)) from error


def tell(output: Output, msgid: str, ticket: v1.ExportTicket) -> None:
    """Print a ticket after an act, with its page for people."""
    said = output.text(msgid, ticket=ticket.ticket_id)
    page = export_page.page(output, ticket, read(ticket))
    output.result(document(ticket), f"{page}\n\n{said}")


def _message(wanted: Wanted, file: Path) -> v1.DraftExportRequest:
    """Return the request of a file; raises SettingsError for what it cannot say."""
    if wanted.dataset not in _DATASETS or wanted.format not in _FORMATS:
        words = " | ".join((*_DATASETS, *_FORMATS))
        raise CommandError("WORD_UNKNOWN", f"{file}: dataset, format: {words}", status=USAGE)
    organisation, _, account = wanted.recipient.partition("/")
    message = v1.DraftExportRequest(
        request_id=new_id(),
        dataset=_DATASETS[wanted.dataset],
        division_codes=wanted.divisions,
        born_from_date=_day(wanted.born_from, file),
        born_until_date=_day(wanted.born_until, file),
        happened_from_date=_day(wanted.happened_from, file),
        happened_until_date=_day(wanted.happened_until, file),
        vaccine_codes=wanted.vaccines,
        unit_codes=wanted.units,
        columns=wanted.columns,
        purpose=wanted.purpose,
        legal_basis=wanted.legal_basis,
        recipient_organisation_code=organisation,
        recipient_account_name=account,
        connection_certificate_sha256=_digest(wanted.connection_certificate),
        encryption_certificate_sha256=_digest(wanted.encryption_certificate),
        tunnel_name=wanted.tunnel,
        row_cap_count=wanted.rows,
        child_cap_count=wanted.children,
        destroy_by_date=_day(wanted.destroy_by, file),
        format=_FORMATS[wanted.format],
    )
    message.not_before_time.FromDatetime(_moment(wanted.not_before, file))
    message.not_after_time.FromDatetime(_moment(wanted.not_after, file))
    return message


def _day(text: str, file: Path) -> Date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise CommandError("DAY_INVALID", f"{file}: {text!r}", status=USAGE) from error
    return Date(year=day.year, month=day.month, day=day.day)


def _moment(text: str, file: Path) -> datetime:
    """Return a moment; one without its offset from UTC could be any of a day's."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min  # noqa: DTZ901  without an offset, so refused below
    if found.tzinfo is None:
        raise CommandError("MOMENT_INVALID", f"{file}: {text!r}", status=USAGE)
    return found


def _digest(text: str) -> str:
    """Return a fingerprint as the contract has it: people copy it in groups."""
    return text.replace(":", "").lower()
