"""The origin in use, broken one thing at a time, is found by its name; both languages say what to do."""

import asyncio
import shutil
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from gateway.cli import origin_prerequisites
from gateway.cli.origin_prerequisites import of_origin
from gateway.config.home import LISTENERS, Home
from gateway.config.settings import load
from gateway.messages import texts
from gateway.vpn import ingress
from tests.vpn import fakes
from tests.vpn.fakes import KEYS, uapi, uapi_peer

TUNNEL, ETHERNET = 65534, 1


@pytest.fixture
def home(founded: Home, tmp_path) -> Home:
    """A copy that a test may change; its database stays behind."""
    copy = Home(tmp_path / "home")
    shutil.copytree(founded.root, copy.root, ignore=shutil.ignore_patterns("database", "run"))
    return copy


@pytest.fixture
def devices(monkeypatch):
    """What this namespace holds."""
    held = {"lo": ingress.LOOPBACK, "wg0": TUNNEL}
    monkeypatch.setattr(ingress, "devices", lambda: held)
    return held


@contextmanager
def answering(*peers):
    """A WireGuard device's socket with these peers, served from a thread."""
    loop, ready, done = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    paths = []

    async def serve():
        async with fakes.listening(fakes.serve_uapi) as vpn:
            vpn.says = lambda: uapi(
                *(uapi_peer(key, f"10.66.{n}.0/24") for n, key in enumerate(peers))
            )
            paths.append(str(vpn.path))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(20)
        yield paths[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(20)
        loop.close()


def wireguard(home, path, device="wg0"):
    """Write settings that ask this socket."""
    text = home.settings.read_text()
    head = text[: text.index("[origin")] if "[origin" in text else text
    home.settings.write_text(
        f'{head}\n[origin]\nprovider = "wireguard"\ndevice = "{device}"\n'
        f'[origin.wireguard]\nsocket = "{path}"\n'
    )


def found(home):
    return {one.check: one for one in of_origin(home)}


def states(home):
    return {check: one.state for check, one in found(home).items()}


def test_weak_origin_is_said_loudly_and_refused_where_it_is_not_allowed(home):
    assert states(home) == {"origin": "note"}
    for lang, word in (("en", "!! ORIGIN IS WEAK"), ("zh", "！！来源为弱")):
        assert texts.text("doctor.origin-note", lang).startswith(word)
    text = home.settings.read_text()
    home.settings.write_text(text.replace("allow_weak_origin = true", "allow_weak_origin = false"))
    assert states(home) == {"origin": "bad"}
    home.settings.write_text("unknown = 1")
    assert states(home) == {}


def test_a_tunnel_whose_vpn_answers(home, devices):
    with answering(KEYS[0]) as path:
        wireguard(home, path)
        assert states(home) == {
            "origin": "good",
            "origin-device": "good",
            "origin-others": "good",
            "origin-vpn": "good",
            # Its database is not running.
            "origin-register": "note",
        }
        assert found(home)["origin-vpn"].about["count"] == 1


def test_a_device_that_is_gone_or_is_no_tunnel(home, devices):
    wireguard(home, "/nowhere")
    del devices["wg0"]
    assert states(home) == {"origin": "good", "origin-device": "bad"}
    devices["wg0"] = ETHERNET
    assert states(home)["origin-device"] == "bad"
    assert "no tunnel" in str(found(home)["origin-device"].about["why"])
    text = home.settings.read_text()
    home.settings.write_text(text.replace("[origin]\n", "[origin]\nallow_weak_origin = true\n"))
    assert (states(home)["origin"], states(home)["origin-device"]) == ("note", "note")


def test_a_vpn_that_does_not_answer(home, devices):
    wireguard(home, "/nowhere/s")
    assert states(home)["origin-vpn"] == "bad"


def test_what_else_the_namespace_holds_is_named(home, devices):
    wireguard(home, "/nowhere/s")
    devices["eth0"] = ETHERNET
    one = found(home)["origin-others"]
    assert (one.state, one.about["others"]) == ("note", "eth0")


def test_a_listener_that_is_not_bound_is_named(home, devices, monkeypatch):
    wireguard(home, "/nowhere/s")
    ports = {load(home.settings).ports.of(door) for door in LISTENERS}
    bound = {port: {7} for port in ports}
    monkeypatch.setattr(origin_prerequisites.state, "is_served", lambda _: True)
    monkeypatch.setattr(socket, "if_nametoindex", lambda _: 7)
    monkeypatch.setattr(origin_prerequisites.listening, "devices", lambda _: bound)
    assert states(home)["origin-bound"] == "good"
    astray = min(ports)
    for others in ({0}, {7, 0}, {8}):
        bound[astray] = others
        one = found(home)["origin-bound"]
        assert (one.state, one.about["ports"]) == ("bad", str(astray))
    del bound[astray]
    assert states(home)["origin-bound"] == "bad"

    def silent(_):
        raise PermissionError("no")

    monkeypatch.setattr(origin_prerequisites.listening, "devices", silent)
    assert states(home)["origin-bound"] == "note"


def test_who_is_not_registered_and_who_is_not_in_the_vpn_are_counted(
    home, devices, conninfo, monkeypatch
):
    owner = conninfo("owner")
    monkeypatch.setattr(origin_prerequisites.roles, "conninfo", lambda *_: owner)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO gateway.organisation (code, name, kind, created_us) VALUES ('140100', 'x', 2, 1)"
        )
        for key, state in ((KEYS[0], 1), (KEYS[1], 1), (KEYS[2], 2)):
            connection.execute(
                "INSERT INTO gateway.tunnel"
                " (kind, peer, organisation, addresses, state, created_us, changed_us)"
                " VALUES ('wireguard', %s, '140100', '{10.66.1.0/24}', %s, 1, 1)",
                (key, state),
            )
    with answering(KEYS[0], KEYS[1]) as path:
        wireguard(home, path)
        told = states(home)
        assert (told["origin-strangers"], told["origin-absent"]) == ("good", "good")
    # One that is locked counts as nobody's.
    with answering(KEYS[0], KEYS[2], KEYS[3]) as path:
        wireguard(home, path)
        one = found(home)["origin-strangers"]
        assert (one.state, one.about["strangers"]) == ("note", 2)
        one = found(home)["origin-absent"]
        assert (one.state, one.about["absent"]) == ("note", 1)


