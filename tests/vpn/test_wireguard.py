"""What `wg` prints, read strictly; and which of socket and tool is asked, and when it counts as away."""

import asyncio
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SYSTEM
from gateway.config import policies
from gateway.config.settings import OriginSettings, WireguardSettings
from gateway.errors import Reason, Refusal
from gateway.vpn import wireguard
from gateway.vpn.ingress import Way
from gateway.vpn.table import MalformedAnswerError
from gateway.vpn.wireguard import WireguardTunnels, parse_dump
from tests.vpn.fakes import KEYS, dump

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")
GOOD = dump((KEYS[0], "10.66.1.2/32,fd66::2/128", 17), (KEYS[1], "(none)", 0))


def test_an_answer_of_the_tool():
    first, second = parse_dump(GOOD)
    assert (first.name, list(map(str, first.networks))) == (
        KEYS[0],
        ["10.66.1.2/32", "fd66::2/128"],
    )
    assert (first.handshake_us, first.endpoint) == (17_000_000, "192.0.2.1:51820")
    assert (second.networks, second.handshake_us) == ((), None)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"a\tb\tc\td\te\n",
        dump((KEYS[0], "10.0.0.1", 1))[:-2],
        dump((KEYS[0], "here", 1)),
        dump(("AAAA", "10.0.0.1/32", 1)),
        dump(("*" * 44, "10.0.0.1/32", 1)),
        # The same 32 bytes, spelt otherwise.
        dump(("A" * 42 + "B=", "10.0.0.1/32", 1)),
        dump((KEYS[0], "10.0.0.1/32", 1), (KEYS[0], "10.0.0.2/32", 1)),
        dump((KEYS[0], "10.0.0.1/32", -1)),
        b"\xff\n",
    ],
)
def test_nonsense_of_the_tool_is_no_answer(said):
    with pytest.raises(MalformedAnswerError):
        parse_dump(said)


@given(st.binary(max_size=300), st.integers(0, len(GOOD)), st.integers(0, 40))
def test_whatever_comes_is_peers_or_no_answer(noise, at, cut):
    for said in (noise, GOOD[:at] + noise + GOOD[at + cut :]):
        try:
            names = [peer.name for peer in parse_dump(said)]
        except MalformedAnswerError:
            continue
        assert len(set(names)) == len(names)


def _tool(folder, body):
    path = folder / "wg"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return str(path)


def _asked(tool, monkeypatch, folder):
    monkeypatch.setattr(wireguard, "SOCKETS", str(folder))
    settings = OriginSettings("wireguard", wireguard=WireguardSettings(tool=tool))
    tunnels = WireguardTunnels(settings, Way("wg0", "proven"), RULES, SYSTEM)
    return asyncio.run(tunnels.whois("10.66.1.2", "10.66.0.1", "wg0"))


def test_without_a_socket_the_tool_is_asked(tmp_path, monkeypatch):
    (tmp_path / "said").write_bytes(dump((KEYS[0], "10.66.1.2/32", 17)))
    tool = _tool(tmp_path, f'[ "$*" = "show wg0 dump" ] && exec /bin/cat {tmp_path}/said')
    found = _asked(tool, monkeypatch, tmp_path)
    assert (found.peer, found.strength, found.ingress) == (KEYS[0], "proven", "wg0")


@pytest.mark.parametrize(
    "body", ["exit 1", "exec /bin/sleep 30", "exec /bin/cat /dev/zero", "echo x"]
)
def test_a_tool_that_fails_hangs_or_floods_is_away(body, tmp_path, monkeypatch):
    with pytest.raises(Refusal) as refusal:
        _asked(_tool(tmp_path, f"echo $$ > {tmp_path}/pid\n{body}"), monkeypatch, tmp_path)
    assert refusal.value.reason is Reason.ORIGIN_AWAY
    # Nothing is left of it.
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_tool_that_is_not_there_is_away_and_a_named_socket_is_all_there_is(tmp_path, monkeypatch):
    with pytest.raises(Refusal) as refusal:
        _asked(str(tmp_path / "none"), monkeypatch, tmp_path)
    assert refusal.value.reason is Reason.ORIGIN_AWAY
    (tmp_path / "said").write_bytes(dump((KEYS[0], "10.66.1.2/32", 17)))
    tool = _tool(tmp_path, f"exec /bin/cat {tmp_path}/said")
    settings = OriginSettings("wireguard", wireguard=WireguardSettings(str(tmp_path / "s"), tool))
    tunnels = WireguardTunnels(settings, Way("wg0", "proven"), replace(RULES), SYSTEM)
    with pytest.raises(Refusal) as refusal:
        asyncio.run(tunnels.whois("10.66.1.2", "10.66.0.1", "wg0"))
    assert refusal.value.reason is Reason.ORIGIN_AWAY
