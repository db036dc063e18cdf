"""The province's own authority beside ours and in place of ours, made here as such authorities are."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM, TurnedClock
from gateway.config.settings import Settings
from gateway.config.strict import SettingsError
from gateway.errors import Refusal
from gateway.front.context import Files, terms
from gateway.pki import authorities, ceremony, crl, der, external, issue, publish, rollover
from tests.pki.foreign import ADDRESSES, DAY_US, Foreign
from tests.pki.forge import CITY, DOMAIN, Ca, Papers
from tests.pki.ground import founded_home


@pytest.fixture
def home():
    with founded_home() as found:
        yield found


@pytest.fixture(scope="module")
def foreign():
    return Foreign.make(SYSTEM.now_us())


def trusted(home, foreign, *revoked, **words):
    found = foreign.revocations(*revoked, **words)
    external.judge(home, foreign.certificate, found, SYSTEM.now_us())
    external.trust(home, foreign.certificate, found)


def ours(home):
    """Papers of our own authority in this HOME."""
    authority = ceremony.client_authority(home)
    return Ca(authority, authority, authority, SYSTEM.now_us()).good()


def shown(home, papers, moved_us=0):
    """Show papers to the front's own verifier, made of the files; return the reason, "" if let in."""
    clock = TurnedClock(SYSTEM.now_us() + moved_us)
    front = terms(Files.read(home), home, Settings(trust_domain=DOMAIN), clock, lambda *_: True)
    try:
        verified = front.verifier.judge(papers.chain)
    except Refusal as refusal:
        return refusal.reason
    return verified.defect or ""


def test_both_are_let_in_and_only_ours_issues(home, foreign):
    issuing = ceremony.client_authority(home)
    trusted(home, foreign)
    found = authorities.load(home)
    assert [one.ours for one in found] == [True, False]
    assert ceremony.client_authority(home).certificate == issuing.certificate
    assert authorities.oldest(found) == found[0]
    assert shown(home, foreign.good()) == ""
    assert shown(home, foreign.good(further=())) == ""
    assert shown(home, ours(home)) == ""


def test_its_profile_is_closed_too(home, foreign):
    trusted(home, foreign)
    unconstrained = x509.NameConstraints([x509.DNSName("gateway.invalid")], None)
    for further in (*((one,) for one in ADDRESSES), (unconstrained,)):
        critical = further != (unconstrained,)
        papers = foreign.good(further=further, critical=critical)
        assert shown(home, papers) in {"CERT_PROFILE", "CERT_UNTRUSTED"}, further
    assert shown(home, foreign.good(days=399)) == "CERT_PROFILE"


def test_what_an_external_authority_may_add_ours_may_not(home, foreign):
    """The wider profile goes with the anchor that signed, not with what a leaf says."""
    trusted(home, foreign)
    papers = ours(home)
    leaf = x509.load_der_x509_certificate(papers.chain[0])
    authority = ceremony.client_authority(home)
    builder = x509.CertificateBuilder(
        leaf.issuer,
        leaf.subject,
        leaf.public_key(),
        leaf.serial_number,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        [*leaf.extensions, x509.Extension(ADDRESSES[0].oid, False, ADDRESSES[0])],
    )
    forged = builder.sign(authority.key, issue._digest(authority.key))
    assert shown(home, Papers((forged.public_bytes(Encoding.DER),), papers.key)) == "CERT_PROFILE"


def test_its_list_names_and_its_stale_list_stops_its_own_alone(home, foreign):
    revoked, good = foreign.good(), foreign.good()
    trusted(home, foreign, revoked, days=1)
    assert shown(home, revoked) == "CERT_REVOKED"
    assert shown(home, good) == ""
    two_days = 2 * DAY_US
    authority = ceremony.client_authority(home)
    now_us = SYSTEM.now_us() + two_days
    lists = der.revocation_lists(home.crl.read_bytes())
    crl.write(home.crl, crl.build(authority, [], 9, now_us), lists[1])
    assert shown(home, good, two_days) == "CRL_STALE"
    assert shown(home, ours(home), two_days) == ""


