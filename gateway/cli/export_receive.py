"""`gateway export download|acknowledge|destroyed`: what a recipient does with an approved file."""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.connected import PasswordFile, ProfileOption, connected, load, read_secret
from gateway.cli.export_request import Ticket, read
from gateway.cli.output import UNAVAILABLE, USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import document
from gateway.client import attesting, sealed
from gateway.client.approving import PlanMismatchError
from gateway.client.client import Client
from gateway.client.download import Download, Taken
from gateway.client.journal import BusyError
from gateway.client.landing import LandingError
from gateway.client.profile import DEFAULT_NAME
from gateway.client.sealed import ExportError
from gateway.clock import SYSTEM, civil_day
from gateway.errors import Refusal
from gateway.v1 import export_service_pb2 as v1

To = Annotated[Path | None, typer.Option("--to", help="export.option.to")]
On = Annotated[str, typer.Option("--on", help="export.option.on")]
Yes = Annotated[bool, typer.Option("--yes", help="export.option.yes")]


def download(
    ticket: Ticket,
    to: To = None,
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Fetch, sign for, open and acknowledge a file; the same command goes on where it was cut."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> tuple[Taken, bool]:
        target = to or Path(f"{ticket}.{await _ending(client, ticket)}")
        with _bar(output) as moved:
            taken = await Download(client, ticket, target, moved=moved).run()
        try:
            await attesting.acknowledge(client, ticket)
        except Refusal:
            # The file is there; the gateway asks after it within a day.
            return taken, False
        return taken, True

    password = None if password_file is None else lambda: read_secret(password_file)
    with _told(output):
        taken, told = connected(output, found, work, password=password)
    result = _document(ticket, taken, told=told)
    output.result(result, _human(output, result))


def acknowledge(
    ticket: Ticket,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Say that a file was opened, where the download could not say so itself."""
    output = Output.of(json, lang)
    _say(output, "acknowledge", profile, lambda client: attesting.acknowledge(client, ticket))


def destroyed(
    ticket: Ticket,
    on: On = "",
    yes: Yes = False,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Sign that a file and every copy of it were destroyed."""
    output, day = Output.of(json, lang), _day(on)
    with _told(output):
        kept = sealed.note(load(profile), ticket).file
    if kept and os.path.lexists(kept):
        raise CommandError("FILE_PRESENT", output.text("export.destroyed.present", file=kept))
    if not yes:
        _consent(output, ticket, day)
    _say(output, "destroyed", profile, lambda client: attesting.destroyed(client, ticket, day))


def _say(
    output: Output, verb: str, profile: str, call: Callable[[Client], Awaitable[v1.ExportTicket]]
) -> None:
    with _told(output):
        moved = connected(output, load(profile), call)
    said = output.text(f"export.{verb}.done", ticket=moved.ticket_id)
    output.result(document(moved), said)


def _consent(output: Output, ticket: str, day: date) -> None:
    """Let who signs say so at the terminal; raises CommandError where nobody says yes."""
    if not sys.stdin.isatty():
        raise CommandError("CONSENT_MISSING", output.text("export.destroyed.how"), status=USAGE)
    if not typer.confirm(output.text("export.destroyed.ask", ticket=ticket, day=day), err=True):
        raise CommandError("NOT_ATTESTED", output.text("export.destroyed.not"))


async def _ending(client: Client, ticket: str) -> str:
    """Return how the file's name ends; the name is the ticket's number, nobody's text."""
    shown = read(await attesting.get(client, ticket))
    return "parquet" if shown.fields["format"] == "parquet" else "csv"


@contextmanager
def _told(output: Output) -> Iterator[None]:
    """Tell people what our own side refused."""
    try:
        yield
    except ExportError as error:
        text = output.text(f"export.failed.{error.code.lower()}", cause=error.cause)
        raise CommandError(error.code, text) from error
    except LandingError as error:
        text = output.text(f"export.failed.target-{error.cause}")
        raise CommandError(f"TARGET_{error.cause.upper()}", text, status=USAGE) from error
    except BusyError as error:
        raise CommandError("BUSY", output.text("export.busy"), status=UNAVAILABLE) from error
    except PlanMismatchError as error:
        raise CommandError("PLAN_INVALID", str(error)) from error


@contextmanager
def _bar(output: Output) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=output.progress()) as progress:
        task = progress.add_task(output.text("export.download.progress"), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _day(text: str) -> date:
    if not text:
        return civil_day(SYSTEM.now_us())
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CommandError("DAY_INVALID", repr(text), status=USAGE) from error


def _document(ticket: str, taken: Taken, *, told: bool) -> dict[str, object]:
    return {
        "ticket_id": ticket,
        "file": str(taken.target),
        "rows": taken.trailer["rows"],
        "children": taken.trailer["children"],
        "purpose": taken.manifest["purpose"],
        "destroy_by": taken.manifest["destroy_by"],
        "manifest_sha256": taken.trailer["manifest_sha256"],
        "acknowledged": told,
    }


def _human(output: Output, document: dict[str, object]) -> str:
    lines = [output.text("export.download.done", **document)]
    if not document["acknowledged"]:
        lines.append(output.text("export.download.unacknowledged", **document))
    return "\n".join(lines)
