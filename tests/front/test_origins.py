"""Attacks 62-65 and 70 on tunnels that a fake VPN tells of: refused, or cut within two seconds, each with one leaf.

The listening address stands for the peer's own: what the VPN says of it is what the test makes it say.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gateway.clock import SYSTEM, US_PER_S
from gateway.config.settings import Settings
from gateway.errors import Reason, refuse
from gateway.front.origins import Origins
from gateway.vpn.origin import Sighting, Strength
from gateway.vpn.peers import Peers
from tests.audit.stage import until
from tests.front.stage import CITY, CITY_AT, HELLO, OTHER, OTHER_AT, Stage, stage

PEERS = {
    at: base64.b64encode(bytes([number]) * 32).decode()
    for number, at in enumerate((CITY_AT, OTHER_AT), 1)
}
OWNERS = {CITY_AT: CITY.organisation, OTHER_AT: OTHER.organisation}


@dataclass
class FakeVpn:
    """Says of each address what it is told to: a sighting, or a reason to refuse."""

    kind: str = "wireguard"
    strength: Strength = "proven"
    said: dict[str, Sighting | Reason] = field(default_factory=dict)

    async def whois(self, address: str, listener: str, interface: str | None) -> Sighting:
        found = self.said.get(listener, Reason.ORIGIN_NOT_TUNNEL)
        if isinstance(found, Reason):
            raise refuse(found)
        return found

    def change(self, at: str, **changes: Any) -> None:
        found = self.said[at]
        assert isinstance(found, Sighting)
        self.said[at] = replace(found, **changes)


@contextlib.asynccontextmanager
async def tunnels(
    cluster: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Stage, FakeVpn]]:
    """A front with two registered peers; handshakes a moment ago, whatever the clock says later."""
    vpn = FakeVpn()
    for at, peer in PEERS.items():
        endpoint = "203.0.113.5:51820"
        vpn.said[at] = Sighting(peer, "wireguard", "proven", "wg0", SYSTEM.now_us(), endpoint)
    monkeypatch.setattr("gateway.front.listener.provider", lambda *_: vpn)
    async with stage(cluster, settings, idle_timeout_s=1e9) as at_:
        for at, peer in PEERS.items():
            at_.sql(
                "INSERT INTO gateway.tunnel"
                " (kind, peer, organisation, addresses, created_us, changed_us)"
                " VALUES ('wireguard', %s, %s, '{10.14.1.5/32}', 1, 1)",
                *(peer, OWNERS[at]),
            )
        yield at_, vpn


def _state(at: Stage, state: int) -> None:
    at.sql("UPDATE gateway.tunnel SET state = %s WHERE peer = %s", state, PEERS[CITY_AT])


def _old(vpn: FakeVpn) -> None:
    vpn.change(CITY_AT, handshake_us=SYSTEM.now_us() - 181 * US_PER_S)


FALLS: list[tuple[Callable[[Stage, FakeVpn], Any], str]] = [
    # 64
    (lambda at, _: _state(at, 2), "ORIGIN_LOCKED"),
    (lambda at, _: _state(at, 3), "ORIGIN_LOCKED"),
    (lambda _, vpn: vpn.said.pop(CITY_AT), "ORIGIN_NOT_TUNNEL"),
    # 65
    (lambda _, vpn: _old(vpn), "ORIGIN_STALE"),
    # 66, in mid-connection
    (lambda _, vpn: vpn.said.update({CITY_AT: Reason.ORIGIN_AMBIGUOUS}), "ORIGIN_AMBIGUOUS"),
    # 70
    (lambda _, vpn: vpn.change(CITY_AT, endpoint="198.51.100.7:4000"), "ORIGIN_MOVED"),
    (lambda _, vpn: vpn.change(CITY_AT, peer=PEERS[OTHER_AT]), "ORIGIN_MOVED"),
]


async def _open(
    at: Stage, papers: Any, address: str = CITY_AT
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await at.connect(papers, address)
    writer.write(HELLO)
    assert await reader.readexactly(len(HELLO)) == HELLO
    return reader, writer


async def _ended(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(20):
        with contextlib.suppress(OSError):
            assert await reader.read() == b""


@pytest.mark.parametrize(("fall", "reason"), FALLS, ids=range(len(FALLS)))
def test_64_65_70_whose_tunnel_falls_is_cut_within_two_seconds(
    cluster: Any,
    database_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    fall: Callable[[Stage, FakeVpn], Any],
    reason: str,
) -> None:
    """One leaf for the one connection; another organisation's goes on."""

    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, vpn):
            fallen = await _open(at, at.good())
            innocent = await _open(at, at.good(OTHER), OTHER_AT)
            fall(at, vpn)
            await _ended(fallen[0])
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"]) == ("connection.cut", reason)
            assert (leaf["organisation"], leaf["tunnel"]) == (CITY.organisation, PEERS[CITY_AT])
            assert (leaf["ingress"], leaf["strength"]) == ("wg0", "proven")
            innocent[1].write(HELLO)
            assert await innocent[0].readexactly(len(HELLO)) == HELLO
            for _, writer in (fallen, innocent):
                writer.close()

    asyncio.run(run())


