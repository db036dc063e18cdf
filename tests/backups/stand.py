"""What tests of backups stand on: a real HOME, its recorder for one act at a time, a recipient and its private key."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pyrage
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.backups import approval, lists, making, manifest, recipients, spreading
from gateway.backups.approval import Approval
from gateway.backups.errors import BackupError
from gateway.backups.lists import Parent
from gateway.backups.making import Made, Source
from gateway.client.papers import signed
from gateway.clock import SYSTEM
from gateway.config import log_keys, settings
from gateway.config.home import Home
from gateway.config.policies import shipped
from gateway.errors import Refusal
from gateway.identity import accounts, rule_files, session
from gateway.identity.accounts import NewAccount
from gateway.identity.rules import SessionLimits
from gateway.names import Subject
from gateway.pki import authorities, issue, register
from gateway.pki.ceremony import key_pem as papers
from gateway.registry import systems
from gateway.registry.systems import System
from gateway.signer.memory import stored_checkpoint
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey
from tests.audit.stage import RunningSigner

LIMITS = SessionLimits(idle_minutes=30, absolute_hours=8, token_minutes=10)
RULES = rule_files.load(shipped("policies") / "passwords.toml").at(SYSTEM.now_us())
KEY, RECIPIENT = recipients.new()
IDENTITY = pyrage.x25519.Identity.from_str(KEY)
Result = TypeVar("Result")


class Stand:
    """One HOME; every act opens its database and signer and closes them."""

    kept: Made

    def __init__(self, home: Home, place: Path) -> None:
        self.home = home
        self.place = place
        self.officers: dict[str, tuple[bytes, bytes]] = {}

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

    def make(self, place: Path | None = None, onto: Parent | None = None) -> Made:
        return self.run(lambda source: making.make(source, place or self.place, onto=onto))

    def onto(self, place: Path) -> Parent:
        """The newest backup of a place, as what the next one goes on from."""
        newest = spreading.newest(place, self.keys)
        parent, why = lists.choose(self.home, newest, SYSTEM.now_us(), 31)
        assert parent is not None, why
        return parent

    def chain(self, place: Path, length: int = 3) -> list[Made]:
        """A base backup, and incremental ones, with a certificate between each and the next: `row-1`, …"""
        made = [self.make(place)]
        while len(made) < length:
            self.certify(f"row-{len(made)}")
            made.append(self.make(place, self.onto(place)))
        return made

    def enlist(self, plain: str, *officers: str) -> None:
        """Give the province security officers, and one who is none, each with a key; and somebody a session."""
        authority = authorities.issuing(authorities.load(self.home))

        async def work(source: Source) -> None:
            async with source.database.transaction() as tx:
                for name in (plain, *officers):
                    key = ec.generate_private_key(ec.SECP256R1())
                    subject = Subject("sx.example", "140000", "officer", name)
                    one = issue.client_certificate(
                        authority, subject, key.public_key(), SYSTEM.now_us()
                    )
                    await register.insert(tx, one, subject)
                    self.officers[name] = (papers(key), one.public_bytes(Encoding.DER))
                    if name != plain:
                        await systems.create(tx, System("140000", "officer", name), 1)
                        account = NewAccount("140000", name, ("security_officer",), name)
                        await accounts.create(tx, account, "!", RULES, SYSTEM.now_us())
                await session.create(tx, "140000", plain, bytes(32), LIMITS, SYSTEM.now_us())

        self.run(work)

    def certify(self, name: str) -> None:
        """A row more in the register: a certificate of nobody who has an account."""
        authority = authorities.issuing(authorities.load(self.home))
        subject = Subject("sx.example", "140000", "officer", name)
        key = ec.generate_private_key(ec.SECP256R1()).public_key()

        async def work(source: Source) -> None:
            async with source.database.transaction() as tx:
                one = issue.client_certificate(authority, subject, key, SYSTEM.now_us())
                await register.insert(tx, one, subject)

        self.run(work)

    def approved(
        self, made: Made, name: str, cause: str = "disk-lost", ago_s: int = 0, until: str = ""
    ) -> Approval:
        """An officer's approval of a backup, signed so long ago."""
        digest = manifest.sha256(made.manifest.encode())
        at_us = SYSTEM.now_us() - ago_s * 1_000_000
        key, certificate = self.officers[name]
        signature = signed(key, approval.statement(digest, cause, at_us, until))
        return Approval(digest, cause, at_us, certificate, signature, until)

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
