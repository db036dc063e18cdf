"""An identity process's room without its door: a HOME with authorities, a register, an issuer, and a clock for the hand."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SYSTEM, TurnedClock
from gateway.config import policies
from gateway.config.home import Home
from gateway.pki import confirmation, enrol, invitation, keys, register, succession
from gateway.pki.authorities import Current
from gateway.pki.confirmation import Confirmation
from gateway.pki.invitation import Officer, Terms, Wanted
from gateway.pki.issuer import Issuer
from gateway.pki.proof import Proofs
from gateway.pki.register import Bearer, Issued
from gateway.store.database import Database, Transaction
from tests.papers import new_key, request_for
from tests.pki.forge import DOMAIN
from tests.pki.ground import founded_home

HIS = Bearer("140100", "sys", "his")
CHEN = Bearer("140100", "officer", "chen")
OTHER = Bearer("140200", "sys", "his")
ADMIN = Officer("140000", "admin", "admin")
SECOND = Officer("140000", "second", "tang")
DAY_S = 86_400


class Office:
    """Made by `at_the_office`."""

    def __init__(self, home: Home, conninfo: Callable[[str], str]) -> None:
        """Stand in this HOME before an empty register."""
        shutil.copytree(policies.shipped("policies"), home.policies, dirs_exist_ok=True)
        self.home = home
        self.conninfo = conninfo
        self.clock = TurnedClock(SYSTEM.now_us())
        self.rules = policies.load_certificate_rules(home.policies / "certificates.toml")
        self.issuer = Issuer(home, self.rules, DOMAIN, self.clock)
        self.proofs = Proofs.load(home, "administration")
        self.terms = Terms(self.rules.enrolment, self.proofs)
        self.databases: dict[str, Database] = {}

    async def as_(self, role: str, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        """Do something in a transaction of a role."""
        async with self.databases[role].transaction() as tx:
            return await work(tx)

    async def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement as the owner and return its rows."""

        async def work(tx: Transaction) -> list[tuple[Any, ...]]:
            if statement.startswith("SELECT"):
                return await tx.fetch(statement, parameters)
            return [(await tx.execute(statement, parameters),)]

        return await self.as_("owner", work)

    async def people(self) -> None:
        """Register two organisations with their bearers."""
        for code in ("140000", "140100", "140200"):
            await self.sql(
                "INSERT INTO gateway.organisation (code, name, kind, state, created_us) VALUES (%s, 'x', 2, 1, 1)",
                code,
            )
        for one in (HIS, CHEN, OTHER):
            await self.sql(
                "INSERT INTO gateway.system (organisation, kind, name, state, created_us) VALUES (%s, %s, %s, 1, 1)",
                *(one.organisation, one.kind, one.name),
            )

    async def invite(
        self, bearer: Bearer = HIS, number: str = "one", *, approval: bool = False, purpose: Any = 1
    ) -> str:
        """Invite a bearer and return the code."""
        code = invitation.new_code()
        wanted = Wanted(number, bearer, purpose, approval, ADMIN)
        now_us = self.clock.now_us()
        await self.as_(
            "administration",
            lambda tx: invitation.invite(tx, wanted, code, self.terms, now_us),
        )
        return code

    async def enrol(self, code: str, key: Any, organisation: str = "140100") -> Any:
        """Ask with a code and a key, or with the bytes of a request."""
        csr = key if isinstance(key, bytes) else request_for(key)
        asked = enrol.Request(code, organisation, csr)
        return await self.as_("identity", lambda tx: enrol.enrol(self.issuer, tx, asked))

    async def enrolled(
        self, bearer: Bearer = HIS, number: str = "one", *, used: bool = True
    ) -> Issued:
        """Return a bearer's certificate of a new lineage, which the front has seen."""
        code, key = await self.invite(bearer, number), new_key()
        done = await self.enrol(code, key, bearer.organisation)
        if bearer.kind == "officer":
            await self.confirm(key, number)
            done = await self.enrol(code, key, bearer.organisation)
        if used:
            await self.use(done.issued.serial)
        return done.issued

    async def confirm(
        self, key: Any, number: str = "one", officer: Officer = SECOND
    ) -> invitation.Invitation:
        """Confirm a key, or the digest of one, as a second officer."""
        digest = key if isinstance(key, bytes) else keys.spki_sha256(key.public_key())
        wanted, now_us = Confirmation(number, digest, officer), self.clock.now_us()

        async def work(tx: Transaction) -> invitation.Invitation:
            return await confirmation.confirm(tx, wanted, self.proofs, now_us)

        found: invitation.Invitation = await self.as_("administration", work)
        return found

    async def use(self, serial: str) -> int | None:
        """Let a certificate in for the first time, as the front does."""
        statement = "SELECT gateway.certificate_first_use(%s, %s)"
        now_us = self.clock.now_us()
        [(others,)] = await self.as_("front", lambda tx: tx.fetch(statement, (serial, now_us)))
        return others

    async def renew(self, serial: str, key: ec.EllipticCurvePrivateKey | bytes) -> Issued:
        """Renew the certificate of a serial for a key, or with the bytes of a request."""
        csr = key if isinstance(key, bytes) else request_for(key)
        row = (await self.rows()).get(serial)
        subject = "" if row is None else str(self.issuer.subject(row.bearer))
        return await self.as_(
            "identity", lambda tx: succession.succeed(self.issuer, tx, serial, subject, csr)
        )

    async def rows(self) -> dict[str, register.Row]:
        """Return the register by serial."""
        return {row.serial: row for row in await self.as_("owner", register.rows)}

    async def invitation(self, number: str = "one") -> invitation.Invitation:
        """Return an invitation as it stands."""
        return await self.as_("owner", lambda tx: invitation.read(tx, number))


def at_the_office(conninfo: Callable[[str], str], scene: Callable[[Office], Awaitable[Any]]) -> Any:
    """Play a scene in an office of its own."""

    async def run(home: Home) -> Any:
        office = Office(home, conninfo)
        for role in ("owner", "administration", "identity", "front"):
            database = await Database.open(conninfo(role), application="office", size=4)
            office.databases[role] = database
        try:
            await office.people()
            return await scene(office)
        finally:
            for database in office.databases.values():
                await database.close()

    with founded_home() as home:
        return asyncio.run(run(home))


def oldest(office: Office) -> bytes:
    """Return the digest of the only authority's key."""
    return Current(office.home).anchors()[-1].spki_sha256
