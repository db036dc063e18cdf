"""The front's window onto the VPN: it shows peers, no key, and takes no order."""

import asyncio
import base64
import contextlib
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import US_PER_S, TurnedClock
from gateway.config import policies, users
from gateway.config.home import Home
from gateway.config.settings import OriginSettings, StrongswanSettings, WireguardSettings
from gateway.errors import Reason, Refusal
from gateway.vpn import vici, window, wireguard
from gateway.vpn.ingress import Way
from gateway.vpn.providers import provider
from gateway.vpn.table import MalformedAnswerError
from gateway.vpn.uapi import Answers
from gateway.vpn.wireguard import parse_dump
from tests.vpn import fakes
from tests.vpn.fakes import KEYS, PRIVATE, dump, listed, listening, sa, uapi, uapi_peer

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")
DEVICE = "tun7"
ORIGIN = OriginSettings("wireguard", device=DEVICE)
PRESHARED = "7b" * 32
SAID = uapi(uapi_peer(KEYS[0], "10.66.1.2/32", "fd66::2/128", handshake_s=17)).replace(
    b"preshared_key=" + b"00" * 32, f"preshared_key={PRESHARED}".encode()
)


@pytest.fixture
def folder():
    # Short, because socket paths are.
    with tempfile.TemporaryDirectory(prefix="window-") as made:
        yield Path(made)


@pytest.fixture
def home(folder):
    made = Home(folder)
    made.run("front").mkdir(parents=True)
    return made


@contextlib.asynccontextmanager
async def opened(home, monkeypatch, device, origin=ORIGIN):
    """A window onto a device whose socket lies in `device`'s folder."""
    monkeypatch.setattr(wireguard, "SOCKETS", str(device))
    monkeypatch.setattr(users, "separate", lambda: False)
    kept = asyncio.create_task(window.keep(home, origin))
    try:
        async with asyncio.timeout(20):
            while not kept.done() and not home.tunnels_socket.exists():  # noqa: ASYNC110
                await asyncio.sleep(0)
        yield
    finally:
        kept.cancel()
        await asyncio.gather(kept, return_exceptions=True)


async def asked(home, question=b"get=1\n\n"):
    reader, writer = await asyncio.open_unix_connection(str(home.tunnels_socket))
    try:
        writer.write(question)
        return await reader.read()
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def device(folder):
    async with listening(fakes.serve_uapi) as vpn:
        vpn.says = lambda: SAID
        (folder / f"{DEVICE}.sock").symlink_to(vpn.path)
        yield vpn


def test_the_front_is_told_the_peers_and_no_key(home, folder, monkeypatch):
    async def run():
        async with device(folder), opened(home, monkeypatch, folder):
            told = await asked(home)
            assert PRIVATE.encode() not in told
            assert PRESHARED.encode() not in told
            assert Answers().read(told) == Answers().read(SAID)
            assert not stat.S_IMODE(home.tunnels_socket.stat().st_mode) & 0o007

    asyncio.run(run())


@pytest.mark.parametrize(
    "order", [b"set=1\nreplace_peers=true\n\n", b"get=1\nx", b"get=2\n\n", b"\xff" * 64]
)
def test_nobody_gives_orders_through_it(home, folder, monkeypatch, order):
    async def run():
        async with device(folder) as vpn, opened(home, monkeypatch, folder):
            assert await asked(home, order) == b""
            assert vpn.asked == 0
            assert await asked(home) != b""

    asyncio.run(run())


def test_the_provider_asks_through_it_and_a_device_that_is_gone_is_away(home, folder, monkeypatch):
    async def run():
        monkeypatch.setattr(window, "users_separate", lambda _: True)
        clock = TurnedClock(20 * US_PER_S)
        tunnels = provider(window.through(home, ORIGIN), Way(DEVICE, "proven"), RULES, clock)
        tool = replace(ORIGIN, wireguard=WireguardSettings(tool="/nonexistent/wg"))
        async with opened(home, monkeypatch, folder, tool), device(folder):
            found = await tunnels.whois("10.66.1.2", "10.66.0.1", DEVICE)
            assert (found.peer, found.handshake_us) == (KEYS[0], 17 * US_PER_S)
            (folder / f"{DEVICE}.sock").unlink()
            clock.turn(seconds=RULES.cache_s + 0.1)
            with pytest.raises(Refusal) as refused:
                await tunnels.whois("10.66.1.2", "10.66.0.1", DEVICE)
            assert refused.value.reason is Reason.ORIGIN_AWAY

    asyncio.run(run())


def test_the_kernels_wireguard_is_told_in_the_same_words(home, folder, monkeypatch):
    async def run():
        said = dump((KEYS[0], "10.66.1.2/32,fd66::2/128", 17), (KEYS[1], "(none)", 0))
        (folder / "said").write_bytes(said)
        tool = folder / "wg"
        tool.write_text(f"#!/bin/sh\nexec /bin/cat {folder}/said\n")
        tool.chmod(0o755)
        origin = replace(ORIGIN, wireguard=WireguardSettings(tool=str(tool)))
        async with opened(home, monkeypatch, folder, origin):
            told = await asked(home)
        assert Answers().read(told) == parse_dump(said)
        assert base64.b64decode(KEYS[4]).hex().encode() not in told

    asyncio.run(run())


def test_charon_tells_who_is_there_and_takes_no_order_through_it(home, folder, monkeypatch):
    async def run():
        async with listening(fakes.serve_vici) as vpn:
            vpn.says = lambda: listed(sa("c@one", "10.66.1.5/32"), sa("c@two", "10.66.1.6/32"))
            origin = OriginSettings(
                "strongswan", device=DEVICE, strongswan=StrongswanSettings(str(vpn.path))
            )
            terminate = vici.packet(vici.REQUEST, "terminate")
            async with opened(home, monkeypatch, folder, origin):
                asked_ = await vici.list_sas(str(home.tunnels_socket))
                assert asked_ == await vici.list_sas(str(vpn.path))
                for order in (terminate, vici.LIST + b"x", b"\xff" * 64):
                    assert await asked(home, order) == b""
                confirmed = vici.packet(vici.CONFIRM)
                assert await asked(home, vici.WATCH + terminate.ljust(40)) == confirmed
                assert vpn.asked == 2
                vpn.path.unlink()
                with pytest.raises(MalformedAnswerError):
                    await vici.list_sas(str(home.tunnels_socket))

    asyncio.run(run())


def test_who_looks_through_it(home, monkeypatch):
    monkeypatch.setattr(window, "users_separate", lambda _: True)
    assert window.through(home, ORIGIN).wireguard.socket == str(home.tunnels_socket)
    named = replace(ORIGIN, wireguard=WireguardSettings("/run/own.sock"))
    # A socket that the settings name is the front's to open; charon's never is.
    assert window.through(home, named) == named
    assert not window.needed(home, OriginSettings("static"))
    charon = OriginSettings("strongswan", device=DEVICE, strongswan=StrongswanSettings("/run/own"))
    assert window.through(home, charon).strongswan.socket == str(home.tunnels_socket)
    monkeypatch.setattr(window, "users_separate", lambda _: False)
    assert window.through(home, ORIGIN) == ORIGIN
