"""What tests of backups stand on: a real HOME, its recorder for one act at a time, a recipient and its private key."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pyrage

from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.backups import making, recipients
from gateway.backups.errors import BackupError
from gateway.backups.making import Made, Source
from gateway.clock import SYSTEM
from gateway.config import log_keys, settings
from gateway.config.home import Home
from gateway.errors import Refusal
from gateway.signer.memory import stored_checkpoint
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey
from tests.audit.stage import RunningSigner

KEY, RECIPIENT = recipients.new()
IDENTITY = pyrage.x25519.Identity.from_str(KEY)
Result = TypeVar("Result")


class Stand:
    """One HOME; every act opens its database and signer and closes them."""

    kept: Made

    def __init__(self, home: Home, place: Path) -> None:
        self.home = home
        self.place = place

    @property
    def keys(self) -> LogKeys:
        vkey = self.home.log_key.read_text().strip()
        return LogKeys.of(parse_vkey(vkey), log_keys.read(self.home.log_keys))

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Source]:
        own = settings.load(self.home.settings)
        way = roles.WayIn(self.home, own, "owner")
        database = await Database.open(way, application="test", size=2)
        signer = RunningSigner(self.home)
        await signer.start()
        link = SignerLink(self.home.signer_socket)
        recorder = await Recorder.open(database, link, door="host", clock=SYSTEM)
        try:
            note = stored_checkpoint(self.home)
            assert note is not None
            yield Source(self.home, own, database, recorder, note)
        finally:
            await recorder.close()
            await link.close()
            await signer.kill()
            await database.close()

    def run(self, work: Callable[[Source], Awaitable[Result]]) -> Result:
        async def whole() -> Result:
            async with self.opened() as source:
                return await work(source)

        return asyncio.run(whole())

    def make(self, place: Path | None = None) -> Made:
        return self.run(lambda source: making.make(source, place or self.place))

    def add(self, name: str, recipient: str) -> None:
        self.run(
            lambda source: source.recorder.append(
                _none(), lambda tx: recipients.add(tx, name, recipient, SYSTEM.now_us())
            )
        )

    def remove(self, name: str) -> None:
        self.run(
            lambda source: source.recorder.append(
                _none(), lambda tx: recipients.remove(tx, name, SYSTEM.now_us())
            )
        )

    def sql(self, statement: str, *parameters: object) -> list[tuple]:
        async def work(source: Source) -> list[tuple]:
            async with source.database.transaction() as tx:
                if statement.startswith("SELECT"):
                    return await tx.fetch(statement, parameters)
                await tx.execute(statement, parameters)
                return []

        return self.run(work)

    def leaves(self, kind: str) -> list[dict]:
        rows = self.sql("SELECT leaf FROM gateway.audit_entry WHERE kind = %s ORDER BY idx", kind)
        return [json.loads(leaf) for (leaf,) in rows]


def _none():
    return recipients._event(recipients.ADD, "")


def code(work: Callable[[], object]) -> str:
    """Return the code of the refusal, "" for none."""
    try:
        work()
    except BackupError as error:
        return error.code
    except Refusal as refusal:
        return refusal.reason
    return ""
