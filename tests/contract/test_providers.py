"""One suite for every provider that asks a VPN: what it answers, refuses, and when nobody can be asked.

Fakes, the real wireguard-go and a real charon (both as root: `make e2e-vpn`) are held to the same; what only a fake can
be made to say, nonsense above all, is asked of the fakes alone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.clock import US_PER_S, TurnedClock
from gateway.config import policies
from gateway.config.settings import OriginSettings, StrongswanSettings, WireguardSettings
from gateway.errors import Reason, Refusal
from gateway.vpn.ingress import Way
from gateway.vpn.providers import provider
from tests.contract import real
from tests.vpn import fakes
from tests.vpn.fakes import KEYS, Vpn, listed, listening, sa, uapi, uapi_peer

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")
NOW_S = 1_790_000_000
DEVICE = real.DEVICE


@dataclass(frozen=True)
class Kind:
    """A provider's name, where it is told that its VPN answers, and how that is put up."""

    name: str
    settings: Callable
    up: Callable


class Fake:
    """A VPN that says what it is told to, with a handshake a second ago."""

    endpoint = "192.0.2.1:"

    def __init__(self, vpn: Vpn, peers: tuple[str, str], answer: Callable) -> None:
        self.vpn, self.peers, self._answer, self.path = vpn, peers, answer, vpn.path

    def tell(self, *peers: tuple[str, str]) -> None:
        said = self._answer(*peers)
        self.vpn.says = lambda: said

    def shook(self, handshake_us: int) -> bool:
        return handshake_us == (NOW_S - 1) * US_PER_S

    def gone(self) -> None:
        self.path.unlink()


def _fake(serve: Callable, peers: tuple[str, str], answer: Callable) -> Callable:
    @contextlib.asynccontextmanager
    async def up(_now_s: int) -> AsyncIterator[Fake]:
        async with listening(serve) as vpn:
            yield Fake(vpn, peers, answer)

    return up


def _wireguard(*peers: tuple[str, str]) -> bytes:
    return uapi(*(uapi_peer(name, net, handshake_s=NOW_S - 1) for name, net in peers))


def _strongswan(*peers: tuple[str, str]) -> bytes:
    return listed(*(sa(name, net, established="1") for name, net in peers))


def _by_socket(path: Path) -> dict[str, WireguardSettings]:
    return {"wireguard": WireguardSettings(str(path))}


def _by_vici(path: Path) -> dict[str, StrongswanSettings]:
    return {"strongswan": StrongswanSettings(str(path))}


IDENTITIES = ("C=CN, O=One, CN=a", "C=CN, O=Two, CN=b")
FAKES = [
    Kind("wireguard", _by_socket, _fake(fakes.serve_uapi, (KEYS[0], KEYS[1]), _wireguard)),
    Kind("strongswan", _by_vici, _fake(fakes.serve_vici, IDENTITIES, _strongswan)),
]
REAL = {
    "wireguard-go": Kind("wireguard", _by_socket, real.wireguard_go),
    "charon": Kind("strongswan", _by_vici, real.real_charon),
}


@contextlib.asynccontextmanager
async def asked(kind):
    """A provider, its VPN, the two peers, and the clock."""
    async with kind.up(NOW_S) as vpn:
        settings = OriginSettings(kind.name, device=DEVICE, **kind.settings(vpn.path))
        clock = TurnedClock(NOW_S * US_PER_S)
        tunnels = provider(settings, Way(DEVICE, "proven"), RULES, clock)

        async def whois(address, interface=DEVICE):
            try:
                return await tunnels.whois(address, "10.66.0.1", interface)
            except Refusal as refusal:
                return refusal.reason

        yield whois, vpn, vpn.peers, clock


@pytest.fixture(
    params=[
        *(pytest.param(one, id=one.name) for one in FAKES),
        *(pytest.param(one, id=id_, marks=pytest.mark.needs_netns) for id_, one in REAL.items()),
    ]
)
def kind(request):
    return request.param


@pytest.fixture(params=FAKES, ids=[one.name for one in FAKES])
def fake(request):
    return request.param


