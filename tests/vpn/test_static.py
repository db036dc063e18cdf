import asyncio

import pytest

from gateway.audit.event import Event
from gateway.config.settings import OriginSettings, StaticTunnel
from gateway.config.strict import SettingsError
from gateway.errors import Reason, Refusal
from gateway.vpn.static import StaticTunnels, named_tunnels


def tunnels(*static, allow=True):
    return StaticTunnels(OriginSettings("static", allow, static))


def whois(provider, address, listener="127.0.0.1"):
    return asyncio.run(provider.whois(address, listener, None))


def nobody(provider, address, listener="127.0.0.1"):
    with pytest.raises(Refusal) as refusal:
        whois(provider, address, listener)
    assert refusal.value.reason is Reason.ORIGIN_NOT_TUNNEL


def test_refused_unless_the_settings_allow_it():
    with pytest.raises(SettingsError, match="allow_weak_origin"):
        tunnels(allow=False)


def test_by_listening_address():
    provider = tunnels(
        StaticTunnel("140100", listen="127.0.0.11"), StaticTunnel("140200", listen="127.0.0.12")
    )
    found = whois(provider, "127.0.0.1", "127.0.0.12")
    assert (found.organisation, found.strength, found.kind, found.ingress) == (
        "140200",
        "weak",
        "static",
        "127.0.0.12",
    )
    nobody(provider, "127.0.0.1", "127.0.0.13")
    nobody(provider, "127.0.0.11", "127.0.0.1")


def test_by_source_network():
    provider = tunnels(
        StaticTunnel("140100", source="10.8.0.0/24"), StaticTunnel("140200", source="fd00::/64")
    )
    assert whois(provider, "10.8.0.255").organisation == "140100"
    assert whois(provider, "fd00::7").organisation == "140200"
    nobody(provider, "10.8.1.0")
    nobody(provider, "fd00:0:0:1::7")


def test_an_address_in_another_writing_is_the_same_address():
    """67: an IPv4 peer that is shown as v4-mapped IPv6."""
    provider = tunnels(
        StaticTunnel("140100", source="10.8.0.0/24"), StaticTunnel("140200", listen="127.0.0.12")
    )
    assert whois(provider, "::ffff:10.8.0.9").organisation == "140100"
    assert whois(provider, "::ffff:127.0.0.1", "::ffff:127.0.0.12").organisation == "140200"


def test_listener_and_source_must_agree():
    provider = tunnels(
        StaticTunnel("140100", source="10.8.0.0/24"), StaticTunnel("140200", listen="127.0.0.12")
    )
    nobody(provider, "10.8.0.9", "127.0.0.12")
    same = tunnels(
        StaticTunnel("140100", source="10.8.0.0/24"), StaticTunnel("140100", listen="127.0.0.12")
    )
    assert whois(same, "10.8.0.9", "127.0.0.12").organisation == "140100"


@pytest.mark.parametrize(
    "static",
    [
        (StaticTunnel("140100", listen="127.0.0.11"), StaticTunnel("140200", listen="127.0.0.11")),
        (
            StaticTunnel("140100", source="10.8.0.0/16"),
            StaticTunnel("140200", source="10.8.3.0/24"),
        ),
    ],
)
def test_one_tunnel_has_one_owner(static):
    with pytest.raises(SettingsError):
        tunnels(*static)


def test_what_it_tells_fits_the_log():
    provider = tunnels(
        StaticTunnel("140100", source="fd00::/64"), StaticTunnel("140200", listen="127.0.0.12")
    )
    for found in (whois(provider, "fd00::1"), whois(provider, "127.0.0.1", "127.0.0.12")):
        event = Event(
            kind="tls.refused", tunnel=found.peer, ingress=found.ingress, strength=found.strength
        )
        assert event.to_leaf(1)


def test_the_table_names_each_tunnel_as_leaves_do():
    provider = tunnels(
        StaticTunnel("140100", source="fd00::/64"), StaticTunnel("140200", listen="127.0.0.12")
    )
    assert provider.peers() == {"source/fd00::/64": "140100", "listen/127.0.0.12": "140200"}
    for address, listener in (("fd00::1", "127.0.0.11"), ("127.0.0.1", "127.0.0.12")):
        found = whois(provider, address, listener)
        assert provider.peers()[found.peer] == found.organisation


def test_tunnels_of_the_settings_count_where_these_may_name_them():
    listed = (StaticTunnel("140100", listen="127.0.0.2"),)
    named = named_tunnels(OriginSettings("static", True, listed))
    assert named == {"listen/127.0.0.2": "140100"}
    assert named_tunnels(OriginSettings("static", False, listed)) == {}
