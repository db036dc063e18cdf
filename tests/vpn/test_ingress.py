"""The interface from the kernel, on sockets of this machine; and which machine may start."""

import asyncio
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings import OriginSettings
from gateway.config.strict import SettingsError
from gateway.errors import Reason, Refusal
from gateway.vpn import ingress
from gateway.vpn.ingress import Way, index_of, judge

LO, WG, ETHER = 772, 65534, 1


def accepted(family, host, way):
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        ingress.bind(listening, way)
        listening.bind((host, 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()[:2]):
            return listening.accept()[0]


@pytest.mark.parametrize("way", [Way("", "weak"), Way("lo", "weak")])
def test_the_kernel_names_the_interface_of_each_connection(way):
    with accepted(socket.AF_INET, "127.0.0.1", way) as sock:
        assert ingress.interface(sock) == "lo"


def test_ipv6_is_known_by_the_binding_alone():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with accepted(socket.AF_INET6, "::1", Way("lo", "weak")) as sock:
            assert ingress.interface(sock) == "lo"
        with accepted(socket.AF_INET6, "::1", Way("", "weak")) as sock:
            assert ingress.interface(sock) is None
    except OSError:
        pytest.skip("no IPv6 here")


def test_without_either_the_kernel_says_nothing():
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as sock,
    ):
        assert ingress.interface(sock) is None


def test_two_answers_that_differ_prove_nothing(monkeypatch):
    with accepted(socket.AF_INET, "127.0.0.1", Way("lo", "weak")) as sock:
        monkeypatch.setattr(ingress, "_name", lambda index: "eth9")
        with pytest.raises(Refusal) as refusal:
            ingress.interface(sock)
        assert refusal.value.reason is Reason.ORIGIN_NOT_TUNNEL


def test_a_device_that_is_gone_is_no_tunnel():
    with pytest.raises(Refusal) as refusal:
        ingress._name(2**30)
    assert refusal.value.reason is Reason.ORIGIN_NOT_TUNNEL


def test_a_listener_that_cannot_be_bound_does_not_start():
    with (
        socket.socket() as listening,
        pytest.raises(SettingsError, match="cannot listen on nosuchdev"),
    ):
        ingress.bind(listening, Way("nosuchdev", "proven"))


def test_the_machines_own_devices():
    found = ingress.devices()
    assert found["lo"] == LO
    assert set(found) == {name for _, name in socket.if_nameindex()}


@pytest.mark.parametrize(
    ("named", "types", "way"),
    [
        ("wg0", {"lo": LO, "wg0": WG, "eth0": ETHER}, Way("wg0", "proven")),
        ("", {"lo": LO, "wg0": WG}, Way("wg0", "proven")),
    ],
)
def test_a_tunnel_is_proven(named, types, way):
    for allow in (True, False):
        assert judge(named, types, allow_weak=allow) == way


@pytest.mark.parametrize(
    ("named", "types"),
    [
        ("eth0", {"lo": LO, "eth0": ETHER}),
        ("lo", {"lo": LO, "wg0": WG}),
        ("", {"lo": LO}),
        ("", {"lo": LO, "wg0": WG, "eth0": ETHER}),
        ("", {"lo": LO, "wg0": WG, "wg1": WG}),
        ("", {"lo": LO, "eth0": ETHER}),
    ],
)
def test_what_falls_short_does_not_start_unless_it_may_be_weak(named, types):
    with pytest.raises(SettingsError, match="allow_weak_origin"):
        judge(named, types, allow_weak=False)
    assert judge(named, types, allow_weak=True) == Way(named, "weak")


def test_a_device_that_is_not_there_never_starts():
    with pytest.raises(SettingsError, match="no device wg0"):
        judge("wg0", {"lo": LO}, allow_weak=True)


def test_what_the_settings_of_this_machine_come_to():
    assert ingress.require(OriginSettings("static", allow_weak_origin=True)) == Way("", "weak")
    assert ingress.require(OriginSettings("wireguard", True, device="lo")) == Way("lo", "weak")
    with pytest.raises(SettingsError, match="lo is no tunnel device"):
        ingress.require(OriginSettings("wireguard", device="lo"))


@pytest.mark.parametrize("later", [0, 7])
def test_a_device_that_is_made_anew_ends_the_watch(later, monkeypatch):
    """Bound to the old one the front would hear nothing: it ends, and its next start binds anew."""
    monkeypatch.setattr(ingress, "LOOK_S", 0.01)

    async def run():
        for way in (Way("lo", "weak"), Way("", "weak")):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await ingress.stays(way)
        watch = asyncio.create_task(ingress.stays(Way("lo", "weak")))
        await asyncio.sleep(0.05)
        assert not watch.done()
        monkeypatch.setattr(ingress, "_index", lambda name: later)
        with pytest.raises(SettingsError, match="lo is gone, or was made anew"):
            async with asyncio.timeout(5):
                await watch

    asyncio.run(run())
    monkeypatch.undo()
    assert ingress._index("nosuchdev") == 0


PKTINFO = struct.pack("@NiiiII", 28, 0, 8, 7, 1, 1)


def test_control_messages():
    other = struct.pack("@NiiI4x", 20, 0, 2, 64)
    assert index_of(PKTINFO) == index_of(other + PKTINFO) == 7
    assert index_of(b"") is None
    assert index_of(other) is None
    assert index_of(PKTINFO[:-1]) is None
    assert index_of(struct.pack("@Nii4x", 0, 0, 8) + PKTINFO) is None
    assert index_of(struct.pack("@Niii", 20, 0, 8, 7)) is None


@given(st.binary(max_size=64))
def test_any_control_message_ends(controls):
    found = index_of(controls)
    assert found is None or isinstance(found, int)
