"""Attacks 2-28 against the verifier alone: each forgery meets exactly its reason."""

import pytest
from cryptography import x509

from gateway.clock import SYSTEM, US_PER_S, TurnedClock, from_datetime
from gateway.errors import Reason, Refusal
from gateway.pki import crl, issue, keys
from gateway.pki.paths import Trust
from gateway.pki.verify import Verifier, serial_text
from tests.pki.forge import CITY, DOMAIN, Ca, Papers
from tests.pki.forgeries import DAY_US, DEFECTS, FORGED_DEFECTS, FORGERIES, Forgery


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca.make(SYSTEM.now_us())


def verifier(ca: Ca, *revoked: crl.Revoked, at_us: int = 0, made_us: int = 0) -> Verifier:
    revocations = crl.build(ca.client, list(revoked), 1, made_us or ca.now_us)
    trust = Trust((ca.client.certificate,), (revocations,))
    return Verifier(trust, DOMAIN, TurnedClock(at_us or ca.now_us))


def reason(judge: Verifier, papers: Papers) -> Reason:
    with pytest.raises(Refusal) as refusal:
        judge.judge(papers.chain)
    return refusal.value.reason


def serial(papers: Papers) -> str:
    return serial_text(x509.load_der_x509_certificate(papers.chain[0]).serial_number)


@pytest.mark.parametrize("forgery", [*FORGERIES, *FORGED_DEFECTS], ids=lambda one: one.name)
def test_a_forgery_meets_its_reason(ca: Ca, forgery: Forgery) -> None:
    assert reason(verifier(ca), forgery.make(ca)) is forgery.reason


def test_a_good_certificate_says_who_it_is(ca: Ca) -> None:
    papers = ca.good()
    found = verifier(ca).judge(papers.chain)
    assert (found.subject, found.serial) == (CITY, serial(papers))
    assert found.not_after_us > ca.now_us


def test_nothing_presented_is_missing(ca: Ca) -> None:
    assert reason(verifier(ca), Papers((), ca.client.key)) is Reason.CERT_MISSING


@pytest.mark.parametrize("forgery", DEFECTS, ids=lambda one: one.name)
def test_a_defect_alone_is_told(ca: Ca, forgery: Forgery) -> None:
    papers = forgery.make(ca)
    found = verifier(ca).judge(papers.chain)
    assert (found.defect, found.subject, found.serial) == (forgery.reason, CITY, serial(papers))


def test_revoked(ca: Ca) -> None:
    papers, other = ca.good(), ca.good()
    judge = verifier(ca, crl.Revoked(serial(papers), ca.now_us, "superseded"))
    assert judge.judge(papers.chain).defect is Reason.CERT_REVOKED
    assert judge.judge(other.chain).defect is None


def test_revoked_is_told_before_expired(ca: Ca) -> None:
    papers = DEFECTS[0].make(ca)
    judge = verifier(ca, crl.Revoked(serial(papers), ca.now_us, "superseded"))
    assert judge.judge(papers.chain).defect is Reason.CERT_REVOKED


@pytest.mark.parametrize(
    "forgery", [one for one in FORGERIES if "serial" not in one.name], ids=lambda one: one.name
)
def test_a_forgery_that_is_on_the_list_too_meets_the_same_reason(ca: Ca, forgery: Forgery) -> None:
    """OpenSSL finds a revocation before it looks at the signature: that must not let a forger in."""
    papers = forgery.make(ca)
    own = serial(papers)
    judge = verifier(ca, crl.Revoked(own, ca.now_us, "superseded"))
    assert reason(judge, papers) is forgery.reason


def test_a_verifier_that_stands_for_hours_judges_by_the_clock(ca: Ca) -> None:
    """Each judgement is of its own time, not of the first one's."""
    clock = TurnedClock(ca.now_us)
    trust = Trust((ca.client.certificate,), (crl.build(ca.client, [], 1, ca.now_us),))
    judge, brief = Verifier(trust, DOMAIN, clock), ca.good(days=1)
    assert judge.judge(brief.chain).defect is None
    clock.turn(seconds=6 * 3_600)
    assert judge.judge(ca.good(now_us=clock.now_us()).chain).defect is None
    clock.turn(seconds=17.99 * 3_600)
    assert judge.judge(brief.chain).defect is Reason.CERT_EXPIRED
    clock.turn(seconds=-23 * 3_600)
    assert judge.judge(brief.chain).defect is None


def test_with_a_list_out_of_date_no_defect_is_told(ca: Ca) -> None:
    for papers in (DEFECTS[0].make(ca), ca.good()):
        judge = verifier(
            ca, crl.Revoked(serial(papers), ca.now_us, "superseded"), at_us=ca.now_us + 2 * DAY_US
        )
        assert reason(judge, papers) is Reason.CRL_STALE


