"""What charon lists: identities, their networks, and when each was last proven alive.

charon.json holds answers of a real charon (5.9.8, kernel-libipsec), as `vici.list_sas` read them,
without the fields that nobody reads: 140105 and 140106 stand, then the gateway negotiates anew while
the county does not answer.
"""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.clock import US_PER_S, TurnedClock
from gateway.config import policies
from gateway.config.settings import OriginSettings, StrongswanSettings
from gateway.errors import Reason, Refusal
from gateway.vpn.ingress import Way
from gateway.vpn.providers import provider
from gateway.vpn.strongswan import peers
from gateway.vpn.table import MalformedAnswerError
from tests.vpn.fakes import listed, listening, sa, serve_vici

NOW_US = 1_790_000_000 * US_PER_S
RECORDED = json.loads((Path(__file__).parent / "charon.json").read_text())
COUNTY, OTHER = "county@140105.example", "county@140106.example"
IDENTITY = "C=CN, O=Taiyuan CDC, CN=c_ec"


def age_s(found):
    return (NOW_US - found.handshake_us) // US_PER_S


def recorded(name):
    """Networks, age and endpoint by identity, as a real charon told them."""
    return {
        one.name: (" ".join(map(str, one.networks)), age_s(one), one.endpoint)
        for one in peers(RECORDED[name], NOW_US)
    }


def test_a_real_charon_tells_whose_tunnels_stand():
    assert recorded("standing") == {
        COUNTY: ("10.66.1.5/32", 1, "10.99.0.2:4500"),
        OTHER: ("10.66.1.6/32", 3, "10.99.0.3:4500"),
    }


@pytest.mark.parametrize("name", ["child rekeying", "child rekeyed", "ike rekeying"])
def test_what_is_being_made_anew_carries_on(name):
    networks, _, endpoint = recorded(name)[COUNTY]
    assert (networks, endpoint) == ("10.66.1.5/32", "10.99.0.2:4500")


def test_one_that_was_told_to_end_owns_nothing_though_it_waits_for_an_answer():
    assert set(recorded("told to end")) == {OTHER}


def test_a_second_host_with_the_same_key_moves_nobody_while_it_has_no_network():
    assert recorded("two of one") == {COUNTY: ("10.66.1.5/32", 2, "10.99.0.2:4500")}


@pytest.mark.parametrize("key", ["remote-eap-id", "remote-xauth-id"])
def test_the_identity_that_was_proven_counts_not_the_one_that_was_claimed(key):
    one = sa(IDENTITY, "10.66.1.10/32")
    one["ike"][key] = "another"
    [found] = peers([one], NOW_US)
    assert found.name == "another"


def test_an_identity_and_its_networks():
    [found] = peers([sa(IDENTITY, "10.66.1.10/32", "fd66::a/128[tcp/443]")], NOW_US)
    assert (found.name, found.endpoint) == (IDENTITY, "192.0.2.1:4500")
    assert list(map(str, found.networks)) == ["10.66.1.10/32", "fd66::a/128"]
    assert age_s(found) == 5


def test_the_last_packet_through_it_proves_that_it_is_alive():
    [found] = peers([sa(IDENTITY, "10.66.1.10/32", established="9000", use_in="2")], NOW_US)
    assert age_s(found) == 2
    [found] = peers([sa(IDENTITY, "10.66.1.10/32", established="9000")], NOW_US)
    assert age_s(found) == 9000


def test_one_that_does_not_stand_owns_nothing():
    assert peers([sa(IDENTITY, "10.66.1.10/32", state="CONNECTING")], NOW_US) == []
    for state in ("REKEYED", "DELETED", "ROUTED"):
        one = sa(IDENTITY, "10.66.1.10/32")
        one["ike"]["child-sas"]["net-1"]["state"] = state
        assert peers([one], NOW_US) == []


def test_while_it_is_made_anew_the_younger_proof_counts():
    old, new = sa(IDENTITY, "10.66.1.10/32", established="9000"), sa(IDENTITY, "10.66.1.10/32")
    for order in ([old, new], [new, old]):
        [found] = peers(order, NOW_US)
        assert age_s(found) == 5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("remote-id", None),
        ("remote-id", ""),
        ("remote-id", []),
        ("remote-host", {}),
        ("established", "-1"),
        ("established", "9" * 30),
        ("established", "１"),
        ("child-sas", "none"),
    ],
)
def test_an_sa_that_lacks_what_it_must_say_is_no_answer(key, value):
    one = sa(IDENTITY, "10.66.1.10/32")
    one["ike"] = {name: said for name, said in one["ike"].items() if name != key}
    if value is not None:
        one["ike"][key] = value
    with pytest.raises(MalformedAnswerError):
        peers([one], NOW_US)


@pytest.mark.parametrize("networks", ["10.66.1.10", ["here"], ["10.66.1.10/24"]])
def test_networks_that_are_none_are_no_answer(networks):
    one = sa(IDENTITY, "10.66.1.10/32")
    one["ike"]["child-sas"]["net-1"]["remote-ts"] = networks
    with pytest.raises(MalformedAnswerError):
        peers([one], NOW_US)
    with pytest.raises(MalformedAnswerError):
        peers([{"ike": "x"}], NOW_US)


def test_what_was_told_before_refuses_nobody_who_is_proven_now():
    """A county that was silent for a night comes in at once, though the front asked a moment ago."""
    rules = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")

    async def run():
        async with listening(serve_vici) as vpn:
            settings = OriginSettings(
                "strongswan", device="ipsec0", strongswan=StrongswanSettings(str(vpn.path))
            )
            tunnels = provider(settings, Way("ipsec0", "proven"), rules, TurnedClock(NOW_US))

            async def seen_s(address):
                return age_s(await tunnels.whois(address, "10.66.0.1", "ipsec0"))

            silent = sa(COUNTY, "10.66.1.5/32", established="9000")
            vpn.says = lambda: listed(silent)
            assert await seen_s("10.66.1.5") == 9000
            with pytest.raises(Refusal) as refused:
                await seen_s("10.66.1.6")
            assert refused.value.reason is Reason.ORIGIN_NOT_TUNNEL
            awake = sa(COUNTY, "10.66.1.5/32", established="9000", use_in="0")
            vpn.says = lambda: listed(awake, sa(OTHER, "10.66.1.6/32", established="0"))
            assert await seen_s("10.66.1.5") == 0
            asked = vpn.asked
            assert await seen_s("10.66.1.6") == await seen_s("10.66.1.5") == 0
            assert vpn.asked == asked

    asyncio.run(run())