def test_62_anothers_certificate_through_a_tunnel_and_the_relation_that_allows_it(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, _):
            papers = at.good()
            assert not await at.served(papers, OTHER_AT)
            leaf = await at.leaf(1)
            assert (leaf["reason"], leaf["organisation"]) == ("ORIGIN_MISMATCH", CITY.organisation)
            assert leaf["detail"]["alert"] == "origin-mismatch"
            assert leaf["detail"]["target_organisation"] == OTHER.organisation
            assert await at.served(papers)
            at.sql(
                "INSERT INTO gateway.relation VALUES (%s, %s, 'uses_tunnel_of')",
                *(CITY.organisation, OTHER.organisation),
            )
            # Not the other way round.
            assert not await at.served(at.good(OTHER), CITY_AT)
            assert (await at.leaf(2))["reason"] == "ORIGIN_MISMATCH"
            guest = await _open(at, papers, OTHER_AT)
            at.sql("DELETE FROM gateway.relation")
            await _ended(guest[0])
            guest[1].close()
            leaf = await at.leaf(3)
            assert (leaf["kind"], leaf["reason"]) == ("connection.cut", "ORIGIN_MISMATCH")
            assert leaf["detail"]["target_organisation"] == OTHER.organisation

    asyncio.run(run())


def test_63_a_peer_that_nobody_registered(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, vpn):
            papers = at.good()
            stranger = base64.b64encode(b"s" * 32).decode()
            vpn.change(CITY_AT, peer=stranger)
            assert not await at.served(papers)
            leaf = await at.leaf(1)
            assert (leaf["kind"], leaf["reason"]) == ("connection.refused", "ORIGIN_UNREGISTERED")
            assert (leaf["tunnel"], leaf["detail"]["alert"]) == (stranger, "origin-unregistered")
            # What no leaf may hold is left out, and the refusal is told all the same.
            vpn.change(CITY_AT, peer="C=CN, CN=王小明 13800138000")
            assert not await at.served(papers)
            leaf = await at.leaf(2)
            assert leaf["reason"] == "ORIGIN_UNREGISTERED"
            assert "tunnel" not in leaf
            vpn.change(CITY_AT, peer=PEERS[CITY_AT])
            assert await at.served(papers)

    asyncio.run(run())


def test_65_an_old_handshake_lets_nobody_in_and_a_new_one_does(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, vpn):
            papers = at.good()
            _old(vpn)
            assert not await at.served(papers)
            assert (await at.leaf(1))["reason"] == "ORIGIN_STALE"
            vpn.change(CITY_AT, handshake_us=None)
            assert not await at.served(papers)
            assert (await at.leaf(2))["reason"] == "ORIGIN_STALE"
            vpn.change(CITY_AT, handshake_us=SYSTEM.now_us())
            assert await at.served(papers)

    asyncio.run(run())


