"""Each certificate of the profile, varied in one property, is refused for that property when it is presented.

The variations are signed by our own authority: only the profile and the path's rules stand against them. At issue the
same list meets the same rules (tests/pki/test_issue.py).
"""

import functools

import pytest
from cryptography import x509

from gateway.clock import SYSTEM, TurnedClock, to_datetime
from gateway.errors import Reason, Refusal
from gateway.pki import check, crl, der, lint, profile
from gateway.pki.paths import Trust
from gateway.pki.verify import Verifier
from tests.pki.forge import CITY, DOMAIN, Ca
from tests.pki.variations import good, variations

# What the library warns of is what some of these are made of.
pytestmark = pytest.mark.filterwarnings("ignore")
CLIENT, ENCRYPTION = (tuple(variations(kind)) for kind in ("client", "encryption"))
named = functools.partial(pytest.mark.parametrize, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca.make(SYSTEM.now_us())


@pytest.fixture(scope="module")
def front(ca: Ca) -> Verifier:
    """What judges at the front, after the handshake."""
    empty = crl.build(ca.client, [], 1, ca.now_us)
    trust = Trust((ca.client.certificate,), (empty,))
    return Verifier(trust, DOMAIN, TurnedClock(ca.now_us))


def refused(judge, *asked) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        judge(*asked)
    return refusal.value


def question(ca: Ca, leaf: bytes) -> check.Question:
    empty = crl.build(ca.client, [], 1, ca.now_us)
    certificate = x509.load_der_x509_certificate(leaf)
    return check.Question(
        certificate, (ca.client.certificate,), (), (empty,), to_datetime(ca.now_us)
    )


def first_rule(leaf: bytes, kind: profile.Kind) -> str:
    """Return the rule of lint, or of the reader, that a certificate breaks first."""
    try:
        found = lint.faults(der.certificate(leaf), profile.load(kind))
    except der.MalformedError:
        return "encoding"
    return found[0].rule if found else ""


def test_unvaried_it_passes(ca: Ca, front: Verifier) -> None:
    leaf = good(ca, "client")
    assert front.judge((leaf,)).subject == CITY
    assert check.judge(question(ca, leaf)).subject == CITY
    assert first_rule(good(ca, "encryption"), "encryption") == ""


@named("varied", CLIENT)
def test_a_client_certificate_is_refused_for_its_property(ca, front, varied):
    leaf = varied.make(ca, good(ca, "client"))
    refusal = refused(front.judge, (leaf,))
    wanted = ("openssl", str(varied.number)) if varied.number else (varied.rule, "0")
    told = (refusal.metadata["rule"], refusal.metadata.get("errno", "0"))
    assert told == wanted
    if varied.rule not in ("openssl", "cryptography"):
        assert first_rule(leaf, "client") == varied.rule
    if varied.rule != "encoding":
        assert refused(check.judge, question(ca, leaf)).metadata["rule"] == told[0]


@named("varied", ENCRYPTION)
def test_an_encryption_certificate_is_refused_for_its_property(ca, front, varied):
    leaf = varied.make(ca, good(ca, "encryption"))
    if varied.rule not in ("openssl", "cryptography"):
        assert first_rule(leaf, "encryption") == varied.rule
    # Whatever is varied, it lets nobody in: `refused` asserts that.
    refused(front.judge, (leaf,))


def test_an_encryption_certificate_lets_nobody_in(ca: Ca, front: Verifier) -> None:
    leaf = good(ca, "encryption")
    assert refused(front.judge, (leaf,)).reason is Reason.CERT_PROFILE
    assert refused(check.judge, question(ca, leaf)).reason is Reason.CERT_PROFILE
    assert front.judge((good(ca, "client"),))


def test_every_rule_of_the_profile_is_met_by_a_variation() -> None:
    rules = {rule for rule, _ in lint._RULES}
    assert rules <= {one.rule for one in CLIENT}
    assert rules - {"extended-key-usage"} <= {one.rule for one in ENCRYPTION}
