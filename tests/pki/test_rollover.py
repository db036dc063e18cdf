"""Roll-over by files alone; with a gateway under load it is tests/e2e/test_rollover.py."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM, US_PER_S
from gateway.config import folders, users
from gateway.config.settings import PortSettings, Settings
from gateway.config.strict import SettingsError
from gateway.front.context import Files, terms
from gateway.pki import authorities, ceremony, crl, der, offline, rollover
from tests.pki.ground import founded_home

DOMAIN = "gateway.invalid"
YEAR_US = 365 * 86_400 * US_PER_S


@pytest.fixture
def home():
    with founded_home() as found:
        yield found


def signed(home, kind, now_us=0, hosts=("127.0.0.1", DOMAIN)):
    """Ask, sign in the safe, and return what is carried back."""
    request = rollover.request(home, kind).public_bytes(Encoding.PEM)
    signer = offline.SIGNERS[kind]
    asked = offline.read(request, kind, hosts if kind == "server" else ())
    return offline.sign(asked, ceremony.load(home.offline, signer), now_us or SYSTEM.now_us())


def judged(home, content, now_us=0):
    return rollover.judge(home, content, DOMAIN, now_us or SYSTEM.now_us())


def put(home, content):
    following = judged(home, content)
    rollover.put(home, following, SYSTEM.now_us())
    return following.certificate


def front_takes(home, before=()):
    """Load what the front loads; ContextError would be a moment that refuses."""
    settings = Settings(trust_domain=DOMAIN, ports=PortSettings())
    return terms(Files.read(home), home, settings, SYSTEM, lambda *_: True, before)


def test_a_requested_key_waits_where_it_will_be_used_and_only_there(home):
    for kind, folder, process in (
        ("client-authority", home.authority, "identity"),
        ("server", home.secrets("front"), "front"),
        ("server-authority", home.offline, None),
    ):
        request = rollover.request(home, kind)
        name = authorities.key_name(request.public_key())
        path = folder / f"{name}.key"
        assert path.stat().st_mode & 0o777 == 0o600
        owner = users.current() if process is None else users.user_of(process)
        assert path.stat().st_uid == owner.uid
        assert list(home.root.rglob(f"{name}*")) == [path]
        assert request.is_signature_valid
    assert len(authorities.load(home)) == 1


def test_a_new_client_authority_issues_and_the_old_one_stays_trusted(home):
    old = ceremony.client_authority(home)
    crl.write(home.crl, crl.build(old, [], 7, SYSTEM.now_us()))
    content = signed(home, "client-authority")
    new = put(home, content)
    found = authorities.load(home)
    assert [one.certificate for one in found] == [new, old.certificate]
    assert all(one.ours and one.key is not None for one in found)
    assert ceremony.client_authority(home).certificate == new
    assert authorities.oldest(found).certificate == old.certificate
    taken = front_takes(home)
    assert [one.number for one in taken.lists] == [7, 7]
    with pytest.raises(SettingsError, match="in use already"):
        judged(home, content)


@pytest.mark.parametrize("kind", ["client-authority", "server", "server-authority"])
def test_every_file_in_between_is_a_home_that_the_front_takes(home, monkeypatch, kind):
    """A reload, or a restart after a crash, may fall between any two of the files."""
    content = signed(home, kind)
    moments = []

    def watched(replace):
        def one(*given):
            moments.append(front_takes(home))
            replace(*given)
            moments.append(front_takes(home))

        return one

    for room in (rollover, ceremony, crl):
        for name in ("replace_private", "replace_public"):
            if hasattr(room, name):
                monkeypatch.setattr(room, name, watched(getattr(folders, name)))
    put(home, content)
    assert len(moments) >= 4


@pytest.mark.parametrize("kind", ["client-authority", "server", "server-authority"])
def test_a_crash_between_two_files_is_completed_by_doing_it_again(home, monkeypatch, kind):
    content = signed(home, kind)
    for after in range(1, 9):
        left = [after]

        def crash(replace, left=left):
            def one(*given):
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
                replace(*given)

            return one

        with monkeypatch.context() as patch:
            for room in (rollover, ceremony, crl):
                for name in ("replace_private", "replace_public"):
                    if hasattr(room, name):
                        patch.setattr(room, name, crash(getattr(folders, name)))
            try:
                put(home, content)
                break
            except KeyboardInterrupt:
                front_takes(home)
    else:
        pytest.fail("it never came to its end")
    front_takes(home)
    installed = der.certificates(content)[0]
    if kind == "client-authority":
        assert ceremony.client_authority(home).certificate == installed
        assert len(authorities.load(home)) == 2
    elif kind == "server":
        key, chain = ceremony.server_files(home)
        assert der.certificates(chain.read_bytes())[0] == installed
        assert key.read_bytes().count(b"BEGIN") == 1
    else:
        assert ceremony.load(home.offline, "server-authority").certificate == installed


def test_a_server_chain_brings_its_authority_with_it(home):
    put(home, signed(home, "server-authority"))
    content = signed(home, "server")
    put(home, content)
    key, chain = ceremony.server_files(home)
    assert chain.read_bytes() == content == home.server_certificate.read_bytes()
    assert sorted(path.name for path in key.parent.iterdir()) == ["server.key", "server.pem"]
    front_takes(home)


def test_what_may_not_be_installed(home):
    """Each is refused before a file changes."""
    before = {path: path.read_bytes() for path in home.public.iterdir()}
    stranger = ceremony.pem(foreign().certificate)
    server = signed(home, "server")
    leaf = b"-----BEGIN CERTIFICATE-----".join(server.split(b"-----BEGIN CERTIFICATE-----")[:2])
    for content, why in (
        (b"nothing", "not a certificate"),
        (stranger, "no key here waits"),
        (leaf, "2 certificates belong"),
        (server + leaf, "2 certificates belong"),
        (signed(home, "server", hosts=("127.0.0.1",)), "below our root"),
        (by_another_root(home), "below our root"),
        (another_kind(home), "extended-key-usage"),
    ):
        with pytest.raises(SettingsError, match=why):
            judged(home, content)
    authority = signed(home, "client-authority")
    for moved_us in (-YEAR_US, 6 * YEAR_US):
        with pytest.raises(SettingsError, match="below our root"):
            judged(home, authority, SYSTEM.now_us() + moved_us)
    assert {path: path.read_bytes() for path in home.public.iterdir()} == before


def foreign():
    with founded_home() as other:
        return ceremony.client_authority(other)


def by_another_root(home):
    """A certificate for our pending key, signed by a root with the same name as ours."""
    with founded_home() as other:
        return signed_by(other.offline, home)


def another_kind(home):
    """A server authority's certificate for a key that waits to be a client authority's."""
    request = rollover.request(home, "client-authority").public_bytes(Encoding.PEM)
    asked = offline.read(request, "server-authority")
    return offline.sign(asked, ceremony.load(home.offline, "root"), SYSTEM.now_us())


def signed_by(safe, home):
    """A client authority's certificate for a key of this HOME, by the root in another folder."""
    asked = rollover.request(home, "client-authority").public_bytes(Encoding.PEM)
    root = ceremony.load(safe, "root")
    return offline.sign(offline.read(asked, "client-authority"), root, SYSTEM.now_us())


