"""An issuing key that is made, used and followed in a PKCS #11 token: Debian's SoftHSM (`make e2e-hsm`)."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM, TurnedClock
from gateway.config.settings import Settings
from gateway.config.strict import SettingsError
from gateway.front.context import Files, terms
from gateway.pki import authorities, ceremony, crl, der, hsm, issue, offline, rollover
from gateway.pki.verify import serial_text
from tests.pki.forge import CITY, DOMAIN
from tests.pki.ground import founded_home

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
MODULE = next((path for path in MODULES if Path(path).exists()), "")
PIN = "482913"
URI = "pkcs11:token=gateway;object=issuing"

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: make e2e-hsm")
pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(
        not MODULE or shutil.which("softhsm2-util") is None,
        reason="SoftHSM is not installed: apt-get install softhsm2",
    ),
]


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """Make a token in a folder of its own."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    file = folder / "softhsm.conf"
    file.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(file)
    made = ("--init-token", "--free", "--label", "gateway", "--so-pin", "83920175", "--pin", PIN)
    subprocess.run(["softhsm2-util", *made], check=True, capture_output=True)
    yield folder
    del os.environ["SOFTHSM2_CONF"]


@pytest.fixture
def home(token):
    with founded_home() as found:
        found.settings.write_text(f'[authority]\npkcs11_module = "{MODULE}"\n')
        (found.authority / hsm.PIN_FILE).touch(mode=0o600)
        (found.authority / hsm.PIN_FILE).write_text(PIN + "\n")
        yield found
        with hsm._session(hsm.Place.of(found, URI), rw=True) as (_, session):
            for one in list(session.get_objects()):
                one.destroy()


def followed(home):
    """Let an authority whose key is in the token follow the one of `init`."""
    now_us = SYSTEM.now_us()
    request = rollover.request(home, "client-authority", URI).public_bytes(Encoding.PEM)
    asked = offline.read(request, "client-authority")
    content = offline.sign(asked, ceremony.load(home.offline, "root"), now_us)
    rollover.put(home, rollover.judge(home, content, DOMAIN, now_us), now_us)
    return authorities.load(home)


def leaf(authority):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return issue.client_certificate(authority, CITY, key, SYSTEM.now_us())


def judged(home, *certificates):
    """Show certificates to the front's verifier; return the defect of each."""
    clock = TurnedClock(SYSTEM.now_us())
    front = terms(Files.read(home), home, Settings(trust_domain=DOMAIN), clock, lambda *_: True)
    return [front.verifier.judge([one.public_bytes(Encoding.DER)]).defect for one in certificates]


def test_a_certificate_and_a_list_are_signed_inside(home):
    first = ceremony.client_authority(home)
    anchors = followed(home)
    authority = authorities.issuing(anchors)
    assert isinstance(authority.key, hsm.TokenKey)
    good, revoked, before = leaf(authority), leaf(authority), leaf(first)
    entry = crl.Revoked(serial_text(revoked.serial_number), SYSTEM.now_us(), "key-compromise")
    lists = [
        crl.build(one.authority, entries, 3, SYSTEM.now_us())
        for one, entries in zip(anchors, ([entry], []), strict=True)
    ]
    crl.write(home.crl, *lists)
    good.verify_directly_issued_by(authority.certificate)
    assert lists[0].is_signature_valid(authority.certificate.public_key())
    assert judged(home, good, revoked, before) == [None, "CERT_REVOKED", None]


def test_no_file_holds_the_key_and_the_token_does_not_give_it(home, token):
    [new, _] = followed(home)
    content = authorities.key_file(home, new.certificate.public_key()).read_text()
    assert content == URI + "\n"
    place = hsm.Place.of(home, URI)
    with hsm._session(place) as (library, session):
        private = session.get_key(library.ObjectClass.PRIVATE_KEY, label=place.label)
        assert private[library.Attribute.SENSITIVE]
        assert not private[library.Attribute.EXTRACTABLE]
        with pytest.raises(library.exceptions.PKCS11Error):
            _ = private[library.Attribute.VALUE]
    for refused in (new.key.private_bytes, new.key.private_numbers):
        with pytest.raises(UnsupportedAlgorithm):
            refused()


def test_a_second_key_of_the_label_is_not_made(home):
    followed(home)
    with pytest.raises(SettingsError, match="this label already"):
        rollover.request(home, "client-authority", URI)
    assert len(authorities.load(home)) == 2


def test_a_wrong_pin_or_a_token_that_is_away_signs_nothing_and_comes_back(home):
    [new, _] = followed(home)
    pin = home.authority / hsm.PIN_FILE
    pin.write_text("000000")
    with pytest.raises(SettingsError, match="PinIncorrect") as told:
        leaf(new.authority)
    assert "000000" not in str(told.value)
    pin.write_text(PIN)
    leaf(new.authority)
    content = authorities.key_file(home, new.certificate.public_key())
    content.write_text("pkcs11:token=elsewhere;object=issuing\n")
    with pytest.raises(SettingsError, match="NoSuchToken"):
        leaf(ceremony.client_authority(home))


def test_another_key_under_the_label_signs_nothing(home):
    [new, _] = followed(home)
    place = hsm.Place.of(home, URI)
    with hsm._session(place, rw=True) as (_, session):
        for one in list(session.get_objects()):
            one.destroy()
    hsm.generate(home, URI)
    for sign in (lambda: leaf(new.authority), lambda: crl.build(new.authority, [], 9, 1)):
        with pytest.raises(SettingsError, match="another key"):
            sign()


def test_threads_sign_at_once(home):
    [new, _] = followed(home)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: leaf(new.authority), range(16)))
    for one in made:
        one.verify_directly_issued_by(new.certificate)
    assert len({one.serial_number for one in made}) == 16
    assert der.certificate(made[0].public_bytes(Encoding.DER)) == made[0]
