"""What can be wrong before a token is reached; with a real token it is tests/e2e/test_hsm.py."""

import sys

import pytest

from gateway.clock import SYSTEM
from gateway.config.strict import SettingsError
from gateway.pki import authorities, ceremony, crl, hsm
from tests.pki.ground import founded_home

URI = "pkcs11:token=gateway;object=issuing"


@pytest.fixture
def home():
    with founded_home() as found:
        found.settings.write_text('[authority]\npkcs11_module = "/nowhere.so"\n')
        (found.authority / hsm.PIN_FILE).write_text("1234\n")
        yield found


def test_an_address_is_two_labels(home):
    place = hsm.Place.of(home, "pkcs11:object=a%20key;token=gateway%3B1;type=private")
    assert (place.token, place.label, place.module) == ("gateway;1", "a key", "/nowhere.so")


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:",
        "pkcs11:token=gateway",
        "pkcs11:token=gateway;object=",
        URI + ";module-path=/tmp/evil.so",
        URI + ";pin-value=1234",
    ],
)
def test_nothing_else_may_stand_in_it(home, uri):
    """A key file must name neither code nor a PIN."""
    with pytest.raises(SettingsError, match="must be pkcs11:token=LABEL;object=LABEL"):
        hsm.Place.of(home, uri)


def test_a_key_file_that_points_to_a_token_needs_the_settings_and_the_library(home, monkeypatch):
    """Not before it signs: while a token is away the gateway starts."""
    (home.authority / authorities.FIRST_KEY).write_text(URI + "\n")
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    authority = ceremony.client_authority(home)
    assert authority.key.public_key() == authority.certificate.public_key()
    with pytest.raises(SettingsError, match="pip install"):
        crl.build(authority, [], 1, SYSTEM.now_us())
    home.settings.write_text("")
    with pytest.raises(SettingsError, match=r"authority\.pkcs11_module"):
        ceremony.client_authority(home)


def test_a_file_that_waits_is_held_against_the_token_before_it_is_installed(home, monkeypatch):
    other = ceremony.load(home.offline, "server-authority").key
    monkeypatch.setattr(hsm, "key", lambda *_: other)
    certificate = ceremony.client_authority(home).certificate
    assert authorities.fitting(URI.encode(), certificate, home) is None
