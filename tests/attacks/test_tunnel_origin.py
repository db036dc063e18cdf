"""identity.md section 7, attacks 58-61 and 66-69: where a connection came from, as VPN and kernel tell it.

A WireGuard device that answers as told stands behind the loopback device, to which the front is really bound.
Addresses of 127.66/16 are the tunnel's: CITY's peer owns 127.66.1/24, OTHER's 127.66.2/24.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway import log
from gateway.clock import US_PER_S
from gateway.config.settings import (
    OriginSettings,
    ProxySettings,
    Settings,
    StaticTunnel,
    WireguardSettings,
)
from tests.front.stage import CITY, CITY_AT, HELLO, OTHER, Stage, stage
from tests.vpn import fakes
from tests.vpn.fakes import KEYS, PRIVATE, Vpn, listening, uapi, uapi_peer
from tests.vpn.test_proxyproto import TLVS, header

CITY_KEY, OTHER_KEY, STRANGE_KEY = KEYS[:3]
CITY_FROM, OTHER_FROM = "127.66.1.2", "127.66.2.2"
TUNNELS = ((CITY_KEY, "127.66.1.0/24"), (OTHER_KEY, "127.66.2.0/24"))


@pytest.fixture(autouse=True)
def json_log(capsys):
    """What the process logs is read as its file would be: it holds no secret of the VPN's."""
    import sys

    log.configure("front", sys.stderr)
    yield
    said = capsys.readouterr().err
    assert PRIVATE not in said
    assert "PRIVATE KEY" not in said


@dataclass
class Province:
    """A front behind a fake WireGuard."""

    at: Stage
    vpn: Vpn
    papers: Any

    def shaken(self, *peers: tuple[str, str], ago_s: float = 1) -> None:
        """Let the device tell these peers, who shook hands so long ago."""
        at_s = self.at.clock.now_us() // US_PER_S - round(ago_s)
        said = uapi(*(uapi_peer(key, network, handshake_s=at_s) for key, network in peers))
        self.vpn.says = lambda: said
        self.at.clock.turn(seconds=1.1)  # beyond what an answer is good for

    async def refused(self, reason: str, source: str = CITY_FROM, papers: Any = None) -> dict:
        """Try to come in; there is one leaf with this reason."""
        before = len(self.at.leaves())
        assert not await self.at.served(papers or self.papers, source=source)
        leaf = await self.at.leaf(before + 1)
        assert (leaf["reason"], leaf["decision"]) == (reason, "deny")
        return leaf

    async def good(self) -> None:
        """The next good call works, and leaves no leaf of a refusal."""
        before = len(self.at.leaves())
        self.shaken(*TUNNELS)
        assert await self.at.served(self.papers, source=CITY_FROM)
        assert len(self.at.leaves()) == before


@contextlib.asynccontextmanager
async def province(cluster: Any, settings: Settings) -> AsyncIterator[Province]:
    """Two registered tunnels."""
    async with listening(fakes.serve_uapi) as vpn:
        origin = OriginSettings(
            "wireguard",
            allow_weak_origin=True,  # loopback is no tunnel
            device="lo",
            wireguard=WireguardSettings(str(vpn.path)),
        )
        async with stage(cluster, settings, origin=origin) as at:
            for key, owner in ((CITY_KEY, CITY), (OTHER_KEY, OTHER)):
                at.sql(
                    "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)"
                    " VALUES ('wireguard', %s, %s, '{127.66.0.0/16}', 1, 1)",
                    key,
                    owner.organisation,
                )
            made = Province(at, vpn, at.good())
            made.shaken(*TUNNELS)
            yield made


@pytest.fixture
def attack(cluster: Any, database_settings: Settings) -> Callable:
    """Run a story in the province; at its end an honest call works."""

    def run(story: Callable) -> None:
        async def told() -> None:
            async with province(cluster, database_settings) as here:
                await here.good()
                await story(here)
                await here.good()

        asyncio.run(told())

    return run


def test_58_outside_the_tunnel(attack: Callable) -> None:
    """The right certificate from an address that no peer owns is nobody's."""

    async def story(here: Province) -> None:
        leaf = await here.refused("ORIGIN_NOT_TUNNEL", "127.0.0.1")
        assert leaf["kind"] == "connection.refused"
        assert "organisation" not in leaf

    attack(story)


