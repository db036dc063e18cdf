"""An identity door without sockets: a province on a real database, a desk with a turned clock and cheap hashes."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import argon2

from gateway.clock import TurnedClock
from gateway.config.policies import shipped
from gateway.identity import accounts, change, keys, login, principal, rule_files
from gateway.identity.accounts import NewAccount
from gateway.identity.login import Desk, Grant
from gateway.identity.passwords import Passwords
from gateway.identity.principal import Principal
from gateway.identity.rules import Dated, Profile, Rules
from gateway.identity.token import Minter, Verifier
from gateway.link.connection import Connection
from gateway.registry import organisations, systems
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.systems import System
from gateway.store.database import Database
from gateway.vpn.origin import Origin

DOMAIN = "gateway.invalid"
# 2026-03-02T00:00:00Z
START_US = 1_772_409_600_000_000
DIVISIONS = {"140000", "140100", "140105", "140200"}
# The cheapest that argon2 knows; the shipped parameters are measured elsewhere.
CHEAP = argon2.Parameters(argon2.Type.ID, 19, 16, 32, 1, 8, 1)
OLDER = replace(CHEAP, memory_cost=16)
RULES = rule_files.load(shipped("policies") / "passwords.toml")
PROFILE = RULES.at(START_US)
GOOD = "correct-Horse-9-battery"
BETTER = "Granite.Lampion.44"
KEY = keys.make()


def ruled(profile: Profile, *coming: tuple[int, Profile]) -> Rules:
    """The shipped rules with this profile from ever, and others from when on they rule."""
    found = ((0, profile), *coming)
    return replace(RULES, dated=tuple(Dated("mlps3", us, "0" * 64, one) for us, one in found))


def connection(
    subject: str = "sys/hub", organisation: str = "140100", certificate: str = "one"
) -> Connection:
    """A connection of a certificate; `certificate` is any word that tells it from others."""
    digest = hashlib.sha256(certificate.encode()).hexdigest()
    return Connection(
        "0" * 32, "identity", "127.0.0.1:50000", "127.0.0.11:8446", organisation,
        f"spiffe://{DOMAIN}/org/{organisation}/{subject}", "01", digest, digest, START_US * 2,
        Origin(organisation, "tunnel", "static", "weak", "127.0.0.11"),
    )  # fmt: skip


def minter() -> Minter:
    return Minter(cast("dict[str, str]", json.loads(KEY.private_jwk)), DOMAIN)


def verifier() -> Verifier:
    public = {key["kid"]: key for key in json.loads(KEY.public_set)["keys"]}
    return Verifier(public, DOMAIN)


@dataclass
class Office:
    """The door, the hands of its clock, and the role that administers."""

    desk: Desk
    database: Database
    administration: Database
    clock: TurnedClock

    async def open_account(
        self,
        name: str = "hub-upload",
        organisation: str = "140100",
        role: str = "uploader",
        subject: str = "hub",
    ) -> str:
        """Open an account and return its one-time password."""
        one_time = await self.desk.passwords.one_time()
        wanted = NewAccount(organisation, name, (role,), subject)
        async with self.administration.transaction() as tx:
            await accounts.create(tx, wanted, one_time.hash, self.desk.profile, self.clock.now_us())
        return one_time.text

    async def log_in(self, name: str, password: str, over: Connection | None = None) -> Grant:
        """Log in as the service does: prove first, then open inside the log's transaction."""
        proof = await login.prove(self.desk, login.caller(over or connection(), name), password)
        async with self.database.transaction() as tx:
            return await login.open_session(self.desk, tx, proof)

    async def who(self, grant: Grant | str, over: Connection | None = None) -> Principal:
        """Establish the principal as the guard does."""
        over = over or connection()
        token = grant if isinstance(grant, str) else grant.token
        now_us = self.clock.now_us()
        claims = verifier().verify(token, principal.bearer(over), now_us)
        async with self.database.transaction() as tx:
            standing = await principal.read_standing(tx, claims.session)
        return principal.establish(claims, standing, over, self.desk.profile, now_us)

    async def change(self, grant: Grant, old: str, new: str) -> Grant:
        """Change the password as the service does."""
        found = await change.prepare(
            self.desk, await self.who(grant), "太原市疾病预防控制中心", old, new
        )
        async with self.database.transaction() as tx:
            return await change.apply(self.desk, tx, found)

    async def settled(self, name: str = "hub-upload") -> Grant:
        """Open an account whose password is GOOD, and log in."""
        one_time = await self.open_account(name)
        return await self.change(await self.log_in(name, one_time), one_time, GOOD)


def at_the_office(
    conninfo: Callable[[str], str],
    scene: Callable[[Office], Awaitable[None]],
    *,
    hashing: Passwords | None = None,
    rules_in_force: Rules = RULES,
) -> None:
    """Run a scene in a province of one city with a system and two officers, and another city with the same names."""

    async def run() -> None:
        clock = TurnedClock(START_US)
        database = await Database.open(conninfo("identity"), application="test", size=4)
        administration = await Database.open(conninfo("administration"), application="test", size=1)
        async with administration.transaction() as tx:
            await organisations.create(
                tx, Organisation("140000", "山西省", Kind.PROVINCE, None), DIVISIONS, 1
            )
            for code, name in (
                ("140100", "太原市疾病预防控制中心"),
                ("140200", "大同市疾病预防控制中心"),
            ):
                await organisations.create(
                    tx, Organisation(code, name, Kind.CITY, "140000"), DIVISIONS, 1
                )
                await systems.create(tx, System(code, "sys", "hub"), 1)
                await systems.create(tx, System(code, "sys", "spare"), 1)
                await systems.create(tx, System(code, "officer", "wang"), 1)
        passwords = hashing or Passwords((CHEAP, OLDER))
        desk = Desk(database, rules_in_force, passwords, minter(), clock)
        try:
            await scene(Office(desk, database, administration, clock))
        finally:
            passwords.close()
            await database.close()
            await administration.close()

    asyncio.run(run())


def write_keys(folder: Path) -> tuple[Path, Path]:
    """Write the key files as `gateway init` does; return (private, public)."""
    private, public = folder / keys.PRIVATE_FILE, folder / "token-keys.json"
    private.write_text(KEY.private_jwk)
    public.write_text(KEY.public_set)
    return private, public
