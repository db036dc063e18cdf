"""Whose tunnel a sighting is of: registered, in force, and shaken hands with a moment ago."""

import asyncio

import psycopg
import pytest

from gateway.clock import US_PER_S, TurnedClock
from gateway.config import policies
from gateway.errors import Reason, Refusal
from gateway.store.database import Database
from gateway.vpn.origin import Sighting
from gateway.vpn.peers import Peers

NOW_US = 1_790_000_000 * US_PER_S
KEY = "kq5Wn0Wq8c3Vw0l0m1n2o3p4q5r6s7t8u9v0w1x2y3o="
RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")


def seen(age_s: float = 1, **changes) -> Sighting:
    fields = {"peer": KEY, "kind": "wireguard", "strength": "proven", "ingress": "wg0"}
    return Sighting(**fields | {"handshake_us": NOW_US - round(age_s * US_PER_S)} | changes)


@pytest.fixture
def ask(conninfo):
    with psycopg.connect(conninfo("owner"), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO gateway.organisation (code, name, kind, created_us) VALUES ('140100', 'x', 2, 1)"
        )
        connection.execute(
            "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)"
            " VALUES ('wireguard', %s, '140100', '{10.66.1.2/32}', 1, 1)",
            [KEY],
        )

        async def origin(sighting):
            database = await Database.open(conninfo("front"), application="test", size=1)
            try:
                return await Peers(database, RULES, TurnedClock(NOW_US)).origin(sighting)
            finally:
                await database.close()

        def asked(sighting, state=1):
            connection.execute("UPDATE gateway.tunnel SET state = %s", [state])
            return asyncio.run(origin(sighting))

        yield asked


def refused(ask, sighting, state=1) -> Reason:
    with pytest.raises(Refusal) as refusal:
        ask(sighting, state)
    return refusal.value.reason


def test_a_registered_peer_stands_for_its_organisation(ask) -> None:
    found = ask(seen())
    assert (found.organisation, found.tunnel, found.strength) == ("140100", KEY, "proven")
    assert ask(seen(RULES.handshake_s)).ingress == "wg0"


def test_what_is_its_own_register_is_not_looked_up(ask) -> None:
    assert ask(seen(peer="listen/x", kind="static", organisation="140200")).organisation == "140200"


def test_who_is_not_registered_locked_or_out_of_touch_is_refused(ask) -> None:
    assert refused(ask, seen(peer="other")) == Reason.ORIGIN_UNREGISTERED
    assert refused(ask, seen(kind="strongswan")) == Reason.ORIGIN_UNREGISTERED
    assert refused(ask, seen(RULES.handshake_s + 1)) == Reason.ORIGIN_STALE
    assert refused(ask, seen(handshake_us=None)) == Reason.ORIGIN_STALE
    for state in (2, 3):
        assert refused(ask, seen(), state) == Reason.ORIGIN_LOCKED


def test_many_are_asked_for_together_and_noted_together(ask, conninfo) -> None:
    ask(seen())

    async def run():
        database = await Database.open(conninfo("front"), application="test", size=1)
        peers = Peers(database, RULES, TurnedClock(NOW_US))
        await peers.seen([("wireguard", KEY), ("wireguard", "other")])
        found = await peers.fallen([("wireguard", KEY), ("strongswan", KEY)])
        await database.close()
        return found

    unknown = {("strongswan", KEY): Reason.ORIGIN_UNREGISTERED}
    assert asyncio.run(run()) == unknown
    ask_locked = refused(ask, seen(), 2)
    assert asyncio.run(run()) == unknown | {("wireguard", KEY): ask_locked}
    with psycopg.connect(conninfo("owner")) as connection:
        rows = connection.execute("SELECT last_seen_us FROM gateway.tunnel").fetchall()
    assert rows == [(NOW_US,)]


def test_a_removed_peer_never_returns(ask) -> None:
    assert refused(ask, seen(), 3) == Reason.ORIGIN_LOCKED
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(seen(), 1)


def test_one_that_stands_is_looked_up_again_whenever_the_register_moved(ask, conninfo) -> None:
    good, stranger = ("wireguard", KEY), ("wireguard", "other")

    async def run():
        database = await Database.open(conninfo("front"), application="test", size=1)
        peers = Peers(database, RULES, TurnedClock(NOW_US))
        with psycopg.connect(conninfo("owner"), autocommit=True) as connection:

            def turn(state) -> None:
                connection.execute("UPDATE gateway.tunnel SET state = %s", [state])

            assert await peers.fallen([good]) == {}
            assert await peers.fallen([good, stranger]) == {stranger: Reason.ORIGIN_UNREGISTERED}
            turn(2)
            for _ in range(2):
                assert await peers.fallen([good]) == {good: Reason.ORIGIN_LOCKED}
            turn(1)
            assert await peers.fallen([good]) == {}
            # Who left meanwhile is not remembered as good.
            assert await peers.fallen([]) == {}
            turn(3)
            assert await peers.fallen([good]) == {good: Reason.ORIGIN_LOCKED}
        await database.close()

    asyncio.run(run())
