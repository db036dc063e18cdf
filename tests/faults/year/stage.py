"""The gateway of the simulated year: a HOME, a database, two doors, the signer and the supervisor's duties, by a turned clock.

Everything is what `gateway serve` runs, but in one loop: the guards of the identity and the administration door with their services
and chores, the engine that changes keys and tells of ends, the keeper of the revocation lists. Doors and engine can be killed at any
moment and come again; what they had not committed is gone.
"""

import asyncio
import contextlib
import functools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any
from unittest import mock

import argon2
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from gateway import signer
from gateway.audit.event import Event
from gateway.audit.recorder import Effect, Entry
from gateway.clock import US_PER_S, TurnedClock
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.identity.passwords import OneTime, Passwords
from gateway.pki.publish import Keeper
from gateway.policy import activation, bundle
from gateway.services import doors, server
from gateway.services.recording import DoorRecorder
from gateway.store import roles
from gateway.store.database import Database
from gateway.supervise import rotation
from tests.faults.year import words
from tests.faults.year.wire import Front, Wire
from tests.grounds import Ground, founded

DOORS = ("identity", "administration")
# Memory and passes as cheap as argon2 knows; what matters here is which parameters come first.
FIRST = argon2.Parameters(argon2.Type.ID, 19, 16, 32, 1, 8, 1)
RAISED = argon2.Parameters(argon2.Type.ID, 19, 16, 32, 2, 16, 1)