def test_a_vpn_that_restarts_is_waited_for_and_one_that_stays_away_is_not(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, vpn):
            origins = at.front.connections.origins
            papers, before = at.good(), dict(vpn.said)
            reader, writer = await _open(at, papers)
            for away_s in (9, 8, 12):
                vpn.said = dict.fromkeys(before, Reason.ORIGIN_AWAY)
                await until(lambda: origins._away_since is not None)
                at.clock.turn(seconds=away_s)
                if away_s > 10:
                    break
                # Away for less than it may be, and back: counted from the beginning the next time.
                vpn.said = dict(before)
                await until(lambda: origins._away_since is None)
                writer.write(HELLO)
                assert await reader.readexactly(len(HELLO)) == HELLO
            await _ended(reader)
            writer.close()
            leaf = await at.leaf(1)
            assert (leaf["reason"], leaf["detail"]["alert"]) == ("ORIGIN_AWAY", "origin-away")
            assert not await at.served(papers)
            assert (await at.leaf(2))["reason"] == "ORIGIN_AWAY"
            vpn.said = dict(before)
            assert await at.served(papers)

    asyncio.run(run())


def test_who_is_locked_while_the_vpn_is_away_is_cut_for_that(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, vpn):
            reader, writer = await _open(at, at.good())
            vpn.said = dict.fromkeys(vpn.said, Reason.ORIGIN_AWAY)
            _state(at, 2)
            await _ended(reader)
            writer.close()
            assert (await at.leaf())["reason"] == "ORIGIN_LOCKED"

    asyncio.run(run())


def test_whose_peer_is_gone_is_cut_while_the_register_does_not_answer(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that hangs delays nobody's end: the two looks do not wait for each other."""

    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Peers, "fallen", hang)

    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, vpn):
            reader, writer = await _open(at, at.good())
            vpn.said.pop(CITY_AT)
            await _ended(reader)
            writer.close()
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"]) == ("connection.cut", "ORIGIN_NOT_TUNNEL")

    asyncio.run(run())


def test_when_a_peer_was_last_seen_is_noted_to_a_minute(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, _):
            seen = "SELECT last_seen_us FROM gateway.tunnel WHERE peer = %s"
            _, writer = await _open(at, at.good())
            await until(lambda: at.sql(seen, PEERS[CITY_AT])[0][0] is not None)
            [(first_us,)] = at.sql(seen, PEERS[CITY_AT])
            assert at.sql(seen, PEERS[OTHER_AT]) == [(None,)]
            at.clock.turn(seconds=61)
            await until(lambda: at.sql(seen, PEERS[CITY_AT])[0][0] > first_us)
            [(second_us,)] = at.sql(seen, PEERS[CITY_AT])
            assert second_us - first_us >= 61 * US_PER_S
            writer.close()

    asyncio.run(run())


def test_who_came_and_went_between_two_looks_was_seen(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A county that uploads for a moment a day is neither missed nor taken for one that never used its new key."""

    look = Origins.by_register
    # Each look comes when nobody stands.
    monkeypatch.setattr(Origins, "by_register", lambda origins, _: look(origins, []))

    async def run() -> None:
        async with tunnels(cluster, database_settings, monkeypatch) as (at, _):
            seen = "SELECT last_seen_us, first_seen_us FROM gateway.tunnel WHERE peer = %s"
            for papers, place in ((at.good(OTHER), OTHER_AT), (at.good(), CITY_AT)):
                _, writer = await _open(at, papers, place)
                writer.close()
                await until(lambda place=place: at.sql(seen, PEERS[place])[0][0] is not None)
                [(last_us, first_us)] = at.sql(seen, PEERS[place])
                assert last_us == first_us

    asyncio.run(run())
