"""Attacks 2-28 against the verifier alone: each forgery meets exactly its reason."""

import pytest
from cryptography import x509

from gateway.clock import SYSTEM, TurnedClock
from gateway.errors import Reason, Refusal
from gateway.pki import crl
from gateway.pki.verify import Verifier, serial_text
from tests.pki.forge import CITY, DOMAIN, Ca, Papers
from tests.pki.forgeries import DAY_US, FORGERIES, Forgery


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca.make(SYSTEM.now_us())


def verifier(ca: Ca, *revoked: crl.Revoked, at_us: int = 0, made_us: int = 0) -> Verifier:
    revocations = crl.build(ca.client, list(revoked), 1, made_us or ca.now_us)
    return Verifier(ca.client.certificate, revocations, DOMAIN, TurnedClock(at_us or ca.now_us))


def reason(judge: Verifier, papers: Papers) -> Reason:
    with pytest.raises(Refusal) as refusal:
        judge.judge(papers.chain)
    return refusal.value.reason


def serial(papers: Papers) -> str:
    return serial_text(x509.load_der_x509_certificate(papers.chain[0]).serial_number)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda one: one.name)
def test_a_forgery_meets_its_reason(ca: Ca, forgery: Forgery) -> None:
    assert reason(verifier(ca), forgery.make(ca)) is forgery.reason


def test_a_good_certificate_says_who_it_is(ca: Ca) -> None:
    papers = ca.good()
    found = verifier(ca).judge(papers.chain)
    assert (found.subject, found.serial) == (CITY, serial(papers))
    assert found.not_after_us > ca.now_us


def test_nothing_presented_is_missing(ca: Ca) -> None:
    assert reason(verifier(ca), Papers((), ca.client.key)) is Reason.CERT_MISSING


def test_revoked(ca: Ca) -> None:
    papers = ca.good()
    judge = verifier(ca, crl.Revoked(serial(papers), ca.now_us, "superseded"))
    assert reason(judge, papers) is Reason.CERT_REVOKED
    assert judge.judge(ca.good().chain)


def test_a_list_out_of_date_stops_everybody(ca: Ca) -> None:
    later = ca.now_us + DAY_US + DAY_US // 24
    assert reason(verifier(ca, at_us=later), ca.good()) is Reason.CRL_STALE


def test_a_list_of_another_authority_stops_everybody(ca: Ca) -> None:
    strange = crl.build(Ca.make(ca.now_us).client, [], 1, ca.now_us)
    judge = Verifier(ca.client.certificate, strange, DOMAIN, TurnedClock(ca.now_us))
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