class Stage:
    """Made by `open`."""

    def __init__(self, home: Home, settings: Settings, clock: TurnedClock) -> None:
        self.home, self.settings, self.clock = home, settings, clock
        self.hashing = (FIRST,)
        self.wire = Wire(Front(), {}, self._kill_inside)
        self.chores: list[doors.Chore] = []
        self._stack = contextlib.AsyncExitStack()
        self._doors = contextlib.AsyncExitStack()
        self._recorders: list[MortalRecorder] = []
        self._supervisor = contextlib.AsyncExitStack()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, ground: Ground, start_us: int) -> AsyncIterator["Stage"]:
        clock = TurnedClock(start_us)
        with mock.patch("tests.grounds.SYSTEM", clock), founded(ground) as (home, settings):
            _change_sealing_keys_often(home)
            _made_at(home, start_us)
            _without_waiting_for_the_disk(ground)
            stage = cls(home, settings, clock)
            async with stage._stack, _signing(home):
                front = await stage._database("front")
                stage.keeper = Keeper(home, front, clock)
                stage.owner = await stage._database("owner")
                async with stage.owner.transaction() as tx:
                    files = bundle.files(home.policies / "cedar")
                    await activation.found(tx, files, start_us)
                try:
                    await stage.start()
                    await stage.start_engine()
                    yield stage
                finally:
                    await stage.stop()
                    await stage._supervisor.aclose()

    # --- the doors --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the doors, as after a restart of the machine."""
        made: list[Passwords] = []

        def hashing() -> Passwords:
            made.append(Unhurried(self.hashing))
            return made[-1]

        recording = functools.partial(mock.patch.object, server, "DoorRecorder")
        with mock.patch.object(doors, "Passwords", hashing), recording(MortalRecorder):
            for door in DOORS:
                parts = await server._parts(self.home, door, self.clock, self._doors)
                found = doors.furnish(door, parts)
                front: object = self.wire.front
                guard = server._guard(parts, door, found.methods, front)
                self.wire.guards[door] = guard
                self.chores += [
                    functools.partial(one, Event(door=door)) for one in found.standing.chores
                ]
                assert isinstance(parts.recorder, MortalRecorder)
                self._recorders.append(parts.recorder)
        for one in made:
            self._doors.callback(one.close)

    async def stop(self) -> None:
        """Stop the doors in good order."""
        await self._doors.aclose()
        self.chores.clear()
        self._recorders.clear()

    async def restart(self) -> None:
        """Stop and start again."""
        await self.stop()
        await self.start()

    async def do_chores(self) -> None:
        """What the doors do every minute."""
        for chore in self.chores:
            await chore()

    async def _kill_inside(self, handling: Awaitable[None]) -> bool:
        """Handle a call until its effect stands in the open transaction; then the doors die.

        Returns whether it came so far: a call that is refused before is answered.
        """
        struck = asyncio.Event()
        for recorder in self._recorders:
            recorder.struck = struck
        call, strike = asyncio.ensure_future(handling), asyncio.ensure_future(struck.wait())
        await asyncio.wait((call, strike), return_when=asyncio.FIRST_COMPLETED)
        strike.cancel()
        if not struck.is_set():
            for recorder in self._recorders:
                recorder.struck = None
            return False
        call.cancel()
        for recorder in self._recorders:
            await recorder.die()
        await asyncio.gather(call, return_exceptions=True)
        await self.restart()
        return True

    # --- the supervisor ---------------------------------------------------------------------------

    async def start_engine(self) -> None:
        """Start the engine, or another one after the first died."""
        await self._supervisor.aclose()
        opened = rotation.engine(self.home, self.settings, "supervisor", self.clock)
        self.engine = await self._supervisor.enter_async_context(opened)

    async def hash_one_time(self) -> OneTime:
        """Make a one-time password, as the host does when it founds a gateway."""
        hashing = Unhurried(self.hashing)
        try:
            return await hashing.one_time()
        finally:
            hashing.close()

    # --- hands ------------------------------------------------------------------------------------

    async def sql(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Run a query as the owner."""
        return await self.owner.fetch(statement, parameters)

    async def leaves(self) -> list[dict[str, Any]]:
        """Return every leaf."""
        rows = await self.owner.fetch("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
        return [json.loads(leaf) for [leaf] in rows]

    @property
    def newest_checkpoint(self) -> str:
        """What the administration door would show."""
        return self._recorders[-1].newest_checkpoint

    async def _database(self, role: str) -> Database:
        info = roles.conninfo(self.home, self.settings, role)
        database = await Database.open(info, application="year", size=1)
        self._stack.push_async_callback(database.close)
        return database


class Unhurried(Passwords):
    """Hashes as cheap as these need no threads; that of a flood of logins others tell."""

    async def run(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        """Do it at once."""
        return work(*args, **kwargs)


class MortalRecorder(DoorRecorder):
    """A recorder that can die with a transaction open."""

    struck: asyncio.Event | None = None

    async def append(self, event: Event, effect: Effect | None = None) -> Entry:
        """Append; once doomed, stop where effect and leaf are about to be committed."""
        if self.struck is None or effect is None:
            return await super().append(event, effect)
        struck = self.struck

        async def doomed(tx):
            await effect(tx)
            struck.set()
            await asyncio.Event().wait()

        return await super().append(event, doomed)

    async def die(self) -> None:
        """Leave everything as it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _signing(home: Home) -> AsyncIterator[None]:
    """Run the signer in this loop."""
    stop = asyncio.Event()
    serving = signer.Signer(signer.Memory.load(home))
    task = asyncio.create_task(serving.serve(home.signer_socket, stop))
    while not home.signer_socket.exists():  # noqa: ASYNC110  a file tells nobody
        await asyncio.sleep(0)
    try:
        yield
    finally:
        stop.set()
        await task


def _change_sealing_keys_often(home: Home) -> None:
    """By the province's own policy: once a year would be too seldom to be seen."""
    path = home.policies / "rotation.toml"
    text = path.read_text(encoding="utf-8")
    shipped = "sealing_key_days = 365.0"
    assert text.count(shipped) == 1
    path.write_text(text.replace(shipped, f"sealing_key_days = {words.SEALING_DAYS}.0"))


def _made_at(home: Home, us: int) -> None:
    """Let every file be as old as the gateway: keys without a row are dated by their file."""
    for path in home.root.rglob("*"):
        if path.is_file():
            os.utime(path, (us / US_PER_S, us / US_PER_S))


def _without_waiting_for_the_disk(ground: Ground) -> None:
    """A process dies here, never the machine: its COMMITs need not wait."""
    name = str(conninfo_to_dict(ground.dsn)["dbname"])
    with psycopg.connect(ground.superuser, autocommit=True) as connection:
        alter = sql.SQL("ALTER DATABASE {} SET synchronous_commit = off")
        connection.execute(alter.format(sql.Identifier(name)))


@contextlib.contextmanager
def no_fsync() -> Iterator[None]:
    """Neither need files."""
    with mock.patch.object(os, "fsync"), mock.patch.object(os, "fdatasync"):
        yield
