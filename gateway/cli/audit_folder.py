"""`gateway audit export`: writes the log of a HOME as a folder, on the gateway's own host."""

import asyncio
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway import signer
from gateway.audit import archive, vouching
from gateway.audit.event import Event
from gateway.cli import host
from gateway.cli.output import REFUSED, USAGE, CommandError, JsonOption, LangOption, Output
from gateway.config import log_keys, settings
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.config.witnesses import load_witness_rules
from gateway.errors import UnavailableError
from gateway.registry import witnesses
from gateway.store import roles
from gateway.store.database import Database, Transaction
from gateway.supervise import state, untold
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="audit.folder")]
From = Annotated[int, typer.Option("--from", help="audit.from", min=0, metavar="INDEX")]

_KIND = "audit.export"


def export(
    home: HomeArgument,
    folder: Folder,
    begin: From = 0,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Write the log of a HOME, up to its newest checkpoint, as a static C2SP folder."""
    output, place = Output.of(json, lang), Home(home.resolve())
    check_runner(place)
    signed = signer.stored_checkpoint(place)
    if signed is None:
        raise CommandError("CHECKPOINT_MISSING", output.text("audit.no-checkpoint"))
    _tell(place)
    with Bar(output, "audit.exporting") as bar:
        try:
            done = asyncio.run(_export(place, signed, folder.absolute(), begin, bar))
        except archive.ArchiveError as error:
            text = output.text(f"audit.code.{error.code}")
            raise CommandError(error.code, text, status=USAGE) from error
    document: dict[str, object] = {
        "folder": str(folder),
        "size": done.size,
        "log_size": done.log_size,
        "missing": list(done.missing),
    }
    human = output.text("audit.exported", **document)
    if done.missing:
        human += "\n" + output.text("audit.incomplete", count=len(done.missing))
    output.result(document, human)
    if done.missing:
        raise typer.Exit(REFUSED)


def _tell(place: Home) -> None:
    """Put on the log that it is read as a whole, now or as soon as it can be.

    Of a gateway that is not served, or whose log is degraded, the export is what an incident is
    looked into with: it is kept for the log, and told when that can be written again.
    """
    if state.is_served(place):
        try:
            host.act(place, Event(kind=_KIND, door="host"), _as_it_is)
        except UnavailableError as error:
            if not error.committed:
                untold.keep(place, _KIND)
    else:
        untold.keep(place, _KIND)


async def _as_it_is(_: Transaction) -> Event:
    return Event(kind=_KIND, door="host")


async def _export(
    home: Home, signed: str, folder: Path, begin: int, bar: "Bar"
) -> archive.Exported:
    conninfo = roles.conninfo(home, settings.load(home.settings), "administration")
    database = await Database.open(conninfo, application="gateway-host", size=1)
    try:
        key, notes = home.log_key.read_text(encoding="utf-8").strip(), log_keys.read(home.log_keys)
        policy = await _policy(database, home, LogKeys.of(parse_vkey(key), notes))
        restores = log_keys.read(home.restores)
        told = {"notes": notes, "restores": restores}
        return await archive.export(
            database, signed, key, folder, bar.update, policy=policy, begin=begin, **told
        )
    finally:
        await database.close()


async def _policy(database: Database, home: Home, keys: LogKeys) -> str:
    """Return the witness policy as the doors have it now, "" while there are too few witnesses."""
    path = home.policies / "witnesses.toml"
    if not path.exists():
        return ""
    rules = load_witness_rules(path)
    async with database.transaction() as tx:
        counting = [(one.organisation, one.key) for one in await witnesses.counting(tx)]
    found = vouching.quorum(keys.verifiers, counting, rules)
    return found.text() if found else ""


class Bar:
    """A progress bar on standard error."""

    def __init__(self, output: Output, msgid: str) -> None:
        """Say what goes on with this text."""
        self._progress = Progress(
            TextColumn(output.text(msgid)),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=output.progress(),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` entries are through."""
        self._progress.update(self._task, completed=done, total=total)

    def __enter__(self) -> Self:
        """Show it."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._progress.stop()