def test_the_owner_of_an_address(kind):
    async def run():
        async with asked(kind) as (whois, vpn, (first, second), _):
            vpn.tell((first, "10.66.0.0/16"), (second, "10.66.2.0/24"))
            found = await whois("10.66.1.2")
            assert (found.peer, found.kind, found.strength) == (first, kind.name, "proven")
            assert (found.ingress, found.organisation) == (DEVICE, "")
            assert vpn.shook(found.handshake_us)
            assert found.endpoint.startswith(vpn.endpoint)
            # The longest prefix; and 67: the same address in another writing.
            assert (await whois("10.66.2.9")).peer == second
            assert (await whois("::ffff:10.66.2.9")).peer == second

    asyncio.run(run())


def test_nobodys_address_and_another_interface(kind):
    async def run():
        async with asked(kind) as (whois, vpn, (first, _), _):
            vpn.tell((first, "10.66.1.0/24"))
            assert await whois("10.67.0.1") is Reason.ORIGIN_NOT_TUNNEL
            assert await whois("10.66.1.2", "eth0") is Reason.ORIGIN_NOT_TUNNEL
            assert await whois("10.66.1.2", None) is Reason.ORIGIN_NOT_TUNNEL
            assert await whois("10.66.1.2%25x") is Reason.ORIGIN_NOT_TUNNEL
            assert (await whois("10.66.1.2")).peer == first

    asyncio.run(run())


def test_a_peer_that_the_vpn_knows_no_more(kind):
    """What was told stays good for as long as the policy says, and no longer."""

    async def run():
        async with asked(kind) as (whois, vpn, (first, second), clock):
            vpn.tell((first, "10.66.1.2/32"))
            assert (await whois("10.66.1.2")).peer == first
            # The first has it no more: WireGuard takes it from him, charon's tunnel is ended.
            vpn.tell((second, "10.66.1.2/32"))
            assert (await whois("10.66.1.2")).peer == first
            clock.turn(seconds=RULES.cache_s + 0.1)
            assert (await whois("10.66.1.2")).peer == second

    asyncio.run(run())


def test_gone(kind):
    async def run():
        async with asked(kind) as (whois, vpn, (first, _), clock):
            vpn.tell((first, "10.66.1.2/32"))
            assert (await whois("10.66.1.2")).peer == first
            vpn.gone()
            assert (await whois("10.66.1.2")).peer == first
            clock.turn(seconds=RULES.cache_s + 0.1)
            assert await whois("10.66.1.2") is Reason.ORIGIN_AWAY

    asyncio.run(run())


def test_many_at_once(kind):
    async def run():
        async with asked(kind) as (whois, vpn, (first, _), _):
            vpn.tell((first, "10.66.0.0/16"))
            found = await asyncio.gather(*(whois(f"10.66.1.{host}") for host in range(100)))
            assert {one.peer for one in found} == {first}

    asyncio.run(run())


def test_many_at_once_ask_once(fake):
    async def run():
        async with asked(fake) as (whois, vpn, (first, _), _):
            vpn.tell((first, "10.66.0.0/16"))
            await asyncio.gather(*(whois(f"10.66.1.{host}") for host in range(100)))
            assert vpn.vpn.asked == 1

    asyncio.run(run())


def test_two_owners(fake):
    async def run():
        async with asked(fake) as (whois, vpn, (first, second), _):
            vpn.tell((first, "10.66.1.0/24"), (second, "10.66.1.0/24"))
            assert await whois("10.66.1.2") is Reason.ORIGIN_AMBIGUOUS

    asyncio.run(run())


@pytest.mark.parametrize(
    "garbage", [b"", b"\0" * 64, b"errno=1\n\n", b"\x00\x00\x00\x01\x02", b"\xff" * 64]
)
def test_garbage_is_nobodys_word_and_the_next_good_answer_counts(fake, garbage):
    async def run():
        async with asked(fake) as (whois, vpn, (first, _), _):
            vpn.vpn.says = lambda: garbage
            assert await whois("10.66.1.2") is Reason.ORIGIN_AWAY
            vpn.tell((first, "10.66.1.2/32"))
            assert (await whois("10.66.1.2")).peer == first

    asyncio.run(run())


def test_too_slow(fake):
    async def run():
        async with asked(fake) as (whois, vpn, (first, _), _):
            vpn.tell((first, "10.66.1.2/32"))
            vpn.vpn.mute = True
            async with asyncio.timeout(30):
                assert await whois("10.66.1.2") is Reason.ORIGIN_AWAY
            vpn.vpn.mute = False
            assert (await whois("10.66.1.2")).peer == first

    asyncio.run(run())
