"""`gateway upload FILE…`: records to the gateway, with a progress bar and the result in a table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.connected import PasswordFile, ProfileOption, connected, load, read_secret
from gateway.cli.output import REFUSED, JsonOption, LangOption, Output
from gateway.cli.tables import table
from gateway.cli.upload_losses import Losses
from gateway.client import sending
from gateway.client.batches import ITEMS_MAX
from gateway.client.client import Client
from gateway.client.journal import FileJournal, Order, Tally
from gateway.client.profile import DEFAULT_NAME, Profile
from gateway.client.upload import PATIENCE_S, Upload
from gateway.client.verify import Evidence, Sent
from gateway.errors import REASONS, Reason, Refusal
from gateway.v1 import upload_service_pb2 as v1

STATES = ("accepted", "flagged", "duplicate", "quarantined", "rejected")
Files = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="upload.files", exists=True, dir_okay=False)
]
Unit = Annotated[str, typer.Option("--unit", help="upload.unit")]
Live = Annotated[bool, typer.Option("--live", help="upload.live")]
BatchSize = Annotated[int, typer.Option("--batch", help="upload.batch", min=1, max=ITEMS_MAX)]
Patience = Annotated[float, typer.Option("--patience", help="upload.patience", min=0.0)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("upload", help="upload.help")(upload)


def upload(  # noqa: PLR0913, PLR0917  one parameter per option
    files: Files,
    unit: Unit,
    profile: ProfileOption = DEFAULT_NAME,
    live: Live = False,
    batch: BatchSize = ITEMS_MAX,
    patience: Patience = PATIENCE_S,
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Upload files; the same command again goes on where it was cut off."""
    output, found = Output.of(json, lang), load(profile)
    lane = v1.UploadBatchesRequest.LANE_LIVE if live else v1.UploadBatchesRequest.LANE_BACKFILL
    order = Order(tuple(files), unit, lane, batch)

    async def work(client: Client) -> FileJournal:
        return await _upload(output, client, order, patience)

    password = None if password_file is None else lambda: read_secret(password_file)
    journal = connected(output, found, work, password=password)
    _tell(output, found, journal)


async def _upload(output: Output, client: Client, order: Order, patience_s: float) -> FileJournal:
    telling = Losses(output)
    async with sending.opened(
        client,
        order,
        patience_s=patience_s,
        told=telling.again,
        moved=telling.moved,
        presented=telling.presented,
    ) as journal:
        if journal.sent_before:
            output.say("upload.resumed", count=journal.sent_before)
        with _bar(output, order, journal) as watched:
            uploading = Upload(client, journal.batches(), watched, patience_s=patience_s)
            await uploading.run()
        if uploading.certificate_warning_days:
            output.say("upload.certificate", days=uploading.certificate_warning_days)
        await Upload(client, iter(()), journal, patience_s=patience_s).settle()
    return journal


@dataclass(slots=True)
class _Watched:
    """A journal whose answers move a progress bar."""

    journal: FileJournal
    moved: Callable[[int], None]

    def answered(self, sent: Sent, receipt: v1.BatchReceipt, evidence: Evidence, /) -> None:
        """Keep the receipt, move the bar."""
        self.journal.answered(sent, receipt, evidence)
        self.moved(sent.item_count)

    def refused(self, sent: Sent, refusal: Refusal) -> None:
        """Keep the refusal, move the bar."""
        self.journal.refused(sent, refusal)
        self.moved(sent.item_count)


@contextmanager
def _bar(output: Output, order: Order, journal: FileJournal) -> Iterator[_Watched]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=output.progress()) as progress:
        total = sum(map(_records, order.files))
        done = sum(journal.tally.states.values())
        task = progress.add_task(output.text("upload.progress"), total=total, completed=done)
        yield _Watched(journal, lambda count: progress.advance(task, count))


def _records(file: Path) -> int:
    """Return about how many records a file has: its lines, a CSV's without the header."""
    with file.open("rb") as content:
        lines = sum(block.count(b"\n") for block in iter(lambda: content.read(1 << 20), b""))
    return lines - (file.suffix == ".csv")


def _tell(output: Output, profile: Profile, journal: FileJournal) -> None:
    tally = journal.tally
    document: dict[str, object] = {
        "organisation": profile.remote.organisation,
        "records": sum(tally.states.values()),
        "states": {state: tally.states.get(state, 0) for state in STATES},
        "rules": dict(sorted(tally.rules.items())),
        "refused": tally.refused,
        "batches": tally.batches,
        "receipts": str(journal.receipts),
    }
    output.result(document, _human(output, journal, tally))
    if tally.refused:
        raise typer.Exit(REFUSED)


def _human(output: Output, journal: FileJournal, tally: Tally) -> str:
    states = [(output.text(f"upload.state.{s}"), tally.states.get(s, 0)) for s in STATES]
    parts = [table((output.text("upload.state"), output.text("upload.count")), states)]
    if tally.rules:
        header = (output.text("upload.rule"), output.text("upload.count"))
        parts.append(table(header, sorted(tally.rules.items())))
    for reason, count in tally.refused.items():
        meaning = REASONS[Reason(reason)]
        said = meaning.chinese if output.language == "zh" else meaning.english
        parts.append(output.text("upload.refused", reason=reason, count=count, meaning=said))
    parts.append(output.text("upload.receipts", file=journal.receipts, batches=tally.batches))
    return "\n\n".join(parts)
