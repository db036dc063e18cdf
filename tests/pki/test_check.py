import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.clock import SYSTEM, to_datetime
from gateway.errors import Reason, Refusal
from gateway.pki import check, crl
from gateway.pki.verify import serial_text
from tests.pki.forge import CITY, Ca
from tests.pki.forgeries import DAY_US, DEFECTS, FORGERIES


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


def ask(ca, papers, *, anchors=None, intermediates=(), crls=(), at_us=0, domain=""):
    leaf = x509.load_der_x509_certificate(papers.chain[0])
    return check.Question(
        leaf,
        anchors or (ca.client.certificate,),
        intermediates,
        crls,
        to_datetime(at_us or ca.now_us),
        domain,
    )


def refused(question):
    with pytest.raises(Refusal) as refusal:
        check.judge(question)
    return refusal.value.reason, refusal.value.metadata["rule"]


def root_list(ca, *certificates):
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.root.certificate.subject)
        .last_update(to_datetime(ca.now_us))
        .next_update(to_datetime(ca.now_us + DAY_US))
    )
    for certificate in certificates:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
        builder = builder.add_revoked_certificate(
            entry.revocation_date(to_datetime(ca.now_us)).build()
        )
    return builder.sign(ca.root.key, hashes.SHA384())


def test_by_either_anchor(ca):
    papers = ca.good()
    assert check.judge(ask(ca, papers)).subject == CITY
    above = {"anchors": (ca.root.certificate,), "intermediates": (ca.client.certificate,)}
    assert check.judge(ask(ca, papers, **above)).subject == CITY
    assert refused(ask(ca, papers, anchors=(ca.root.certificate,))) == (
        Reason.CERT_UNTRUSTED,
        "openssl",
    )


def test_lists_are_asked_where_given(ca):
    papers = ca.good()
    serial = serial_text(x509.load_der_x509_certificate(papers.chain[0]).serial_number)
    clean = crl.build(ca.client, [], 1, ca.now_us)
    naming = crl.build(ca.client, [crl.Revoked(serial, ca.now_us, "superseded")], 2, ca.now_us)
    assert check.judge(ask(ca, papers, crls=(clean,)))
    assert refused(ask(ca, papers, crls=(naming,))) == (Reason.CERT_REVOKED, "openssl")
    assert refused(ask(ca, papers, crls=(root_list(ca),)))[0] is Reason.CRL_STALE
    assert (
        refused(ask(ca, papers, crls=(clean,), at_us=ca.now_us + 2 * DAY_US))[0] is Reason.CRL_STALE
    )


def test_a_revoked_authority_is_found_by_its_own_list(ca):
    above = {"anchors": (ca.root.certificate,), "intermediates": (ca.client.certificate,)}
    clean = crl.build(ca.client, [], 1, ca.now_us)
    assert check.judge(ask(ca, ca.good(), crls=(clean, root_list(ca)), **above))
    told = root_list(ca, ca.client.certificate)
    assert refused(ask(ca, ca.good(), crls=(clean, told), **above)) == (
        Reason.CERT_UNTRUSTED,
        "openssl",
    )


def test_time_and_trust_domain(ca):
    assert refused(ask(ca, ca.good(), at_us=ca.now_us + 15 * DAY_US))[0] is Reason.CERT_EXPIRED
    assert refused(ask(ca, ca.good(), domain="other.invalid")) == (
        Reason.CERT_UNTRUSTED,
        "trust-domain",
    )
    assert check.judge(ask(ca, ca.good(), domain=CITY.trust_domain))


@pytest.mark.parametrize(
    "forgery",
    [
        one
        for one in (*FORGERIES, *DEFECTS)
        if "serial" not in one.name and "trust domain" not in one.name
    ],
    ids=lambda one: one.name,
)
def test_a_forgery_is_refused_here_as_at_the_front(ca, forgery):
    papers = forgery.make(ca)
    above = tuple(map(x509.load_der_x509_certificate, papers.chain[1:]))
    assert refused(ask(ca, papers, intermediates=above))[0] is forgery.reason
