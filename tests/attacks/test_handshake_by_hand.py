"""identity.md section 7, attacks 22, 26, 28, 32 and 41, by a client that no TLS library is (raw_tls): at a front that serves.

What no library would load is shown as it is; what nobody granted is offered. Each is refused with its reason and one leaf,
or taken no notice of where it is an offer; no secret is logged, and the next honest client is served.
"""

import asyncio
import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from gateway.config.settings import Settings
from gateway.pki import ceremony
from tests.attacks.raw_tls import (
    APPLICATION,
    CLIENT_HELLO,
    EARLY_DATA,
    PRE_SHARED_KEY,
    PSK_MODES,
    binder_for,
    connected,
    extension,
    message,
    reading,
    refused,
    shown,
    vector,
)
from tests.audit.stage import until
from tests.front.stage import CITY_AT, HELLO, OTHER, OTHER_AT, serial, stage
from tests.pki.forge import EKU, replaced
from tests.pki.forgeries import FORGERIES
from tests.vectors.pkits import ANCHOR, CRLS, DATA, INVALID, cases

# cryptography warns of each certificate that it reads though RFC 5280 forbids it.
pytestmark = pytest.mark.filterwarnings("ignore")
PSK_WITH_SHARE, PSK_ALONE = (extension(PSK_MODES, vector(mode, 1)) for mode in (b"\1", b"\0"))
OFFER = binder_for(b"\5" * 48)
ROOM = {"new_per_peer_burst": 1000}


def quiet(capfd: pytest.CaptureFixture[str], *secrets: bytes) -> None:
    said = "".join(capfd.readouterr())
    assert "PRIVATE KEY" not in said
    assert not [one for one in secrets if one.decode() in said]