def test_59_the_tunnels_address_by_another_interface(
    attack: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel names the interface: a peer's address that came in by another one proves nothing."""

    async def story(here: Province) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("gateway.vpn.ingress._name", lambda index: "eth0")
            await here.refused("ORIGIN_NOT_TUNNEL")

    attack(story)


def test_59_the_front_listens_on_its_device_alone(attack: Callable) -> None:
    async def story(here: Province) -> None:
        for one in here.at.front._listening:
            bound = one.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
            assert bound.rstrip(b"\0") == b"lo"

    attack(story)


def test_60_the_tunnels_address_with_the_tunnel_down(attack: Callable) -> None:
    """No handshake, or one that is too old: only the address is left, which anybody may claim."""

    async def story(here: Province) -> None:
        here.shaken(*TUNNELS, ago_s=200)
        await here.refused("ORIGIN_STALE")
        said = uapi(uapi_peer(CITY_KEY, "127.66.1.0/24"))
        here.vpn.says = lambda: said
        here.at.clock.turn(seconds=1.1)
        await here.refused("ORIGIN_STALE")

    attack(story)


def test_61_a_peer_with_another_peers_address(attack: Callable) -> None:
    """The address is its owner's whoever sends from it: the other's certificate does not fit it."""

    async def story(here: Province) -> None:
        other = here.at.good(OTHER)
        assert await here.at.served(other, source=OTHER_FROM)
        leaf = await here.refused("ORIGIN_MISMATCH", CITY_FROM, other)
        assert (leaf["tunnel"], leaf["ingress"], leaf["organisation"]) == (
            CITY_KEY,
            "lo",
            OTHER.organisation,
        )

    attack(story)


def test_66_two_peers_claim_an_address(attack: Callable) -> None:
    async def story(here: Province) -> None:
        here.shaken(*TUNNELS, (STRANGE_KEY, "127.66.1.0/24"))
        await here.refused("ORIGIN_AMBIGUOUS")
        # A longer prefix is not the same claim: it is the stranger's, who is not registered.
        here.shaken(*TUNNELS, (STRANGE_KEY, "127.66.1.2/32"))
        await here.refused("ORIGIN_UNREGISTERED")

    attack(story)


@pytest.mark.parametrize(
    "garbage", [b"errno=1\n\n", b"\0" * 100 + b"\n\n", b"private_key=" + PRIVATE.encode() + b"\n\n"]
)
def test_69_the_vpn_talks_nonsense(attack: Callable, garbage: bytes) -> None:
    async def story(here: Province) -> None:
        here.vpn.says = lambda: garbage
        here.at.clock.turn(seconds=1.1)
        await here.refused("ORIGIN_AWAY")

    attack(story)


def test_69_the_vpn_is_gone_or_says_nothing(attack: Callable) -> None:
    async def story(here: Province) -> None:
        here.vpn.mute = True
        here.at.clock.turn(seconds=1.1)
        await here.refused("ORIGIN_AWAY")
        here.vpn.mute = False
        aside = here.vpn.path.rename(here.vpn.path.with_suffix(".aside"))
        await here.refused("ORIGIN_AWAY")
        aside.rename(here.vpn.path)

    attack(story)


async def _proxied(at: Stage, said: bytes, papers: Any) -> bool:
    """Say something, then shake hands; whether that led to the door."""
    reader, writer = await asyncio.open_connection(CITY_AT, at.settings.ports.intake)
    try:
        writer.write(said)
        await writer.drain()
        await writer.start_tls(at.context(papers))
        writer.write(HELLO)
        return await reader.readexactly(len(HELLO)) == HELLO
    except (OSError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()


HEADERS = {
    "none": b"",
    "cut": header(tlvs=TLVS)[:-1],
    "local": header(command=0x20),
    "unspec": header(family=0),
    "v1": b"PROXY TCP4 10.8.0.9 10.0.0.1 40000 8443\r\n",
    "long": header(tlvs=b"\x04\x02\x55" + b"\0" * 597),
    "nobody": header("10.9.0.9"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_68_a_proxy_that_tells_of_nobody(
    cluster: Any, database_settings: Settings, name: str
) -> None:
    """Without a whole PROXY v2 header that names a tunnel's address nobody is let in; with TLVs it counts."""
    _proxy_story(cluster, database_settings, "127.0.0.0/8", HEADERS[name])


def test_68_a_header_from_whom_nobody_listed(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings, origin=_behind("10.0.0.0/8")) as at:
            assert not await _proxied(at, header(), at.good())
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"]) == ("connection.refused", "ORIGIN_NOT_TUNNEL")
            # The header was not read, far less believed.
            assert leaf["peer"].startswith("127.0.0.1:")

    asyncio.run(run())


def _behind(sources: str) -> OriginSettings:
    tunnels = (StaticTunnel(CITY.organisation, source="10.8.0.0/24"),)
    return OriginSettings("proxy-v2", True, tunnels, proxy=ProxySettings((sources,)))


def _proxy_story(cluster: Any, settings: Settings, sources: str, said: bytes) -> None:
    async def run() -> None:
        async with stage(cluster, settings, origin=_behind(sources)) as at:
            papers = at.good()
            assert not await _proxied(at, said, papers)
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"]) == ("connection.refused", "ORIGIN_NOT_TUNNEL")
            assert await _proxied(at, header(tlvs=TLVS), papers)
            assert len(at.leaves()) == 1
            assert not at.front._admission.places._shaking

    asyncio.run(run())