def test_an_authority_that_ended_tells_nobody_what_is_wrong(ca: Ca) -> None:
    """Its leaves ended with it: refused, not heard."""
    end_us = from_datetime(ca.client.certificate.not_valid_after_utc)
    papers = ca.good(now_us=end_us - DAY_US)
    for at_us in (end_us + US_PER_S, end_us + DAY_US):
        made = verifier(ca, at_us=at_us, made_us=at_us)
        assert reason(made, papers) is Reason.CERT_UNTRUSTED


def test_several_authorities_each_with_its_own_list(ca: Ca) -> None:
    """Of the same name, as after a roll-over: the key tells whose leaf and whose list it is."""
    other = Ca(
        ca.root,
        issue.make_authority("client-authority", DOMAIN, ca.root, ca.now_us),
        ca.server,
        ca.now_us,
    )
    first, second = ca.good(), other.good()
    lists = (
        crl.build(ca.client, [crl.Revoked(serial(second), ca.now_us, "superseded")], 1, ca.now_us),
        crl.build(other.client, [], 1, ca.now_us),
    )
    both = (ca.client.certificate, other.client.certificate)
    judge = Verifier(Trust(both, lists), DOMAIN, TurnedClock(ca.now_us))
    for papers, issuer in ((first, ca), (second, other)):
        found = judge.judge(papers.chain)
        assert found.defect is None, "a list speaks of its own authority's leaves alone"
        assert found.issuer_sha256 == keys.spki_sha256(issuer.client.key.public_key())
    stale = crl.build(other.client, [], 2, ca.now_us - 3 * DAY_US)
    judge = Verifier(Trust(both, (lists[0], stale)), DOMAIN, TurnedClock(ca.now_us))
    assert judge.judge(first.chain).defect is None
    assert reason(judge, second) is Reason.CRL_STALE
    judge = Verifier(Trust(both[:1], lists[:1]), DOMAIN, TurnedClock(ca.now_us))
    assert reason(judge, second) is Reason.CERT_UNTRUSTED


def test_a_list_out_of_date_stops_everybody(ca: Ca) -> None:
    later = ca.now_us + DAY_US + DAY_US // 24
    assert reason(verifier(ca, at_us=later), ca.good()) is Reason.CRL_STALE


def test_a_list_of_another_authority_stops_everybody(ca: Ca) -> None:
    strange = crl.build(Ca.make(ca.now_us).client, [], 1, ca.now_us)
    judge = Verifier(Trust((ca.client.certificate,), (strange,)), DOMAIN, TurnedClock(ca.now_us))
    assert reason(judge, ca.good()) is Reason.CRL_STALE


@pytest.mark.parametrize("cut", [0, 1, 2, 100, -1])
def test_malformed_bytes(ca: Ca, cut: int) -> None:
    good = ca.good().chain[0]
    assert reason(verifier(ca), Papers((good[:cut],), ca.client.key)) is Reason.CERT_PROFILE


def test_bytes_after_the_end_and_endless_lengths(ca: Ca) -> None:
    good = ca.good().chain[0]
    for der in (
        good + b"\0",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x80",
        b"\x30\x81\x05hello",
        b"x" * 100_000,
    ):
        assert reason(verifier(ca), Papers((der,), ca.client.key)) is Reason.CERT_PROFILE


def test_a_verdict_is_remembered_only_while_nothing_can_change_it(ca: Ca) -> None:
    clock = TurnedClock(ca.now_us)
    whole = crl.build(ca.client, [], 1, ca.now_us + 13 * DAY_US)
    lists = (crl.build(ca.client, [], 1, ca.now_us),)
    judge = Verifier(Trust((ca.client.certificate,), lists), DOMAIN, clock)
    papers = ca.good()
    good = judge.judge(papers.chain)
    assert judge.judge(papers.chain) is good
    # Other bytes are another certificate.
    assert reason(judge, Papers((papers.chain[0] + b"\0",), papers.key)) is Reason.CERT_PROFILE
    clock.turn(seconds=2 * DAY_US / US_PER_S)
    assert reason(judge, papers) is Reason.CRL_STALE
    clock.turn(seconds=-3 * DAY_US / US_PER_S)
    assert reason(judge, papers) in (Reason.CERT_UNTRUSTED, Reason.CRL_STALE)
    clock = TurnedClock(ca.now_us + 13 * DAY_US)
    later = Verifier(Trust((ca.client.certificate,), (whole,)), DOMAIN, clock)
    assert later.judge(papers.chain) == good
    clock.turn(seconds=DAY_US / US_PER_S - 120)  # issued five minutes back, so already over
    assert later.judge(papers.chain).defect is Reason.CERT_EXPIRED
