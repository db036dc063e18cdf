"""A key's successor in one command: registered as such, its configuration printed once, the old one left at work."""

from gateway.v1 import admin_service_pb2 as v1
from tests.cli.test_tunnel import add
from tests.cli.test_tunnel_invite import KEY, OTHER_KEY, lines

NEXT_KEY = "bmV4dG5leHRuZXh0bmV4dG5leHRuZXh0bmV4dG5leHQ="
SERVER = ("--endpoint", "vpn.example:51820", "--server-key", OTHER_KEY)
WHERE = ("--gateway", "10.14.0.1")


def asked(*words, peer=KEY):
    return ("tunnel", "rotate", "140105", peer, *SERVER, *WHERE, *words)


def test_the_successor_has_addresses_of_its_own_and_the_old_one_goes_on(small, told, said):
    add(told, KEY)
    answer = told(*asked("--public-key", NEXT_KEY, "--address", "10.14.1.6/32"))
    made = small.tunnels[NEXT_KEY]
    assert (made.followed_peer, list(made.addresses)) == (KEY, ["10.14.1.6/32"])
    assert small.tunnels[KEY].state == v1.Tunnel.STATE_ACTIVE
    assert (answer["replaces"], answer["addresses_move"]) == (KEY, False)
    assert "PrivateKey" not in answer["configuration"]
    assert lines(answer["gateway_peer"]) == {"PublicKey": NEXT_KEY, "AllowedIPs": "10.14.1.6/32"}


def test_without_addresses_it_takes_the_old_ones_and_says_that_they_move(small, told, said):
    add(told, KEY)
    text = said(*asked())
    [new] = [one for one in small.tunnels.values() if one.followed_peer]
    assert list(new.addresses) == ["10.14.1.5/32"]
    assert text.count("PrivateKey = ") == 1
    assert f"{KEY} loses them" in text
    text = said(*asked("--address", "10.14.1.7/32"))
    assert f"{KEY} goes on working" in text
    assert "自动退役" in said(*asked("--address", "10.14.1.8/32"), lang="zh")


def test_only_an_active_wireguard_key_of_the_organisation_is_replaced(small, told):
    assert told(*asked(), status=1)["refused"] == "NOT_FOUND"
    add(told, KEY, organisation="140106")
    assert told(*asked(), status=1)["refused"] == "NOT_FOUND"
    small.tunnels[KEY].organisation_code = "140105"
    small.tunnels[KEY].state = v1.Tunnel.STATE_REMOVED
    assert told(*asked(), status=1)["refused"] == "NOT_FOUND"
    small.tunnels[KEY].state = v1.Tunnel.STATE_ACTIVE
    small.tunnels[KEY].kind = v1.Tunnel.KIND_STRONGSWAN
    assert told(*asked(), status=2)["refused"] == "KIND_UNKNOWN"
    assert list(small.tunnels) == [KEY]


def test_what_could_not_stand_in_a_configuration_registers_nothing(small, told):
    add(told, KEY)
    words = asked("--public-key", "x" * 44)
    assert told(*words, status=2)["refused"] == "KEY_INVALID"
    assert list(small.tunnels) == [KEY]
