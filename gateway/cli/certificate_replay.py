"""`gateway certificate replay HOME`: a restored database learns again what was revoked since.

It runs while the gateway is not served, because that refuses to start before: the database is
started for it alone. What it does has its leaf in the same transaction, unsigned: the signer may
remember a longer log than the restored one, and then nothing is served until that is resolved too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.event import Event
from gateway.cli.output import UNAVAILABLE, CommandError, JsonOption, LangOption, Output
from gateway.clock import SYSTEM
from gateway.config import settings
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.pki import authorities, replay
from gateway.pki.replay import Replayed
from gateway.store import roles
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.supervise import state
from gateway.supervise.state import AlreadyServedError

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
KIND = "admin.certificate.replay"
_APPEND = "SELECT first FROM gateway.audit_append(%s, 0)"


def add(noun: typer.Typer) -> None:
    """Add the command below `certificate`."""
    noun.command("replay", help="certificate.replay.help")(replay_list)


def replay_list(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """Revoke again, in a restored database, what the list on disk and the log name."""
    output, place = Output.of(json, lang), Home(home.resolve())
    check_runner(place)
    try:
        with state.sole(place):
            done = asyncio.run(_replayed(place))
    except AlreadyServedError as error:
        raise CommandError("SERVED", str(error), status=UNAVAILABLE) from error
    told: dict[str, object] = {
        "revoked": done.certificates,
        "unknown": done.unknown,
        "epoch": done.epoch,
    }
    output.result(told, output.text("certificate.replayed", **told))


async def _replayed(place: Home) -> Replayed:
    oldest = authorities.oldest(authorities.load(place))
    own = b"" if oldest is None else oldest.spki_sha256
    async with _awake(place):
        role = roles.conninfo(place, settings.load(place.settings), "administration")
        database = await Database.open(role, application="gateway-host", size=1)
        try:
            async with database.transaction() as tx:
                done = await replay.replay(place, tx, own)
                event = Event(kind=KIND, door="host", counts={"certificates": done.certificates})
                await tx.fetch_one(_APPEND, [[event.to_leaf(SYSTEM.now_us())]])
        finally:
            await database.close()
    return done


@asynccontextmanager
async def _awake(place: Home) -> AsyncIterator[None]:
    """Run the database within the block, and nothing else."""
    embedded = not settings.load(place.settings).dsn
    cluster = Cluster(place)
    if embedded:
        await asyncio.to_thread(cluster.start)
    try:
        yield
    finally:
        if embedded:
            await asyncio.to_thread(cluster.stop)
