"""The provider is the settings'; one that asks a VPN must know its device."""

import asyncio

import pytest

from gateway.clock import SYSTEM
from gateway.config import policies
from gateway.config.settings import OriginSettings, StrongswanSettings, WireguardSettings
from gateway.config.strict import SettingsError
from gateway.errors import Reason, Refusal
from gateway.vpn.ingress import Way
from gateway.vpn.providers import provider, vpn
from tests.vpn import fakes
from tests.vpn.fakes import KEYS, listed, sa, uapi, uapi_peer

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


@pytest.mark.parametrize(
    ("kind", "serve", "settings", "said", "names"),
    [
        ("wireguard", fakes.serve_uapi, WireguardSettings, uapi(uapi_peer(KEYS[0])), {KEYS[0]}),
        (
            "strongswan",
            fakes.serve_vici,
            StrongswanSettings,
            listed(sa("a@b", "10.1.0.0/24")),
            {"a@b"},
        ),
    ],
)
def test_a_vpn_tells_who_its_peers_are(kind, serve, settings, said, names):
    async def run():
        async with fakes.listening(serve) as at:
            at.says = lambda: said
            found = OriginSettings(kind, **{kind: settings(str(at.path))})
            asked = vpn(found, Way("wg0", "proven"), RULES, SYSTEM)
            assert await asked.names() == names
        nobody = OriginSettings(kind, **{kind: settings("/nowhere/s")})
        with pytest.raises(Refusal) as refused:
            await vpn(nobody, Way("wg0", "proven"), RULES, SYSTEM).names()
        assert refused.value.reason is Reason.ORIGIN_AWAY

    asyncio.run(run())
