import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SYSTEM, TurnedClock
from gateway.config.folders import write_private, write_public
from gateway.config.strict import SettingsError
from gateway.pki import authorities, ceremony, issue, keys
from tests.pki.forge import Ca
from tests.pki.ground import founded_home


@pytest.fixture
def home():
    with founded_home() as found:
        yield found


def second(home, file=None):
    """Put a second authority of ours before the first one."""
    root = ceremony._load(home.root_certificate, home.offline / "root.key")
    made = issue.make_authority("client-authority", "second", root, SYSTEM.now_us())
    write_private(
        file or authorities.key_file(home, made.key.public_key()), ceremony.key_pem(made.key)
    )
    before = home.client_authority_certificate.read_bytes()
    write_public(home.client_authority_certificate, ceremony.pem(made.certificate) + before)
    return made


def foreign(home):
    """Put an authority of another root behind ours."""
    made = Ca.make(SYSTEM.now_us(), "foreign.invalid").client
    before = home.client_authority_certificate.read_bytes()
    write_public(home.client_authority_certificate, before + ceremony.pem(made.certificate))
    return made


def test_what_init_made_is_the_only_one_and_issues(home):
    (only,) = authorities.load(home)
    assert only.ours
    assert authorities.issuing((only,)).certificate == only.certificate
    assert authorities.oldest((only,)) == only
    assert only.spki_sha256.hex().startswith(only.name)
    assert only.spki_sha256 == keys.spki_sha256(only.certificate.public_key())


def test_the_newest_of_ours_issues_the_oldest_owns_rows_without_issuer_others_have_no_key(home):
    first = ceremony.client_authority(home)
    new = second(home)
    other = foreign(home)
    found = authorities.load(home)
    assert [one.certificate for one in found] == [
        new.certificate,
        first.certificate,
        other.certificate,
    ]
    assert [(one.ours, one.key is not None) for one in found] == [
        (True, True),
        (True, True),
        (False, False),
    ]
    assert authorities.issuing(found).key.public_key() == new.key.public_key()
    assert authorities.oldest(found) == found[1]
    with pytest.raises(SettingsError, match="not the key of the authority"):
        _ = found[2].authority


def test_who_is_not_signed_by_our_root_never_issues(home):
    other = Ca.make(SYSTEM.now_us()).client  # the same names as ours, another root
    write_public(home.client_authority_certificate, ceremony.pem(other.certificate))
    write_private(authorities.key_file(home, other.key.public_key()), ceremony.key_pem(other.key))
    found = authorities.load(home)
    assert authorities.oldest(found) is None
    with pytest.raises(SettingsError, match="no authority of ours"):
        authorities.issuing(found)


def test_a_file_may_hold_the_next_key_beside_the_one_in_use(home):
    ours = ceremony.client_authority(home)
    other = ec.generate_private_key(ec.SECP256R1())
    both = ceremony.key_pem(other) + ceremony.key_pem(ours.key)
    found = authorities.fitting(both, ours.certificate, home)
    assert found is not None
    assert found.public_key() == ours.key.public_key()
    assert authorities.fitting(ceremony.key_pem(other), ours.certificate, home) is None
    with pytest.raises(SettingsError, match="not a private key"):
        authorities.fitting(
            b"-----BEGIN %s-----\nAAAA\n-----END %s-----\n" % (b"PRIVATE KEY", b"PRIVATE KEY"),
            ours.certificate,
            home,
        )


def test_a_running_process_sees_a_new_authority_and_opens_nothing_twice(home, monkeypatch):
    current = authorities.Current(home)
    first = current.anchors()
    monkeypatch.setattr(authorities, "load", lambda _: pytest.fail("read again without a change"))
    assert current.anchors() is first
    monkeypatch.undo()
    new = second(home)
    assert current.anchors()[0].certificate == new.certificate
    home.client_authority_certificate.write_text("torn")
    with pytest.raises(SettingsError):
        current.issuing()


def test_a_new_authority_issues_once_the_front_has_read_of_it(home):
    """Else a certificate that is used at once would be a stranger's."""
    clock = TurnedClock(SYSTEM.now_us())
    current = authorities.Current(home, clock)
    first = current.issuing()
    new = second(home)
    digest = keys.spki_sha256(new.certificate.public_key())
    for seconds in (0, 1, authorities.SETTLE_S - 1.1):
        clock.turn(seconds=seconds)
        assert current.issuing() == first
        assert not current.rolled_over(None)
        assert current.rolled_over(digest)
    clock.turn(seconds=0.2)
    assert current.issuing().certificate == new.certificate
    assert current.rolled_over(None)
    assert not current.rolled_over(digest)
    assert authorities.Current(home, clock).issuing().certificate == new.certificate


def test_an_authority_that_is_trusted_no_more_issues_nothing_from_that_moment(home):
    clock = TurnedClock(SYSTEM.now_us())
    current = authorities.Current(home, clock)
    current.issuing()
    new = second(home)
    assert current.issuing().certificate != new.certificate
    write_public(home.client_authority_certificate, ceremony.pem(new.certificate))
    assert current.issuing().certificate == new.certificate


def test_who_moves_to_the_next_authority_and_who_is_renewed_elsewhere(home):
    first = ceremony.client_authority(home)
    clock = TurnedClock(SYSTEM.now_us())
    current = authorities.Current(home, clock)
    digest = {"first": keys.spki_sha256(first.certificate.public_key())}
    assert not current.rolled_over(None)
    assert not current.rolled_over(digest["first"])
    new, other = second(home), foreign(home)
    for name, made in (("new", new), ("other", other)):
        digest[name] = keys.spki_sha256(made.certificate.public_key())
    current.rolled_over(None)
    clock.turn(seconds=authorities.SETTLE_S)
    assert current.rolled_over(None)
    assert current.rolled_over(digest["first"])
    assert not current.rolled_over(digest["new"])
    assert not current.rolled_over(digest["other"])
    assert [current.external(digest[name]) for name in ("first", "new", "other")] == [
        False,
        False,
        True,
    ]
    assert not current.external(None)
