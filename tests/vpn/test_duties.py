"""By a turned clock: the old key goes by itself once the new one was used long enough, and who is missed is told of once."""

import asyncio
import base64
import contextlib
import json
from dataclasses import replace

import psycopg

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.config import policies
from gateway.registry import tunnels
from gateway.registry.tunnel_keys import DAY_US, HOUR_US
from gateway.registry.tunnels import Tunnel
from gateway.store.database import Database
from gateway.vpn.duties import TunnelDuties
from tests.audit.stage import NOW_US, stage

RULES = replace(
    policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml"),
    overlap_hours=72.0,
    unused_days=30.0,
)
BASE = Event(door="administration")
COUNTY = "140105"
OLD, NEW, OTHER = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))


class At:
    """The duties, the register and the log."""

    def __init__(self, stage_, recorder, conninfo):
        self.clock = stage_.clock
        self.recorder = recorder
        self._conninfo = conninfo
        self.duties = TunnelDuties(recorder.database, recorder, RULES, self.clock)

    def sql(self, statement, *parameters):
        with psycopg.connect(self._conninfo("owner"), autocommit=True) as connection:
            done = connection.execute(statement, parameters)
            return done.fetchall() if done.description else []

    async def add(self, peer, *, follows=None, address="10.14.1.5/32"):
        wanted = Tunnel("wireguard", peer, COUNTY, (address,), follows=follows)
        async with self.recorder.database.transaction() as tx:
            return await tunnels.add(tx, wanted, self.clock.now_us())

    def seen(self, *peers):
        with psycopg.connect(self._conninfo("front"), autocommit=True) as connection:
            given = (["wireguard"] * len(peers), list(peers), self.clock.now_us())
            connection.execute("SELECT gateway.tunnel_seen(%s, %s, %s)", given)

    def states(self):
        return dict(self.sql("SELECT peer, state FROM gateway.tunnel"))

    def leaves(self):
        rows = self.sql("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
        return [json.loads(bytes(row[0])) for row in rows]

    async def look(self):
        return await self.duties.look(BASE)


@contextlib.asynccontextmanager
async def at(conninfo):
    async with stage(conninfo) as stage_:
        database = await Database.open(conninfo("administration"), application="test")
        link = SignerLink(stage_.home.signer_socket)
        recorder = await Recorder.open(database, link, door="administration", clock=stage_.clock)
        try:
            made = At(stage_, recorder, conninfo)
            made.sql(
                "INSERT INTO gateway.organisation (code, name, kind, created_us)"
                " VALUES (%s, 'x', 3, 1)",
                COUNTY,
            )
            yield made
        finally:
            await recorder.close()
            await database.close()


def test_the_old_key_is_retired_once_the_new_one_was_at_work_for_the_policys_hours(conninfo):
    async def run():
        async with at(conninfo) as here:
            await here.add(OLD)
            here.seen(OLD)
            await here.add(NEW, follows=OLD, address="10.14.1.6/32")
            # However long nobody installs the new key, the old one stays: the county keeps its way.
            here.clock.turn(seconds=20 * 86_400)
            here.seen(OLD)
            assert await here.look() == 0
            here.seen(NEW)
            first_us = here.clock.now_us()
            here.clock.turn(seconds=72 * 3_600 - 1)
            here.seen(OLD, NEW)
            assert await here.look() == 0
            assert here.states() == {OLD: tunnels.ACTIVE, NEW: tunnels.ACTIVE}
            assert here.leaves() == []
            here.clock.turn(seconds=1)
            assert here.clock.now_us() == first_us + 72 * HOUR_US
            assert await here.look() == 1
            assert here.states() == {OLD: tunnels.REMOVED, NEW: tunnels.ACTIVE}
            [leaf] = here.leaves()
            assert (leaf["kind"], leaf["decision"], leaf["door"]) == (
                "tunnel.retired",
                "allow",
                "administration",
            )
            assert (leaf["organisation"], leaf["tunnel"]) == (COUNTY, OLD)
            assert leaf["detail"] == {
                "cause": "superseded",
                "state": "removed",
                "target_organisation": COUNTY,
                "target_tunnel": NEW,
            }
            for _ in range(3):
                assert await here.look() == 0
            assert len(here.leaves()) == 1

    asyncio.run(run())


def test_a_locked_successor_retires_nobody_even_when_it_is_locked_a_moment_before(
    conninfo, monkeypatch
):
    async def run():
        async with at(conninfo) as here:
            await here.add(OLD)
            await here.add(NEW, follows=OLD, address="10.14.1.6/32")
            here.seen(OLD, NEW)
            here.clock.turn(seconds=100 * 3_600)
            async with here.recorder.database.transaction() as tx:
                [found] = await tunnels.attended(tx, 0)
            lock = "UPDATE gateway.tunnel SET state = %s WHERE peer = %s"
            here.sql(lock, tunnels.LOCKED, NEW)

            async def attended(tx, before_us):
                return [found]

            # What was found before the lock is judged again where it is done.
            with monkeypatch.context() as patched:
                patched.setattr(tunnels, "attended", attended)
                assert await here.look() == 0
            assert here.states()[OLD] == tunnels.ACTIVE
            [leaf] = here.leaves()
            assert (leaf["decision"], leaf["reason"]) == ("deny", "REVISION_STALE")
            assert await here.look() == 0
            # In force again, it takes over.
            here.sql(lock, tunnels.ACTIVE, NEW)
            assert await here.look() == 1
            assert here.states()[OLD] == tunnels.REMOVED

    asyncio.run(run())


def test_a_tunnel_that_nobody_uses_is_told_once_and_again_after_it_was_used(conninfo):
    async def run():
        async with at(conninfo) as here:
            await here.add(OLD)
            await here.add(OTHER, address="10.14.1.7/32")
            here.clock.turn(seconds=29 * 86_400)
            here.seen(OTHER)
            assert await here.look() == 0
            here.clock.turn(seconds=86_400)
            assert await here.look() == 1
            [leaf] = here.leaves()
            assert (leaf["kind"], leaf["detail"]) == ("tunnel.unused", {"alert": "tunnel-unused"})
            assert (leaf["organisation"], leaf["tunnel"]) == (COUNTY, OLD)
            # Not every hour, nor by a process that was started anew.
            here.duties = TunnelDuties(here.recorder.database, here.recorder, RULES, here.clock)
            here.clock.turn(seconds=3_600)
            assert await here.look() == 0
            here.seen(OLD, OTHER)
            here.clock.turn(seconds=30 * 86_400)
            assert await here.look() == 2
            assert [one["tunnel"] for one in here.leaves()] == [OLD, OLD, OTHER]
            # What is locked or removed is not missed.
            here.sql("UPDATE gateway.tunnel SET state = 2, unused_told_us = NULL")
            assert await here.look() == 0
            assert here.clock.now_us() > NOW_US + 59 * DAY_US

    asyncio.run(run())
