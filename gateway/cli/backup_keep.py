"""`gateway backup keep`: what the supervisor runs when a backup is due, and an operator may."""

import asyncio

import typer

from gateway import signer
from gateway.backups import keeping
from gateway.backups.keeping import Kept
from gateway.backups.making import Source
from gateway.backups.sealing import Progress
from gateway.cli import host
from gateway.cli.backup_bar import ByteBar
from gateway.cli.backup_files import HomeArgument, estimate, told, trusted, why
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.clock import iso
from gateway.config import settings
from gateway.config.backups import FILE, BackupRules, load_backup_rules
from gateway.config.home import Home


def add(noun: typer.Typer) -> None:
    """Add the command below `backup`."""
    noun.command("keep", help="backup.keep.help")(keep)


def keep(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Make the backup that is due, bring it to every place, take away what is past its time."""
    output, place = Output.of(json, lang), host.place(home)
    rules, total = load_backup_rules(place.policies / FILE), estimate(place)
    with told(output), ByteBar(output, "backup.making") as bar:
        done = asyncio.run(_kept(place, rules, lambda read: bar.update(read, total), bar))
    document: dict[str, object] = {
        "folder": str(done.found.folder),
        "made": iso(done.found.manifest.made_us),
        "bytes": done.found.manifest.total_bytes,
        "sha256": done.found.sha256,
        "form": done.found.manifest.form,
        "why": done.why,
        "new": done.new,
        "copies": done.copies,
        "missing": done.missing,
        "removed": done.removed,
    }
    output.result(document, output.text("backup.kept", **document) + why(output, done.why))


async def _kept(place: Home, rules: BackupRules, tell: Progress, bar: ByteBar) -> Kept:
    own = settings.load(place.settings)
    async with host.opened(place, "owner") as (database, recorder):
        # Before anything is copied: the copy's log is at least as long.
        note = signer.stored_checkpoint(place) or ""
        source = Source(place, own, database, recorder, note)
        return await keeping.keep(source, rules, trusted(place.root, None), tell, bar.update)
