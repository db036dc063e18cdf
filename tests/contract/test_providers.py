"""One suite for every provider that asks a VPN: what it answers, refuses, and when nobody can be asked."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from gateway.clock import US_PER_S, TurnedClock
from gateway.config import policies
from gateway.config.settings import OriginSettings, StrongswanSettings, WireguardSettings
from gateway.errors import Reason, Refusal
from gateway.vpn.ingress import Way
from gateway.vpn.providers import provider
from tests.vpn import fakes
from tests.vpn.fakes import KEYS, listed, listening, sa, uapi, uapi_peer

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")
NOW_S = 1_790_000_000
DEVICE = "tun7"


@dataclass(frozen=True)
class Kind:
    name: str
    peers: tuple[str, str]
    serve: object
    settings: object
    answer: object


def _wireguard(*peers, age_s=1):
    return uapi(*(uapi_peer(name, net, handshake_s=NOW_S - age_s) for name, net in peers))


def _strongswan(*peers, age_s=1):
    return listed(*(sa(name, net, established=str(age_s)) for name, net in peers))


KINDS = [
    Kind(
        "wireguard",
        (KEYS[0], KEYS[1]),
        fakes.serve_uapi,
        lambda path: {"wireguard": WireguardSettings(path)},
        _wireguard,
    ),
    Kind(
        "strongswan",
        ("C=CN, O=One, CN=a", "C=CN, O=Two, CN=b"),
        fakes.serve_vici,
        lambda path: {"strongswan": StrongswanSettings(path)},
        _strongswan,
    ),
]


@contextlib.asynccontextmanager
async def asked(kind, said=None):
    """A provider, and its VPN."""
    async with listening(kind.serve) as vpn:
        if said is not None:
            vpn.says = lambda: said
        settings = OriginSettings(kind.name, device=DEVICE, **kind.settings(str(vpn.path)))
        clock = TurnedClock(NOW_S * US_PER_S)
        tunnels = provider(settings, Way(DEVICE, "proven"), RULES, clock)

        async def whois(address, interface=DEVICE):
            try:
                return await tunnels.whois(address, "10.66.0.1", interface)
            except Refusal as refusal:
                return refusal.reason

        yield whois, vpn, clock


@pytest.fixture(params=KINDS, ids=[kind.name for kind in KINDS])
def kind(request):
    return request.param


def test_the_owner_of_an_address(kind):
    async def run():
        first, second = kind.peers
        said = kind.answer((first, "10.66.0.0/16"), (second, "10.66.2.0/24"))
        async with asked(kind, said) as (whois, _, _):
            found = await whois("10.66.1.2")
            assert (found.peer, found.kind, found.strength) == (first, kind.name, "proven")
            assert (found.ingress, found.organisation) == (DEVICE, "")
            assert found.handshake_us == (NOW_S - 1) * US_PER_S
            assert found.endpoint.startswith("192.0.2.1:")
            # The longest prefix; and 67: the same address in another writing.
            assert (await whois("10.66.2.9")).peer == second
            assert (await whois("::ffff:10.66.2.9")).peer == second

    asyncio.run(run())


def test_nobodys_address_another_interface_and_two_owners(kind):
    async def run():
        first, second = kind.peers
        said = kind.answer((first, "10.66.1.0/24"), (second, "10.66.1.0/24"))
        async with asked(kind, said) as (whois, _, _):
            assert await whois("10.67.0.1") is Reason.ORIGIN_NOT_TUNNEL
            assert await whois("10.66.1.2", "eth0") is Reason.ORIGIN_NOT_TUNNEL
            assert await whois("10.66.1.2", None) is Reason.ORIGIN_NOT_TUNNEL
            assert await whois("10.66.1.2%25x") is Reason.ORIGIN_NOT_TUNNEL
            assert await whois("10.66.1.2") is Reason.ORIGIN_AMBIGUOUS

    asyncio.run(run())


@pytest.mark.parametrize(
    "garbage", [b"", b"\0" * 64, b"errno=1\n\n", b"\x00\x00\x00\x01\x02", b"\xff" * 64]
)
def test_garbage_is_nobodys_word_and_the_next_good_answer_counts(kind, garbage):
    async def run():
        async with asked(kind, garbage) as (whois, vpn, _):
            assert await whois("10.66.1.2") is Reason.ORIGIN_AWAY
            vpn.says = lambda: kind.answer((kind.peers[0], "10.66.1.2/32"))
            assert (await whois("10.66.1.2")).peer == kind.peers[0]

    asyncio.run(run())


def test_gone_and_too_slow(kind):
    async def run():
        said = kind.answer((kind.peers[0], "10.66.1.2/32"))
        async with asked(kind, said) as (whois, vpn, clock):
            vpn.mute = True
            async with asyncio.timeout(5):
                assert await whois("10.66.1.2") is Reason.ORIGIN_AWAY
            vpn.mute = False
            assert (await whois("10.66.1.2")).peer == kind.peers[0]
            vpn.path.unlink()
            # What was told stays good for as long as the policy says, and no longer.
            assert (await whois("10.66.1.2")).peer == kind.peers[0]
            clock.turn(seconds=RULES.cache_s + 0.1)
            assert await whois("10.66.1.2") is Reason.ORIGIN_AWAY

    asyncio.run(run())


def test_many_at_once_ask_once(kind):
    async def run():
        async with asked(kind, kind.answer((kind.peers[0], "10.66.0.0/16"))) as (whois, vpn, _):
            found = await asyncio.gather(*(whois(f"10.66.1.{host}") for host in range(100)))
            assert {one.peer for one in found} == {kind.peers[0]}
            assert vpn.asked == 1

    asyncio.run(run())
