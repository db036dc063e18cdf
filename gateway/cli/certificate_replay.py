"""`gateway certificate replay HOME`: a restored database learns again what was revoked since.

It runs while the gateway is not served, because that refuses to start before: database and signer
are started for it alone, and what it does has its leaf.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.event import Event
from gateway.cli import host
from gateway.cli.output import UNAVAILABLE, CommandError, JsonOption, LangOption, Output
from gateway.config import settings
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.errors import Reason, refuse
from gateway.pki import authorities, replay
from gateway.pki.replay import Replayed
from gateway.store.database import Transaction
from gateway.store.embedded import Cluster
from gateway.supervise import state
from gateway.supervise.child import Child
from gateway.supervise.state import AlreadyServedError

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
KIND = "admin.certificate.replay"


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
    found: list[Replayed] = []
    event = Event(kind=KIND, door="host")

    async def effect(tx: Transaction) -> Event:
        found.append(await replay.replay(place, tx, own))
        return event.with_(counts={"certificates": found[0].certificates})

    async with _awake(place):
        await host.acted(place, event, effect)
    return found[0]


@asynccontextmanager
async def _awake(place: Home) -> AsyncIterator[None]:
    """Run database and signer within the block, and nothing else."""
    embedded = not settings.load(place.settings).dsn
    cluster = Cluster(place)
    if embedded:
        await asyncio.to_thread(cluster.start)
    try:
        signer = await Child.start(place, "signer")
        try:
            if not await signer.ready():
                raise refuse(Reason.SIGNER_AWAY)
            yield
        finally:
            await signer.finish()
    finally:
        if embedded:
            await asyncio.to_thread(cluster.stop)
