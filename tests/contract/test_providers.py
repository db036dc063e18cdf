"""One suite for every provider that asks a VPN: what it answers, refuses, and when nobody can be asked.

Fakes and the real wireguard-go (as root: `make e2e-vpn`) are held to the same; what only a fake can be made to say,
nonsense above all, is asked of the fakes alone.
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
from tests.e2e.vpn import machines
from tests.vpn import fakes
from tests.vpn.fakes import KEYS, Vpn, listed, listening, sa, uapi, uapi_peer

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")
NOW_S = 1_790_000_000
DEVICE = "tun7"


@dataclass(frozen=True)
class Kind:
    """A provider's name, two peers of its VPN, how that is put up and told of its peers."""

    name: str
    peers: tuple[str, str]
    settings: Callable
    up: Callable


class Fake:
    """A VPN that says what it is told to, with a handshake a second ago."""

    handshake_us = (NOW_S - 1) * US_PER_S
    endpoint = "192.0.2.1:"

    def __init__(self, vpn: Vpn, answer: Callable) -> None:
        self.vpn, self._answer, self.path = vpn, answer, vpn.path

    def tell(self, *peers: tuple[str, str]) -> None:
        said = self._answer(*peers)
        self.vpn.says = lambda: said

    def gone(self) -> None:
        self.path.unlink()


def _fake(serve: Callable, answer: Callable) -> Callable:
    @contextlib.asynccontextmanager
    async def up(_: Kind) -> AsyncIterator[Fake]:
        async with listening(serve) as vpn:
            yield Fake(vpn, answer)

    return up


class Real:
    """wireguard-go on a machine of its own; its first peer is another device there, and shakes hands."""

    endpoint = "127.0.0.1:"

    def __init__(self, machine: machines.Machine) -> None:
        self._machine = machine
        # Seen from here, where the machine's /run is another.
        self.path = Path(f"/proc/{machine.first}/root/run/wireguard/{DEVICE}.sock")
        machine.sh(
            f"umask 077; for one in {DEVICE} peer; do wireguard-go $one; wg genkey > /run/$one;"
            f" wg set $one private-key /run/$one; ip link set $one up; done;"
            f" wg set {DEVICE} listen-port 51820"
        )
        self.key = machine.run("wg", "show", "peer", "public-key").stdout.strip()
        ours = machine.run("wg", "show", DEVICE, "public-key").stdout.strip()
        machine.sh(f"wg set peer peer {ours} endpoint 127.0.0.1:51820 persistent-keepalive 1")

    def tell(self, *peers: tuple[str, str]) -> None:
        for key, network in peers:
            self._machine.run("wg", "set", DEVICE, "peer", key, "allowed-ips", network)
        if self.key in dict(peers):
            machines.until(lambda: self.handshake_us, "a handshake")

    @property
    def handshake_us(self) -> int:
        said = self._machine.run("wg", "show", DEVICE, "latest-handshakes").stdout
        told = dict(line.split("\t") for line in said.splitlines())
        return int(told[self.key]) * US_PER_S

    def gone(self) -> None:
        # Whereupon wireguard-go ends.
        self.path.unlink()


@contextlib.asynccontextmanager
async def _wireguard_go(_: Kind) -> AsyncIterator[Real]:
    machines.require("wireguard-go", "wg")
    with machines.machine() as made:
        yield Real(made)


def _wireguard(*peers: tuple[str, str]) -> bytes:
    return uapi(*(uapi_peer(name, net, handshake_s=NOW_S - 1) for name, net in peers))


def _strongswan(*peers: tuple[str, str]) -> bytes:
    return listed(*(sa(name, net, established="1") for name, net in peers))


def _by_socket(path: Path) -> dict[str, WireguardSettings]:
    return {"wireguard": WireguardSettings(str(path))}


FAKES = [
    Kind("wireguard", (KEYS[0], KEYS[1]), _by_socket, _fake(fakes.serve_uapi, _wireguard)),
    Kind(
        "strongswan",
        ("C=CN, O=One, CN=a", "C=CN, O=Two, CN=b"),
        lambda path: {"strongswan": StrongswanSettings(str(path))},
        _fake(fakes.serve_vici, _strongswan),
    ),
]
REAL = pytest.param(
    Kind("wireguard", ("", KEYS[1]), _by_socket, _wireguard_go),
    id="wireguard-go",
    marks=pytest.mark.needs_netns,
)


@contextlib.asynccontextmanager
async def asked(kind):
    """A provider, its VPN, the two peers, and the clock."""
    async with kind.up(kind) as vpn:
        settings = OriginSettings(kind.name, device=DEVICE, **kind.settings(vpn.path))
        clock = TurnedClock(NOW_S * US_PER_S)
        tunnels = provider(settings, Way(DEVICE, "proven"), RULES, clock)

        async def whois(address, interface=DEVICE):
            try:
                return await tunnels.whois(address, "10.66.0.1", interface)
            except Refusal as refusal:
                return refusal.reason

        first, second = kind.peers
        yield whois, vpn, (first or vpn.key, second), clock


@pytest.fixture(params=[*(pytest.param(one, id=one.name) for one in FAKES), REAL])
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
            # To the second, as `wg` prints it.
            assert found.handshake_us // US_PER_S * US_PER_S == vpn.handshake_us
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
            # WireGuard takes an address from one peer when it is given to another.
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
