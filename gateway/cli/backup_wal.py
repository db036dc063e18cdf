"""`gateway backup wal`: sends the journal into the places; the supervisor keeps it running."""

import asyncio
from typing import Annotated

import typer

from gateway import log
from gateway.audit.event import Event
from gateway.backups import shipping
from gateway.backups.errors import BackupError
from gateway.backups.line import KIND
from gateway.backups.making import Source
from gateway.backups.shipping import Shipped
from gateway.cli import host
from gateway.cli.backup_files import HomeArgument, told
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.clock import iso
from gateway.config import settings
from gateway.config.backups import FILE, load_backup_rules
from gateway.config.home import Home
from gateway.supervise import state

Once = Annotated[bool, typer.Option("--once", help="backup.once")]
_LOG = log.get("wal")


def add(noun: typer.Typer) -> None:
    """Add the command below `backup`."""
    noun.command("wal", help="backup.wal.help")(wal)


def wal(
    home: HomeArgument, once: Once = False, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Send what is new, again and again while the gateway is served, or once."""
    output, place = Output.of(json, lang), host.place(home)
    with told(output):
        done = asyncio.run(_sent(place, once=once))
    document: dict[str, object] = {
        "segments": done.whole,
        "until": iso(done.until_us),
        "copies": done.copies,
        "missing": len(done.errors),
    }
    output.result(document, output.text("backup.sent", **document))


async def _sent(place: Home, *, once: bool) -> Shipped:
    """Return the last turn; raises BackupError where a turn failed everywhere, recorded."""
    own = settings.load(place.settings)
    with shipping.sole(place):
        async with host.opened(place, "owner") as (database, recorder):
            source, failing = Source(place, own, database, recorder, ""), False
            while True:
                rules = load_backup_rules(place.policies / FILE)
                try:
                    done = await shipping.turn(source, rules.places.paths)
                except BackupError as error:
                    await recorder.append(_failed(error, 0))
                    raise
                # Told when it begins to fail somewhere, not at each turn.
                if done.errors and not failing:
                    await recorder.append(_failed(done.errors[0], done.copies))
                failing = bool(done.errors)
                # Whoever sets 0 ends it; the supervisor looks after the slot.
                if once or not rules.wal.tail_s or not state.is_served(place):
                    return done
                await asyncio.sleep(rules.wal.tail_s)


def _failed(error: BackupError, copies: int) -> Event:
    _LOG.error("the journal was not sent", why=error.code)
    detail = {"alert": "backup-wal-failed", "cause": error.code.lower().replace("_", "-")}
    counts = {"copies": copies}
    return Event(kind=KIND, door="host", decision="error", counts=counts, detail=detail)
