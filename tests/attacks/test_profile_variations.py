"""Each certificate of the profile, varied in one property, is refused for that property when it is presented.

The variations are signed by our own authority: only the profile and the path's rules stand against them. At issue the
same list meets the same rules (tests/pki/test_issue.py); at acceptance it is shown to a front that serves, one after the
other, by a client that shows any bytes.
"""

import asyncio
import functools
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from gateway.clock import SYSTEM, TurnedClock, to_datetime
from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal
from gateway.pki import check, crl, der, lint, profile
from gateway.pki.paths import Trust
from gateway.pki.verify import Verifier
from tests.attacks import raw_tls
from tests.front.stage import HELLO, Stage, stage
from tests.pki.forge import CITY, DOMAIN, Ca, Papers
from tests.pki.variation import Variation
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


# A key that a client can sign a handshake with, in the place of each that nobody holds or TLS 1.3 has no signature of.
HELD = {
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA exponent 3": lambda: rsa.generate_private_key(3, 3072),
}
ROOM = {"new_per_peer_burst": 5000}
# What OpenSSL's handshake says of a leaf before any rule of ours is asked.
FOUND_IN_HANDSHAKE = "certificate-verify-failed"


async def told_of(at: Stage, log: psycopg.Connection, papers: Papers) -> tuple[str, str]:
    """Show a certificate; return reason and cause from the one leaf of its refusal."""
    leaf = await raw_tls.refused(at, log, papers.chain, papers.key)
    assert "organisation" not in leaf
    return leaf["reason"], leaf["detail"]["cause"]


@pytest.mark.timeout(300)
def test_each_variation_is_refused_at_a_front_that_serves(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each meets the very reason that the verifier gave above, in one leaf; the unvaried one is let in after each."""
    held = {name: made() for name, made in HELD.items()}

    async def run() -> None:
        async with stage(cluster, database_settings, limits=ROOM) as at, raw_tls.reading(at) as log:
            papers, told, wrong = at.good(), set(), {}
            judge = at.front._terms.current.verifier.judge
            for varied in CLIENT:
                leaf = varied.make(at.ca, papers.chain[0])
                refusal = refused(judge, (leaf,))
                found = await told_of(at, log, Papers((leaf,), papers.key))
                wanted = {
                    (refusal.reason, refusal.metadata["rule"]),
                    (refusal.reason, FOUND_IN_HANDSHAKE),
                }
                if found not in wanted and not unheard(varied, found[0]):
                    wrong[varied.name] = found
                told.add(found[1])
                assert await raw_tls.shown(at, papers.chain, papers.key), varied.name
            for name, key in held.items():
                found = await told_of(at, log, at.ca.keyed(key))
                if found != ("CERT_PROFILE", "key"):
                    wrong[name] = found
                told.add(found[1])
                assert await raw_tls.shown(at, papers.chain, papers.key), name
            assert not wrong
            assert len(at.leaves()) == len(CLIENT) + len(held)
            # OpenSSL alone knows versions; of every other rule some variation comes as far as it.
            assert {rule for rule, _ in lint._RULES} - {"version"} <= told

    asyncio.run(run())
    said = "".join(capfd.readouterr())
    assert "PRIVATE KEY" not in said
    assert HELLO.decode() not in said


def unheard(varied: Variation, reason: str) -> bool:
    """Whether TLS itself ends before anything is judged: by no signature of such a key, or a number that is none."""
    if varied.name == "key off its curve":
        return reason == "CERT_PROFILE"
    return reason == "TLS_FAILED" and (varied.rule == "key" or varied.name == "serial empty")


def test_every_rule_of_the_profile_is_met_by_a_variation() -> None:
    rules = {rule for rule, _ in lint._RULES}
    assert rules <= {one.rule for one in CLIENT}
    assert rules - {"extended-key-usage"} <= {one.rule for one in ENCRYPTION}
