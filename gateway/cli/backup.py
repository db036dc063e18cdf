"""`gateway backup create|check|rehearse`: making backups, and proving that they are good.

`create` is of a HOME that is served. `check` and `rehearse` need a backup's folder and the log's
public key, on any machine; with `--home` they leave their leaf.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gateway import signer
from gateway.audit.event import Event
from gateway.backups import checking, lists, making, manifest, sealing, spreading
from gateway.backups.checking import Checked
from gateway.backups.errors import BackupError
from gateway.backups.making import Made, Source
from gateway.cli import (
    backup_advise,
    backup_drill,
    backup_keep,
    backup_list,
    backup_losses,
    backup_recipient,
    backup_restore,
    backup_wal,
    host,
)
from gateway.cli.backup_bar import ByteBar
from gateway.cli.backup_files import (
    BackupArgument,
    HomeArgument,
    HomeOption,
    IdentityOption,
    KeyOption,
    described,
    estimate,
    told,
    trusted,
    why,
)
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.config import settings
from gateway.config.backups import FULL_DAYS_MOST
from gateway.config.home import Home

Place = Annotated[Path, typer.Option("--to", help="backup.place", file_okay=False)]
Rate = Annotated[int, typer.Option("--rate-kib", help="backup.rate", min=0)]
Incremental = Annotated[bool, typer.Option("--incremental", help="backup.incremental")]
CHECK, REHEARSE = "backup.check", "backup.rehearse"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(name="backup", help="backup.help", no_args_is_help=True)
    noun.command("create", help="backup.create.help")(create)
    noun.command("check", help="backup.check.help")(check)
    noun.command("rehearse", help="backup.rehearse.help")(rehearse)
    backup_list.add(noun)
    backup_keep.add(noun)
    backup_advise.add(noun)
    backup_recipient.add(noun)
    backup_wal.add(noun)
    backup_restore.add(noun)
    backup_drill.add(noun)
    backup_losses.add(noun)
    app.add_typer(noun)


def create(
    home: HomeArgument,
    to: Place,
    rate_kib: Rate = 0,
    incremental: Incremental = False,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make a backup in a new folder of a place."""
    output, place, target = Output.of(json, lang), host.place(home), to.resolve()
    if target.is_relative_to(place.root):
        raise CommandError("PLACE_INSIDE", output.text("backup.inside"), status=USAGE)
    total = estimate(place)
    with told(output), ByteBar(output, "backup.making") as bar:
        made = asyncio.run(
            _made(place, target, rate_kib, incremental, lambda done: bar.update(done, total))
        )
    document = described(made.folder, made.manifest)
    document |= {"leaf": made.entry.index, "sha256": manifest.sha256(made.manifest.encode())}
    document["why"] = made.why
    output.result(document, output.text("backup.made", **document) + why(output, made.why))


def check(
    folder: BackupArgument,
    home: HomeOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Prove that a backup is what was made, from its files alone."""
    output, keys = Output.of(json, lang), trusted(home, key)
    with told(output), _recorded(home, CHECK), ByteBar(output, "backup.checking") as bar:
        found = checking.check(folder, keys, bar.update)
    _tell(output, found, "backup.checked")


def rehearse(
    folder: BackupArgument,
    identity: IdentityOption,
    home: HomeOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Prove that a recipient's key opens all of a backup, without restoring it."""
    output, keys = Output.of(json, lang), trusted(home, key)
    with told(output), _recorded(home, REHEARSE), ByteBar(output, "backup.opening") as bar:
        found = checking.rehearse(folder, keys, sealing.identity(identity), bar.update)
    _tell(output, found, "backup.rehearsed")


async def _made(
    place: Home, target: Path, rate_kib: int, incremental: bool, tell: sealing.Progress
) -> Made:
    own = settings.load(place.settings)
    async with host.opened(place, "owner") as (database, recorder):
        # Before anything is copied: the copy's log is at least as long.
        note = signer.stored_checkpoint(place) or ""
        source = Source(place, own, database, recorder, note)
        if not incremental:
            return await making.make(source, target, rate_kib, tell)
        newest = await asyncio.to_thread(spreading.newest, target, trusted(place.root, None))
        onto, reason = lists.choose(place, newest, recorder.clock.now_us(), FULL_DAYS_MOST)
        made = await making.make(source, target, rate_kib, tell, onto)
        return replace(made, why=reason or made.why)


@contextlib.contextmanager
def _recorded(home: Path | None, kind: str) -> Iterator[None]:
    """Leave the leaf of a look at a backup, where the log is at hand."""
    if home is None:
        yield
        return
    place, event = host.place(home), Event(kind=kind, door="host")
    try:
        yield
    except BackupError as error:
        cause = {"cause": error.code.lower().replace("_", "-")}
        asyncio.run(_append(place, event.with_(decision="error", detail=cause)))
        raise
    asyncio.run(_append(place, event))


async def _append(place: Home, event: Event) -> None:
    async with host.opened(place, "administration") as (_, recorder):
        await recorder.append(event)


def _tell(output: Output, found: Checked, msgid: str) -> None:
    document = described(found.folder, found.manifest)
    document |= {"leaf": found.leaf, "sha256": found.sha256}
    output.result(document, output.text(msgid, **document))
