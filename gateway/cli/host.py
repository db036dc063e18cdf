"""Administrative acts on the gateway's own host: an effect and its leaf in one transaction."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.audit.event import Event
from gateway.audit.recorder import Effect, Entry, Recorder
from gateway.audit.signing import SignerLink
from gateway.cli.output import UNAVAILABLE, CommandError
from gateway.clock import SYSTEM
from gateway.config import settings
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.store import roles
from gateway.store.database import Database
from gateway.supervise import state


def place(home: Path) -> Home:
    """Return a HOME that is served and ours; raises CommandError, ConfinementError."""
    found = Home(home.resolve())
    check_runner(found)
    if not state.is_served(found):
        text = f"{found.root} is not served: run 'gateway serve {found.root}' first"
        raise CommandError(
            "NOT_SERVED", text, status=UNAVAILABLE, msgid="status.serve-first", home=found.root
        )
    return found


def act(home: Home, event: Event, effect: Effect, role: str = "administration") -> Entry:
    """Do something as a database role and record it; raises the effect's refusal, recorded."""
    return asyncio.run(acted(home, event, effect, role))


async def acted(home: Home, event: Event, effect: Effect, role: str = "administration") -> Entry:
    """Do the same within an event loop."""
    async with opened(home, role) as (_, recorder):
        return await recorder.append(event, effect)


@contextlib.asynccontextmanager
async def opened(home: Home, role: str) -> AsyncIterator[tuple[Database, Recorder]]:
    """Give the database as a role, and a recorder on it."""
    database = await _database(home, role)
    signer = SignerLink(home.signer_socket)
    try:
        recorder = await Recorder.open(database, signer, door="host", clock=SYSTEM)
        try:
            yield database, recorder
        finally:
            await recorder.close()
    finally:
        await signer.close()
        await database.close()


async def _database(home: Home, role: str) -> Database:
    way = roles.WayIn(home, settings.load(home.settings), role)
    return await Database.open(way, application="gateway-host", size=2)
