import shutil
from dataclasses import replace

import pytest

from gateway.config.policies import shipped
from gateway.config.strict import SettingsError
from gateway.pki import profile

KINDS = ("root", "client-authority", "server-authority", "client", "server")


@pytest.mark.parametrize("kind", KINDS)
def test_every_profile_loads(kind):
    assert profile.load(kind).title == kind.replace("-", " ")


def test_an_external_client_is_a_client_that_lives_longer_and_says_more():
    """Whatever else were different would let in what ours may not be."""
    ours, external = profile.load("client"), profile.load("external-client")
    same = {"days": 0, "days_max": 0, "title": "", "signatures": (), "further_extensions": ()}
    assert replace(ours, **same) == replace(external, **same)
    assert set(ours.signatures) < set(external.signatures)
    assert ours.further_extensions == ()


def test_the_client_profile_is_the_closed_one():
    """identity.md section 4.2."""
    client = profile.load("client")
    assert client.extended_key_usage == ("1.3.6.1.5.5.7.3.2",)
    assert client.key_usage == ("digital_signature",)
    assert (client.names, client.authority, client.days) == ("spiffe", False, 14)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("days = 14", "days = 100"),
        ('names = "spiffe"', 'names = "any"'),
        ('"RSA"]', '"DSA"]'),
        ("days = 14", "dayz = 14"),
        ("authority = false", 'authority = "no"'),
    ],
)
def test_a_wrong_profile_is_not_loaded(tmp_path, old, new):
    folder = tmp_path / "certs"
    shutil.copytree(shipped("certs"), folder)
    text = (folder / "client.toml").read_text()
    assert old in text
    (folder / "client.toml").write_text(text.replace(old, new))
    with pytest.raises(SettingsError, match=r"client\.toml"):
        profile.load("client", folder)
