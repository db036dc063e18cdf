import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM
from gateway.config.strict import SettingsError
from gateway.pki import ceremony, der, keys, lint, offline, profile, rollover
from gateway.pki.issue import IssueError
from tests.pki.ground import empty_home, founded_home

DOMAIN = "gateway.invalid"


@pytest.fixture
def safe(tmp_path):
    """A folder with a root, as on a machine without network."""
    offline.make_root(tmp_path / "safe", DOMAIN, SYSTEM.now_us())
    return tmp_path / "safe"


def requested(kind):
    with empty_home() as home:
        return rollover.request(home, kind).public_bytes(Encoding.PEM)


def test_a_root_is_made_once_and_closed(safe):
    assert stat.S_IMODE((safe / "root.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(safe.stat().st_mode) == 0o700
    root = ceremony.load(safe, "root").certificate
    assert lint.faults(root, profile.load("root")) == []
    with pytest.raises(FileExistsError):
        offline.make_root(safe, DOMAIN, SYSTEM.now_us())
    assert ceremony.load(safe, "root").certificate == root


@pytest.mark.parametrize("kind", ["client-authority", "server-authority"])
def test_the_root_signs_an_authority_whose_name_holds_its_key(safe, kind):
    asked = offline.read(requested(kind), kind)
    root = ceremony.load(safe, "root")
    made = [
        der.certificates(offline.sign(one, root, SYSTEM.now_us()))[0]
        for one in (asked, offline.read(requested(kind), kind))
    ]
    assert lint.faults(made[0], profile.load(kind)) == []
    made[0].verify_directly_issued_by(root.certificate)
    digits = keys.spki_sha256(made[0].public_key()).hex()[:8]
    assert f"CN={kind.replace('-', ' ')} {digits} {DOMAIN}" == made[0].subject.rfc4514_string()
    assert made[0].subject != made[1].subject
    assert asked.fingerprint.replace(" ", "") == keys.spki_sha256(made[0].public_key()).hex()
    assert len(asked.fingerprint.split()) == 16


def test_the_server_authority_is_made_and_renewed_beside_the_root(safe):
    root = ceremony.load(safe, "root")
    first = offline.make_server_authority(safe, root, SYSTEM.now_us())
    asked = offline.read(requested("server"), "server", ["10.0.0.1", DOMAIN])
    chain = der.certificates(
        offline.sign(asked, ceremony.load(safe, "server-authority"), SYSTEM.now_us())
    )
    assert chain[1] == first
    assert lint.faults(chain[0], profile.load("server")) == []
    second = offline.make_server_authority(safe, root, SYSTEM.now_us())
    assert ceremony.load(safe, "server-authority").certificate == second != first
    second.verify_directly_issued_by(root.certificate)


def test_what_is_asked_must_go_with_its_kind(safe):
    with pytest.raises(SettingsError, match="hosts"):
        offline.read(requested("server"), "server")
    with pytest.raises(SettingsError, match="hosts"):
        offline.read(requested("client-authority"), "client-authority", [DOMAIN])
    with pytest.raises(SettingsError, match="csr-encoding"):
        offline.read(b"no request", "server-authority")
    forged = bytearray(requested("client-authority"))
    at = len(forged) // 2
    forged[at] = ord("A") if forged[at] != ord("A") else ord("B")
    with pytest.raises(SettingsError, match="csr-"):
        offline.read(bytes(forged), "client-authority")


def test_the_key_that_signs_is_the_folders_own(safe):
    with founded_home() as home:
        (safe / "root.key").write_bytes((home.offline / "root.key").read_bytes())
    with pytest.raises(SettingsError, match="not the key"):
        ceremony.load(safe, "root")


def test_a_server_authority_signs_no_authority_and_a_root_no_server(safe):
    """A wrong folder given by mistake makes nothing that anybody could use."""
    root = ceremony.load(safe, "root")
    offline.make_server_authority(safe, root, SYSTEM.now_us())
    asked = offline.Asked("client-authority", ec.generate_private_key(ec.SECP256R1()).public_key())
    with pytest.raises(IssueError):
        offline.sign(asked, ceremony.load(safe, "server-authority"), SYSTEM.now_us())
