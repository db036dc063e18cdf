import shutil

import pytest
from OpenSSL import SSL

from gateway.clock import SYSTEM
from gateway.config.settings import Settings
from gateway.front import context, handshake
from gateway.front.context import ContextError, CurrentTerms
from gateway.pki import ceremony, crl
from tests.pki.ground import founded_home


@pytest.fixture
def home():
    with founded_home() as found:
        yield found


def terms(home):
    return CurrentTerms(home, Settings(), SYSTEM, handshake.observe)


def test_only_what_changed_is_loaded(home):
    current = terms(home)
    assert not current.refresh()
    crl.write(home.crl, crl.build(ceremony.client_authority(home), [], 5, SYSTEM.now_us()))
    before = current.current
    assert current.refresh()
    assert current.current is not before
    assert current.current.crl_number == 5
    assert not current.refresh()


def test_a_wrong_file_is_told_once_and_the_terms_stay(home):
    current = terms(home)
    before = current.current
    home.crl.write_bytes(b"garbage")
    with pytest.raises(ContextError):
        current.refresh()
    assert not current.refresh()
    assert current.current is before


@pytest.mark.parametrize("which", ["anchor", "key", "chain", "crl"])
def test_files_that_do_not_fit_each_other(home, which):
    key, chain = ceremony.server_files(home)
    if which == "anchor":
        shutil.copy(home.root_certificate, home.client_authority_certificate)
    elif which == "key":
        key.write_bytes((home.offline / "root.key").read_bytes())
    elif which == "chain":
        chain.write_bytes(home.root_certificate.read_bytes())
    else:
        home.crl.unlink()
    with pytest.raises(ContextError):
        terms(home)


def test_tls13_without_resumption(home):
    made = terms(home).current.context
    assert made.get_session_cache_mode() == SSL.SESS_CACHE_OFF
    assert made.get_verify_mode() == SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    assert made.set_options.__name__
    connection = SSL.Connection(made)
    assert connection.set_options(0) & SSL.OP_NO_TICKET


def test_h2_or_nothing():
    assert context._only_h2(None, [b"http/1.1", b"h2"]) == b"h2"
    with pytest.raises(Exception, match="TLS_NO_H2"):
        context._only_h2(None, [b"http/1.1"])