def test_in_place_of_ours_nobody_here_issues(home, foreign):
    trusted(home, foreign)
    papers = ours(home)
    rollover.retire(home, authorities.load(home)[0], 9)
    assert [one.ours for one in authorities.load(home)] == [False]
    assert shown(home, foreign.good()) == ""
    assert shown(home, papers) == "CERT_UNTRUSTED"
    with pytest.raises(SettingsError, match="no authority of ours"):
        ceremony.client_authority(home)
    assert publish.published(home).ours == ()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"ca": False}, "not an authority's|signs certificates"),
        ({"usages": ("key_cert_sign",)}, "signs certificates and lists"),
        ({"usages": ("crl_sign",)}, "not an authority's|signs certificates"),
        ({"bits": 2048}, "2048 bits"),
        ({"days": 0.5}, "expired"),
    ],
)
def test_which_authority_is_not_trusted(home, words, why):
    before = home.client_authority_certificate.read_bytes()
    wrong = Foreign.make(SYSTEM.now_us(), **words)
    with pytest.raises(SettingsError, match=why):
        trusted(home, wrong)
    assert home.client_authority_certificate.read_bytes() == before


def test_ours_is_not_external_and_nothing_is_trusted_twice(home, foreign):
    authority = ceremony.client_authority(home)
    with pytest.raises(SettingsError, match="our own root"):
        external.judge(
            home,
            authority.certificate,
            crl.build(authority, [], 1, SYSTEM.now_us()),
            SYSTEM.now_us(),
        )
    trusted(home, foreign)
    with pytest.raises(SettingsError, match="trusted already"):
        trusted(home, foreign)
    name = authority.certificate.subject.rfc4514_string().removeprefix("CN=")
    with pytest.raises(SettingsError, match="of this name"):
        trusted(home, Foreign.make(SYSTEM.now_us(), name=name))


PARTIAL = x509.IssuingDistributionPoint(
    full_name=None,
    relative_name=None,
    only_contains_user_certs=True,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"number": None}, "without number"),
        ({"further": (x509.DeltaCRLIndicator(1),)}, "not of all"),
        ({"further": (PARTIAL,)}, "not of all"),
        ({"further": (PARTIAL,), "critical": False}, "not of all"),
        ({"now_us": 1}, "not current"),
        ({"now_us": SYSTEM.now_us() + DAY_US}, "not current"),
    ],
)
def test_which_list_is_not_taken(home, foreign, words, why):
    with pytest.raises(SettingsError, match=why):
        trusted(home, foreign, **words)


def test_a_list_of_another_with_the_same_name_is_not_taken(home, foreign):
    other = Foreign.make(SYSTEM.now_us())
    with pytest.raises(SettingsError, match="not this authority's"):
        external.judge(home, foreign.certificate, other.revocations(), SYSTEM.now_us())


def test_the_list_that_the_admin_places_is_published_and_never_an_older_one(home, foreign):
    revoked = foreign.good()
    trusted(home, foreign, number=5)
    [_, anchor] = authorities.load(home)
    place = authorities.external_list(home, foreign.certificate)
    before = der.revocation_lists(home.crl.read_bytes())
    for content, number in (
        (foreign.revocations(revoked, number=6).public_bytes(Encoding.DER), 6),
        (foreign.revocations(number=4).public_bytes(Encoding.PEM), 5),
        (foreign.revocations(number=9, further=(PARTIAL,)).public_bytes(Encoding.PEM), 5),
        (b"torn", 5),
    ):
        place.write_bytes(content)
        found = publish.placed(home, anchor, before)
        assert crl.number_of(found) == number
    place.unlink()
    assert crl.number_of(publish.placed(home, anchor, before)) == 5


def test_every_file_in_between_is_a_home_that_the_front_takes(home, foreign, monkeypatch):
    moments = []

    def watched(replace):
        def one(*given):
            moments.append(shown(home, papers))
            replace(*given)
            moments.append(shown(home, papers))

        return one

    papers = ours(home)
    for room in (external, crl):
        for name in ("replace_private", "replace_public"):
            if hasattr(room, name):
                monkeypatch.setattr(room, name, watched(getattr(room, name)))
    trusted(home, foreign)
    assert moments == [""] * 6


def test_only_a_leaf_of_an_external_authority_is_registered(home, foreign):
    revoked, good = foreign.good(), foreign.good()
    trusted(home, foreign, revoked)
    judged = external.judge_leaf(home, good.chain[0], DOMAIN, SYSTEM)
    assert judged.subject == CITY
    assert judged.issuer_sha256 == authorities.load(home)[1].spki_sha256
    for papers, domain, reason in (
        (ours(home), DOMAIN, "CERT_UNTRUSTED"),
        (revoked, DOMAIN, "CERT_REVOKED"),
        (Foreign.make(SYSTEM.now_us()).good(), DOMAIN, "CERT_UNTRUSTED"),
        (good, "other.invalid", "CERT_UNTRUSTED"),
        (foreign.good(days=399), DOMAIN, "CERT_PROFILE"),
    ):
        with pytest.raises(Refusal) as refused:
            external.judge_leaf(home, papers.chain[0], domain, SYSTEM)
        assert refused.value.reason == reason
