import pytest
from cryptography import x509

from gateway.clock import SYSTEM
from gateway.config import folders
from gateway.config.strict import SettingsError
from gateway.pki import authorities, ceremony, crl, der
from tests.pki.ground import founded_home


@pytest.fixture
def home():
    with founded_home() as found:
        yield found


def test_what_lies_where_and_who_may_read_it(home):
    files = {
        str(path.relative_to(home.root)): path.stat().st_mode & 0o777
        for path in home.root.rglob("*")
        if path.is_file()
    }
    assert files == {
        "offline/root.key": 0o600,
        "offline/root.pem": 0o600,
        "offline/server-authority.key": 0o600,
        "offline/server-authority.pem": 0o600,
        "authority/client-authority.key": 0o600,
        "secrets/administration/invitations.key": 0o600,
        "secrets/identity/invitations.key": 0o600,
        "secrets/front/server.key": 0o600,
        "secrets/front/server.pem": 0o600,
        "public/root.pem": 0o644,
        "public/server.pem": 0o644,
        "public/client-authority.pem": 0o644,
        "public/client-authority.crl": 0o644,
    }


def test_the_list_is_empty_and_current(home):
    made = der.revocation_list(home.crl.read_bytes())
    assert (crl.number_of(made), len(list(made))) == (0, 0)
    assert made.is_signature_valid(ceremony.client_authority(home).certificate.public_key())


def test_the_authority_is_read_back_as_a_pair(home):
    authority = ceremony.client_authority(home)
    assert authority.key.public_key() == authority.certificate.public_key()
    (home.authority / "client-authority.key").write_bytes(
        (home.offline / "server-authority.key").read_bytes()
    )
    with pytest.raises(SettingsError, match="not the key"):
        ceremony.client_authority(home)


def test_nothing_is_founded_twice(home):
    with pytest.raises(FileExistsError):
        ceremony.found(home, "gateway.invalid", ["127.0.0.1"], SYSTEM.now_us())


def test_a_new_server_certificate_needs_the_safe(home):
    before = ceremony.server_files(home)[1].read_bytes()
    made = ceremony.renew_server(home, ["127.0.0.12"], SYSTEM.now_us())
    chain = der.certificates(ceremony.server_files(home)[1].read_bytes())
    assert chain[0] == made
    assert len(chain) == 2
    assert ceremony.server_files(home)[1].read_bytes() != before
    assert der.certificates(home.server_certificate.read_bytes()) == chain
    chain[1].verify_directly_issued_by(
        x509.load_pem_x509_certificate(home.root_certificate.read_bytes())
    )
    (home.offline / "server-authority.key").unlink()
    with pytest.raises(FileNotFoundError):
        ceremony.renew_server(home, ["127.0.0.12"], SYSTEM.now_us())


def test_what_goes_into_the_safe_can_sign_without_the_rest(home, tmp_path):
    """HOME/offline is moved away whole: both authorities are pairs there."""
    safe = home.offline.rename(tmp_path / "safe")
    assert ceremony.load(safe, "root").certificate in der.certificates(
        home.root_certificate.read_bytes()
    )
    ceremony.load(safe, "server-authority").certificate.verify_directly_issued_by(
        ceremony.load(safe, "root").certificate
    )


def test_key_and_certificate_fit_at_every_moment_of_an_exchange(home, monkeypatch):
    """Whatever a reader or a crash finds between two of the files, the front takes it."""
    pair = ceremony.Pair(*ceremony.server_files(home), "front")
    seen = []

    def replace(path, content, process):
        fits()
        folders.replace_private(path, content, process)
        fits()

    def fits():
        certificate = der.certificates(pair.chain.read_bytes())[0]
        seen.append(authorities.fitting(pair.key.read_bytes(), certificate, home))

    monkeypatch.setattr(ceremony, "replace_private", replace)
    before = der.certificates(pair.chain.read_bytes())[0]
    made = ceremony.renew_server(home, ["127.0.0.12"], SYSTEM.now_us())
    assert len(seen) == 6
    assert None not in seen
    keys = [key.public_key() for key in seen]
    assert (keys[0], keys[-1]) == (before.public_key(), made.public_key())
    assert pair.key.read_bytes().count(b"BEGIN") == 1