def malformed(good: bytes) -> dict[str, bytes]:
    """Bytes that are no certificate, made of one that is."""
    return {
        "nothing": b"",
        "one octet": good[:1],
        "cut in the middle": good[: len(good) // 2],
        "without its last octet": good[:-1],
        "an octet behind": good + b"\0",
        "a length that never ends": b"\x30\x84\xff\xff\xff\xff",
        "its PEM": x509.load_der_x509_certificate(good).public_bytes(Encoding.PEM),
        "text": b"x" * 1000,
        "more than the front reads": b"\x30\x83\x03\x0d\x40" + bytes(200_000),
    }


def test_26_28_what_no_library_loads_is_shown_as_it_is(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings, limits=ROOM) as at, reading(at) as log:
            honest, wrong = at.good(OTHER), {}
            for forgery in [one for one in FORGERIES if not one.showable]:
                papers = forgery.make(at.ca)
                leaf = await refused(at, log, papers.chain, papers.key)
                if leaf["reason"] != forgery.reason:
                    wrong[forgery.name] = leaf["reason"]
                assert await at.served(honest, OTHER_AT)
            papers = at.good()
            for name, content in malformed(papers.chain[0]).items():
                leaf = await refused(at, log, [content], papers.key)
                if leaf["reason"] not in ("TLS_FAILED", "CERT_MISSING"):
                    wrong[name] = leaf["reason"]
                assert "subject" not in leaf
                assert await at.served(honest, OTHER_AT)
            assert not wrong
            # The same client is let in with what is as it must be.
            assert await shown(at, papers.chain, papers.key)

    asyncio.run(run())
    quiet(capfd, HELLO)


def test_28_another_writing_is_the_same_certificate(
    cluster: Any, database_settings: Settings
) -> None:
    """OpenSSL reads BER around the signed part too; what is judged, and told, is the DER: nothing is won by it."""

    def indefinite(der: bytes) -> bytes:
        return b"\x30\x80" + der[4:] + b"\0\0"

    async def run() -> None:
        async with stage(cluster, database_settings) as at, reading(at) as log:
            papers, wrong = at.good(), at.ca.changed(replaced(EKU, None))
            assert await shown(at, [indefinite(papers.chain[0])], papers.key)
            leaf = await refused(at, log, [indefinite(wrong.chain[0])], wrong.key)
            assert leaf["reason"] == "CERT_PROFILE"
            assert leaf["certificate"] == hashlib.sha256(wrong.chain[0]).hexdigest()
            at.sql("UPDATE gateway.organisation SET state = 2")
            leaf = await refused(at, log, [indefinite(papers.chain[0])], papers.key)
            assert (leaf["reason"], leaf["serial"]) == ("ORGANISATION_SUSPENDED", serial(papers))
            at.sql("UPDATE gateway.organisation SET state = 1")
            assert await at.served(papers)

    asyncio.run(run())


def test_28_a_certificate_without_its_key(cluster: Any, database_settings: Settings) -> None:
    """Anybody's certificate can be seen; who cannot sign for it is refused, and it is not told as his."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at, reading(at) as log:
            papers = at.good()
            leaf = await refused(at, log, papers.chain, None)
            assert leaf["reason"] == "TLS_FAILED"
            assert "organisation" not in leaf
            leaf = await refused(at, log, papers.chain, at.good().key)
            assert leaf["reason"] == "TLS_FAILED"
            assert await at.served(papers)

    asyncio.run(run())


def test_32_what_resumes_or_comes_early_is_never_taken_up(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers, port = at.good(), at.settings.ports.intake
            # A session, and words before the handshake: the certificate is asked for all the same, the words reach nobody.
            async with connected(CITY_AT, port) as raw:
                offers = (PSK_WITH_SHARE, extension(EARLY_DATA), OFFER)
                await raw.hello(*offers, early=b"early words")
                assert not {PRE_SHARED_KEY, EARLY_DATA} & set(raw.extensions)
                await raw.show(papers.chain, papers.key)
                await raw.say(HELLO, APPLICATION)
                assert await raw.heard() == HELLO
            assert at.leaves() == []
            # A session in a certificate's place.
            async with connected(CITY_AT, port) as raw:
                await raw.hello(PSK_WITH_SHARE, OFFER)
                await raw.show([])
                await raw.say(HELLO, APPLICATION)
                assert await raw.heard() == b""
            assert (await at.leaf(1))["reason"] == "CERT_MISSING"
            # A session alone, without fresh keys.
            async with connected(CITY_AT, port) as raw:
                with pytest.raises(ConnectionError):
                    await raw.hello(PSK_ALONE, OFFER, shares=False)
            leaf = await at.leaf(2)
            assert (leaf["kind"], leaf["reason"]) == ("tls.refused", "TLS_FAILED")
            assert await at.served(papers)
            assert len(at.leaves()) == 2

    asyncio.run(run())
    quiet(capfd, b"early words", HELLO)


def test_32_a_second_handshake_ends_the_connection(
    cluster: Any, database_settings: Settings
) -> None:
    """Renegotiation has no place in TLS 1.3 (RFC 8446 section 4.1.2). Whoever was let in is refused nothing: no leaf."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            async with connected(CITY_AT, at.settings.ports.intake) as raw:
                await raw.hello()
                await raw.show(papers.chain, papers.key)
                await raw.say(HELLO, APPLICATION)
                assert await raw.heard() == HELLO
                await raw.say(message(CLIENT_HELLO, b"\x03\x03" + bytes(64)))
                await raw.say(HELLO, APPLICATION)
                assert await raw.heard() == b""
            await until(lambda: not at.front.connections)
            assert await at.served(papers)
            assert at.leaves() == []

    asyncio.run(run())


def keys_of_pkits() -> dict[bytes, Any]:
    """The private key of each end entity of the suite's invalid paths: no refusal is one of a missing key."""
    wanted = {case.leaf for case in cases() if not case.valid}
    found: dict[bytes, Any] = {}
    for path in sorted((DATA / "certs").glob("*.crt")):
        if (leaf := path.read_bytes()) in wanted:
            content = (DATA / "pkcs12" / f"{path.stem}.p12").read_bytes()
            found[leaf] = load_key_and_certificates(content, b"password")[0]
    assert set(found) == wanted
    return found


@pytest.mark.timeout(300)
def test_41_every_invalid_path_of_pkits_is_refused_at_the_front(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its trust anchor is trusted for this, as the province's own authority would be: what is below it is refused for itself."""
    keys = keys_of_pkits()

    async def run() -> None:
        async with stage(cluster, database_settings, limits=ROOM) as at, reading(at) as log:
            honest, told = at.good(OTHER), {}
            anchor = x509.load_der_x509_certificate(ANCHOR.read_bytes())
            [own] = [path for path in CRLS if path.stem == "TrustAnchorRootCRL"]
            lists = x509.load_der_x509_crl(own.read_bytes()).public_bytes(Encoding.PEM)
            at.home.crl.write_bytes(at.home.crl.read_bytes() + lists)
            bundle = ceremony.pem(at.ca.client.certificate) + ceremony.pem(anchor)
            at.home.client_authority_certificate.write_bytes(bundle)
            await until(lambda: len(at.front._terms.current.lists) == 2)
            invalid = [case for case in cases() if not case.valid]
            assert len(invalid) == INVALID
            for case in invalid:
                leaf = await refused(at, log, (case.leaf, *case.above), keys[case.leaf])
                told[case.name] = leaf["reason"]
                assert "organisation" not in leaf
            assert set(told.values()) == {"CERT_UNTRUSTED", "CERT_PROFILE"}, told
            assert await at.served(honest, OTHER_AT)
            assert len(at.leaves()) == INVALID

    asyncio.run(run())
    quiet(capfd, HELLO)