def test_a_root_made_elsewhere_stands_before_the_one_of_init(home, tmp_path):
    """First day: what init made is replaced, and nobody's key was ever on the gateway."""
    old = ceremony.client_authority(home)
    root = offline.make_root(tmp_path / "safe", DOMAIN, SYSTEM.now_us())
    assert put(home, ceremony.pem(root)) == root
    assert authorities.roots(home)[0] == root
    assert len(authorities.roots(home)) == 2
    put(home, ceremony.pem(root))
    assert len(authorities.roots(home)) == 2
    put(home, signed_by(tmp_path / "safe", home))
    found = authorities.load(home)
    assert [one.ours for one in found] == [True, True]
    assert found[1].certificate == old.certificate
    # By that one a new client can check the front, as long as its certificate stands below it.
    assert front_takes(home).root == ceremony.pem(authorities.roots(home)[1])
    rollover.retire(home, found[1], 9)
    assert (
        len(authorities.roots(home)) == 2
    )  # the front's own certificate still stands below the old
    safe = tmp_path / "safe"
    offline.make_server_authority(safe, ceremony.load(safe, "root"), SYSTEM.now_us())
    asked = rollover.request(home, "server").public_bytes(Encoding.PEM)
    server = offline.read(asked, "server", [DOMAIN])
    put(home, offline.sign(server, ceremony.load(safe, "server-authority"), SYSTEM.now_us()))
    assert front_takes(home).root == ceremony.pem(root)
    put(home, again := signed_by(safe, home))
    rollover.retire(home, authorities.load(home)[1], 9)
    assert authorities.roots(home) == [root]
    assert [one.certificate for one in authorities.load(home)] == der.certificates(again)
    front_takes(home)


def test_an_authority_is_retired_with_its_key_and_its_list(home):
    old = ceremony.client_authority(home)
    put(home, signed(home, "client-authority"))
    anchors = authorities.load(home)
    digits = anchors[1].spki_sha256.hex()
    assert rollover.find(anchors, digits) == anchors[1]
    assert rollover.find(anchors, offline.grouped(anchors[1].spki_sha256).upper()) == anchors[1]
    with pytest.raises(SettingsError, match="begins so"):
        rollover.find(anchors, digits[:15])
    with pytest.raises(SettingsError, match="begins so"):
        rollover.find(anchors, "0" * 64)
    rollover.retire(home, anchors[1], 9)
    assert [one.name for one in authorities.load(home)] == [anchors[0].name]
    assert crl.of(old.certificate, der.revocation_lists(home.crl.read_bytes())) is None
    assert not (home.authority / authorities.FIRST_KEY).exists()
    front_takes(home)
    with pytest.raises(SettingsError, match="only authority"):
        rollover.find(anchors[:1], anchors[0].spki_sha256.hex())


def test_the_first_key_of_init_is_not_lost_when_the_second_authority_goes(home):
    put(home, signed(home, "client-authority"))
    newest = authorities.load(home)[0]
    rollover.retire(home, newest, 9)
    assert ceremony.client_authority(home).key is not None
    assert not authorities.key_file(home, newest.certificate.public_key()).exists()
