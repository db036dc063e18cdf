"""The provider is the settings'; one that asks a VPN must know its device."""

import pytest

from gateway.clock import SYSTEM
from gateway.config import policies
from gateway.config.settings import OriginSettings
from gateway.config.strict import SettingsError
from gateway.vpn.ingress import Way
from gateway.vpn.providers import provider

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")


def made(name, way, *, allow=True):
    return provider(OriginSettings(name, allow), way, RULES, SYSTEM)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("static", Way("", "weak")),
        ("proxy-v2", Way("", "weak")),
        ("wireguard", Way("wg0", "proven")),
        ("wireguard", Way("lo", "weak")),
        ("strongswan", Way("ipsec0", "proven")),
    ],
)
def test_each_is_as_sure_as_its_way_in(name, way):
    found = made(name, way)
    assert (found.kind, found.strength) == (name, way.strength)


@pytest.mark.parametrize("name", ["static", "proxy-v2"])
def test_an_address_is_weak_also_behind_a_tunnel_and_must_be_allowed(name):
    assert made(name, Way("wg0", "proven")).strength == "weak"
    with pytest.raises(SettingsError, match="allow_weak_origin"):
        made(name, Way("wg0", "proven"), allow=False)


@pytest.mark.parametrize("name", ["wireguard", "strongswan"])
def test_without_a_device_no_vpn_is_asked(name):
    with pytest.raises(SettingsError, match="name of its device"):
        made(name, Way("", "weak"))


def test_an_unknown_provider_does_not_start():
    with pytest.raises(SettingsError, match="hearsay"):
        made("hearsay", Way("wg0", "proven"))
