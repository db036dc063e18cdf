"""An invitation to a tunnel: the peer is registered, its configuration printed once, the private key kept nowhere."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.cli.tunnel_invite import KEEPALIVE_S, Line, configuration, pair

KEY = base64.b64encode(b"k" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()
ASKED = (
    *("tunnel", "invite", "140105", "--address", "10.14.1.5/32", "--gateway", "10.14.0.1"),
    *("--endpoint", "vpn.example:51820", "--server-key", OTHER_KEY),
)


def lines(text):
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)


def test_the_countys_own_key_is_registered_and_no_private_key_is_shown(small, told):
    answer = told(*ASKED, "--public-key", KEY)
    assert small.tunnels[KEY].organisation_code == "140105"
    said = lines(answer["configuration"])
    assert "PrivateKey" not in said
    assert said["PublicKey"] == OTHER_KEY
    assert said["AllowedIPs"] == "10.14.0.1/32"
    assert said["Endpoint"] == "vpn.example:51820"
    assert lines(answer["gateway_peer"]) == {"PublicKey": KEY, "AllowedIPs": "10.14.1.5/32"}


def test_a_pair_is_made_and_its_public_half_registered(small, told):
    answer = told(*ASKED)
    private = base64.b64decode(lines(answer["configuration"])["PrivateKey"])
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    assert list(small.tunnels) == [base64.b64encode(public).decode()]


def test_it_is_shown_to_people_as_a_file(said):
    text = said(*ASKED)
    assert text.count("PrivateKey = ") == 1
    assert f"PersistentKeepalive = {KEEPALIVE_S}" in text
    assert "0600" in text


def test_a_refused_invitation_shows_no_key(told, said):
    told(*ASKED, "--public-key", KEY)
    text = said(*ASKED, "--public-key", KEY, status=1)
    assert "ALREADY_EXISTS" in text
    assert "[Interface]" not in text


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--endpoint", "vpn.example", "ENDPOINT_INVALID"),
        ("--endpoint", "vpn.example:1\nPostUp = sh", "ENDPOINT_INVALID"),
        ("--server-key", KEY[:-2], "KEY_INVALID"),
        ("--public-key", "x" * 44, "KEY_INVALID"),
        ("--gateway", "gateway.example", "ADDRESS_INVALID"),
    ],
)
def test_what_could_not_stand_in_a_configuration_is_wrong_usage(told, small, option, value, code):
    assert told(*ASKED, option, value, status=2)["refused"] == code
    assert small.tunnels == {}


def test_a_secret_key_is_written_only_where_it_is_asked_for():
    private, public = pair()
    assert private.value not in repr(private)
    assert public != private.value
    line = Line(("10.14.1.5/32", "fd14::5/128"), "[2001:db8::1]:51820", OTHER_KEY, "10.14.0.1/32")
    assert "Address = 10.14.1.5/32, fd14::5/128" in configuration(line, private)
