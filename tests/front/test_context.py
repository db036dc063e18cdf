import errno
import os
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from gateway.clock import SYSTEM, US_PER_S
from gateway.config.settings import Settings
from gateway.front import context, handshake
from gateway.front.context import ContextError, CurrentTerms
from gateway.pki import ceremony, crl, issue, keys
from tests.pki.forge import DOMAIN
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


def test_what_could_not_be_read_for_a_moment_is_read_again_and_told_once(home, monkeypatch):
    current, read = terms(home), Path.read_bytes
    crl.write(home.crl, crl.build(ceremony.client_authority(home), [], 5, SYSTEM.now_us()))

    def out_of_descriptors(path):
        if path == home.crl:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", out_of_descriptors)
        with pytest.raises(ContextError, match="Too many open files"):
            current.refresh()
        assert not current.refresh()
    assert current.refresh()
    assert current.current.crl_number == 5
    home.crl.rename(home.crl.with_name("away"))
    with pytest.raises(ContextError, match="No such file"):
        current.refresh()
    assert not current.refresh()
    home.crl.with_name("away").rename(home.crl)
    assert not current.refresh(), "the very same file is back"
    home.crl.unlink()
    with pytest.raises(ContextError, match="No such file"):
        current.refresh()


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


def several(home, *, certificates=(0, 1), lists=(0, 1), numbers=(5, 5), made_us=0):
    """Two authorities of one root and one name: the bundle of these, the lists of those."""
    root = ceremony._load(home.root_certificate, home.offline / "root.key")
    made = issue.make_authority("client-authority", DOMAIN, root, SYSTEM.now_us())
    both = [ceremony.client_authority(home), made]

    def write(certificates, lists, numbers):
        built = [crl.build(both[n], [], numbers[n], made_us or SYSTEM.now_us()) for n in lists]
        home.crl.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in built))
        bundle = b"".join(ceremony.pem(both[n].certificate) for n in certificates)
        home.client_authority_certificate.write_bytes(bundle)
        return both

    write(certificates, lists, numbers)
    return both, write


def test_several_authorities_each_with_its_list(home):
    both, _ = several(home, certificates=(1, 0), numbers=(7, 3))
    made = terms(home).current
    digests = [keys.spki_sha256(one.key.public_key()) for one in both]
    assert [(one.issuer_sha256, one.number) for one in made.lists] == [
        (digests[1], 3),
        (digests[0], 7),
    ]
    assert made.issuers == set(digests)
    assert made.crl_number == 3
    ended = made.lists[0].ends_us - made.lists[0].made_us
    assert abs(ended - 86_400 * US_PER_S) < US_PER_S


@pytest.mark.parametrize(
    ("certificates", "lists"),
    [((0, 1), (0,)), ((0, 1), (1,)), ((0, 1), (0, 0, 1)), ((1,), (0,)), ((0, 0), (0,)), ((0,), ())],
)
def test_an_authority_without_its_one_list_is_not_taken(home, certificates, lists):
    _, write = several(home)
    current = terms(home)
    before = current.current
    write(certificates, lists, (6, 6))
    with pytest.raises(ContextError):
        current.refresh()
    assert current.current is before


def test_each_lists_number_is_its_own_and_never_smaller(home):
    _, write = several(home, numbers=(5, 50))
    current = terms(home)
    write((0, 1), (0, 1), (6, 50))
    assert current.refresh()
    write((0, 1), (0, 1), (7, 49))
    with pytest.raises(ContextError, match="number 49, after 50"):
        current.refresh()
    # In another order it is still the same authority.
    write((1, 0), (0, 1), (5, 50))
    with pytest.raises(ContextError, match="number 5, after 6"):
        current.refresh()
    write((1,), (1,), (0, 50))
    assert current.refresh()
    assert len(current.current.lists) == 1


def test_a_list_out_of_date_is_taken_for_it_stops_its_own_alone(home):
    several(home, made_us=SYSTEM.now_us() - 3 * 86_400 * US_PER_S)
    assert terms(home).current.lists[0].ends_us < SYSTEM.now_us()


def test_the_enrolment_listener_asks_for_no_certificate(home):
    made = terms(home).current
    assert made.enrolment.get_verify_mode() == SSL.VERIFY_NONE
    assert made.enrolment.get_session_cache_mode() == SSL.SESS_CACHE_OFF
    assert SSL.Connection(made.enrolment).set_options(0) & SSL.OP_NO_TICKET
    assert made.root == home.root_certificate.read_bytes()


def test_h2_or_http():
    assert context._h2_or_http(None, [b"http/1.1", b"h2"]) == b"h2"
    assert context._h2_or_http(None, [b"http/1.1"]) == b"http/1.1"
    with pytest.raises(Exception, match="TLS_NO_H2"):
        context._h2_or_http(None, [b"http/1.0", b"spdy/1"])