def test_a_packet_filter_that_is_named_must_stand(home, devices, tmp_path):
    wireguard(home, "/nowhere/s")
    assert "origin-wall" not in states(home)
    nft = tmp_path / "nft"
    said = Path(__file__).parents[1] / "vpn" / "wall.json"
    for body, state in ((f"exec /bin/cat {said}", "good"), ("exit 1", "bad")):
        nft.write_text(f"#!/bin/sh\n{body}\n")
        nft.chmod(0o700)
        wireguard(home, "/nowhere/s")
        wall = f'[origin.wall]\ntable = "inet gateway_wall"\ntool = "{nft}"\n'
        home.settings.write_text(home.settings.read_text() + wall)
        one = found(home)["origin-wall"]
        assert (one.state, one.about["table"]) == (state, "inet gateway_wall")
    assert one.about["cause"] == "unreadable"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_is_wrong_is_said_with_what_to_do(lang):
    about = {"why": "x", "others": "x", "device": "wg0", "ports": "1", "provider": "wireguard"}
    about |= {"strangers": 2, "absent": 1, "table": "inet x", "cause": "gone"}
    for check, command in {
        "origin-device-bad": "ip netns exec",
        "origin-others-note": "nftables",
        "origin-bound-bad": "gateway serve",
        "origin-wall-bad": "nft -f",
        "origin-vpn-bad": "docs/operations.md",
        "origin-strangers-note": "gateway tunnel add",
        "origin-absent-note": "gateway tunnel remove",
    }.items():
        assert command in texts.text(f"doctor.{check}", lang, **about)
