"""`gateway backup drill`: a backup restored into a scratch folder, proven, and removed again.

A recipient's key is brought to the gateway for the time of it. Good or not, it leaves one leaf.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.event import Event
from gateway.backups import drilled, drilling, sealing
from gateway.backups.drilling import Drilled, Wanted
from gateway.backups.errors import BackupError
from gateway.cli import host
from gateway.cli.backup_bar import ByteBar
from gateway.cli.backup_files import BackupArgument, IdentityOption, ProgramsOption, told, trusted
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.clock import SYSTEM, iso
from gateway.config.home import Home

DrillHome = Annotated[Path, typer.Option("--home", help="backup.home", exists=True)]
Until = Annotated[str, typer.Option("--until", help="backup.drill.until", metavar="TIME")]
Scratch = Annotated[
    Path | None, typer.Option("--scratch", help="backup.scratch", exists=True, file_okay=False)
]
FAILED_ALERT = "backup-drill-failed"


def add(noun: typer.Typer) -> None:
    """Add the command below `backup`."""
    noun.command("drill", help="backup.drill.help")(drill)


def drill(
    folder: BackupArgument,
    home: DrillHome,
    identity: IdentityOption,
    until: Until = "",
    scratch: Scratch = None,
    programs: ProgramsOption = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Prove that a backup restores and starts, beside a HOME that goes on serving."""
    output, place = Output.of(json, lang), host.place(home)
    beside = (scratch or place.root.parent).resolve() / f"{place.root.name}{drilling.SCRATCH}"
    event = _failed(drilling.FAILED)  # whatever happens, it is told once
    with told(output), ByteBar(output, "backup.opening") as bar:
        try:
            key, keys = sealing.identity(identity), trusted(place.root, None)
            wanted = Wanted(folder.resolve(), keys, key, until, programs)
            done = drilling.drill(wanted, place, beside, SYSTEM, bar.update)
            event = _good(done)
        except BackupError as error:
            event = _failed(error.code)
            raise
        finally:
            asyncio.run(_append(place, event))
    document: dict[str, object] = {
        "folder": str(done.found.folder),
        "made": iso(done.found.manifest.made_us),
        "sha256": done.found.sha256,
        "rows": done.rows,
        "entries": done.entries,
        "organisations": done.organisations,
        "rto_seconds": done.rto_s,
        "rpo_seconds": done.rpo_s,
    }
    output.result(document, output.text("backup.drilled", **document))


def _good(done: Drilled) -> Event:
    counts = {
        "rows": done.rows,
        "entries": done.entries,
        "organisations": done.organisations,
        "bytes": done.found.manifest.total_bytes,
    }
    detail: dict[str, str | int] = {
        "manifest_sha256": done.found.sha256,
        "rto_s": done.rto_s,
        "rpo_s": done.rpo_s,
    }
    return Event(kind=drilled.KIND, door="host", counts=counts, detail=detail)


def _failed(code: str) -> Event:
    detail = {"alert": FAILED_ALERT, "cause": code.lower().replace("_", "-")}
    return Event(kind=drilled.KIND, door="host", decision="error", detail=detail)


async def _append(place: Home, event: Event) -> None:
    async with host.opened(place, "administration") as (_, recorder):
        await recorder.append(event)
