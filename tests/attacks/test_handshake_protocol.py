"""identity.md section 7, attacks 1 and 27-43: what is wrong is not the certificate's form, or not only."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from gateway.config.settings import Settings
from gateway.front import context, handshake
from gateway.pki import register
from tests.audit.stage import until
from tests.front.stage import CITY_AT, HELLO, NOBODY_AT, OTHER, OTHER_AT, Stage, stage
from tests.pki.forge import BITS, EKU, USAGE, Ca, Papers, extension, replaced, tlv
from tests.pki.forgeries import DAY_US

Attack = Callable[[Stage], Awaitable[object]]


async def _raw(at: Stage, said: bytes, address: str = CITY_AT) -> bytes:
    """Say something that is not TLS and return the answer."""
    reader, writer = await asyncio.open_connection(address, at.settings.ports.intake)
    writer.write(said)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()


async def _refused(
    at: Stage, client: ssl.SSLContext | Papers | None, address: str = CITY_AT
) -> None:
    assert not await at.served(client, address)


async def _none(at: Stage) -> None:
    await _refused(at, None)


async def _to_encrypt_to(at: Stage) -> None:
    """A certificate whose key agrees on keys and signs nothing."""
    usage = replaced(USAGE, extension(USAGE, tlv(BITS, b"\x03\x08"), critical=True))
    papers = at.ca.changed(lambda found: replaced(EKU, None)(usage(found)))
    await _refused(at, at.register(papers, purpose=register.ENCRYPTION))


async def _registered_to_encrypt_to(at: Stage) -> None:
    await _refused(at, at.register(at.ca.good(), purpose=register.ENCRYPTION))


async def _huge_chain(at: Stage) -> None:
    papers = at.good()
    root = at.ca.root.certificate.public_bytes(Encoding.DER)
    await _refused(at, Papers((*papers.chain, *[root] * 400), papers.key))


async def _tls12(at: Stage) -> None:
    client = at.context(at.good())
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    await _refused(at, client)


async def _tls11(at: Stage) -> None:
    client = at.context(at.good())
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    await _refused(at, client)


async def _http1(at: Stage) -> None:
    client = at.context(at.good())
    client.set_alpn_protocols(["http/1.1"])
    await _refused(at, client)


async def _no_alpn(at: Stage) -> None:
    client = ssl.create_default_context(cafile=str(at.home.root_certificate))
    client.check_hostname = False
    with at.papers_file(at.good()) as file:
        client.load_cert_chain(file)
    await _refused(at, client)


async def _plain_http(at: Stage) -> None:
    assert await _raw(at, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b""


async def _garbage(at: Stage) -> None:
    await _raw(at, b"\x16\x03\x01\xff\xff" + b"\xaa" * 70_000)


async def _gone_at_once(at: Stage) -> None:
    _, writer = await asyncio.open_connection(CITY_AT, at.settings.ports.intake)
    writer.close()


async def _stale_list(at: Stage) -> None:
    at.write_crl(now_us=at.ca.now_us - 3 * DAY_US, number=at.front._terms.current.crl_number + 1)
    at.front.refresh()
    await _refused(at, at.good())


async def _unknown_tunnel(at: Stage) -> None:
    await _refused(at, at.good(), NOBODY_AT)


async def _tunnel_of_another(at: Stage) -> None:
    await _refused(at, at.good(), OTHER_AT)


async def _never_registered(at: Stage) -> None:
    await _refused(at, at.ca.good())


async def _organisation_suspended(at: Stage) -> None:
    papers = at.good()
    at.sql("UPDATE gateway.organisation SET state = 2 WHERE code = '140100'")
    await _refused(at, papers)


async def _system_suspended(at: Stage) -> None:
    papers = at.good()
    at.sql("UPDATE gateway.system SET state = 2 WHERE organisation = '140100'")
    await _refused(at, papers)


ATTACKS: list[tuple[Attack, str, str, str]] = [
    (_none, "tls.refused", "CERT_MISSING", "peer-did-not-return-a-certificate"),
    (_to_encrypt_to, "tls.refused", "CERT_PROFILE", "extensions"),
    (_registered_to_encrypt_to, "tls.refused", "CERT_PROFILE", ""),
    (_huge_chain, "tls.refused", "TLS_FAILED", "excessive-message-size"),
    (_tls12, "tls.refused", "TLS_VERSION", "unsupported-protocol"),
    (_tls11, "tls.refused", "TLS_VERSION", "unsupported-protocol"),
    (_http1, "tls.refused", "TLS_NO_H2", ""),
    (_no_alpn, "tls.refused", "TLS_NO_H2", "nothing-offered"),
    (_plain_http, "tls.refused", "TLS_FAILED", "http-request"),
    (_garbage, "tls.refused", "TLS_FAILED", "*"),
    (_gone_at_once, "tls.refused", "TLS_FAILED", "unexpected-eof"),
    (_stale_list, "tls.refused", "CRL_STALE", "list"),
    (_unknown_tunnel, "connection.refused", "ORIGIN_NOT_TUNNEL", ""),
    (_tunnel_of_another, "tls.refused", "ORIGIN_MISMATCH", ""),
    (_never_registered, "tls.refused", "CERT_UNKNOWN", ""),
    (_organisation_suspended, "tls.refused", "ORGANISATION_SUSPENDED", ""),
    (_system_suspended, "tls.refused", "SYSTEM_SUSPENDED", ""),
]


def test_each_attack_leaves_one_leaf(
    cluster: Any, database_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever is refused, is refused once, with the one reason; after each the next honest client is served."""

    async def run() -> None:
        async with stage(cluster, database_settings, limits={"new_per_peer_burst": 1000}) as at:
            honest = at.good(OTHER)
            wrong = []
            for count, (attack, *wanted) in enumerate(ATTACKS, start=1):
                await attack(at)
                leaf = await at.leaf(count)
                found = [leaf["kind"], leaf["reason"], leaf.get("detail", {}).get("cause", "")]
                found = [
                    "*" if one == "*" else other for one, other in zip(wanted, found, strict=True)
                ]
                if found != wanted or leaf["decision"] != "deny":
                    wrong.append((attack.__name__, leaf))
                assert leaf["listener"].startswith("127.0.0.")
                assert leaf["door"] == "intake"
                _mend(at, 2 * count)
                assert await at.served(honest, OTHER_AT), attack
                assert len(at.leaves()) == count
            assert not wrong

    asyncio.run(run())
    said = capfd.readouterr()
    assert "PRIVATE KEY" not in said.out + said.err
    assert str(HELLO) not in said.out + said.err


def _mend(at: Stage, number: int) -> None:
    """Undo what an attack did to the gateway, and give its source its full measure of leaves again."""
    at.sql("UPDATE gateway.organisation SET state = 1")
    at.sql("UPDATE gateway.system SET state = 1")
    at.write_crl(number=number)
    at.front.refresh()
    at.recorder._floods._buckets.clear()


@pytest.mark.parametrize(
    ("seconds", "reason"),
    # A day back the authority itself, made just now, is not valid yet.
    [(86_400 + 3_600, "CRL_STALE"), (-86_400, "CERT_UNTRUSTED")],
)
def test_a_clock_that_jumped_lets_nobody_in(
    cluster: Any, database_settings: Settings, seconds: int, reason: str
) -> None:
    """39: the front's clock a day ahead or behind; nobody is let in, not even to be told of it."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            at.clock.turn(seconds=seconds)
            assert not await at.served(at.good())
            assert (await at.leaf())["reason"] == reason
            at.clock.turn(seconds=-seconds)
            assert await at.served(at.good())

    asyncio.run(run())


def test_a_callback_that_raises_lets_nobody_in(
    cluster: Any, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """43: our own fault in the verify callback is a refusal with a leaf, and nothing of it reaches the caller."""

    def broken(*_: object) -> bool:
        raise RuntimeError("secret thought")

    async def run() -> None:
        monkeypatch.setattr("gateway.front.listener.observe", broken)
        async with stage(cluster, database_settings) as at:
            assert not await at.served(at.good())
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["decision"], leaf["reason"]) == (
                "tls.refused",
                "error",
                "INTERNAL",
            )
            monkeypatch.setattr(at.front._terms, "_callback", handshake.observe)
            at.write_crl(number=2)
            at.front.refresh()
            assert await at.served(at.good())
            assert len(at.leaves()) == 1

    asyncio.run(run())


def test_a_session_is_never_resumed(cluster: Any, database_settings: Settings) -> None:
    """31, 32: a ticket of an earlier session does not spare a revoked certificate its refusal."""

    def connect(
        at: Stage, client: ssl.SSLContext, session: ssl.SSLSession | None
    ) -> tuple[bool, ssl.SSLSession | None]:
        plain = socket.create_connection((CITY_AT, at.settings.ports.intake))
        with plain, client.wrap_socket(plain, session=session) as tls:
            tls.sendall(HELLO)
            assert tls.recv(5) == HELLO
            return tls.session_reused or False, tls.session

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            client = at.context(papers)
            reused, session = await asyncio.to_thread(connect, at, client, None)
            reused, session = await asyncio.to_thread(connect, at, client, session)
            assert not reused
            at.revoke(papers)
            reused, session = await asyncio.to_thread(connect, at, client, session)
            assert not reused
            assert await at.defect(papers) == "CERT_REVOKED"

    asyncio.run(run())


def test_slow_handshakes_block_nobody(cluster: Any, database_settings: Settings) -> None:
    """33: forty half-open handshakes wait their time out, each in a leaf or counted; an honest client is not kept waiting."""

    async def run() -> None:
        async with stage(
            cluster,
            database_settings,
            limits={"handshakes_per_peer": 50, "new_per_peer_burst": 100},
            handshake_timeout_s=5,
        ) as at:
            papers = at.good()
            half_open = [
                await asyncio.open_connection(CITY_AT, at.settings.ports.intake) for _ in range(40)
            ]
            half_open[0][1].write(b"\x16\x03\x01")
            assert await at.served(papers)
            assert at.leaves() == []  # none of them has ended
            for reader, writer in half_open:
                with contextlib.suppress(OSError):
                    assert await reader.read() == b""
                writer.close()
            await until(lambda: _told(at.leaves()) >= 40)
            leaves = at.leaves()
            assert _told(leaves) == 40
            assert {leaf.get("reason", "TLS_TIMEOUT") for leaf in leaves} == {"TLS_TIMEOUT"}
            assert await at.served(papers)

    asyncio.run(run())


def _told(leaves: list[dict[str, Any]]) -> int:
    return sum(
        leaf["counts"]["suppressed"] if leaf["kind"] == "suppressed" else 1 for leaf in leaves
    )


def test_a_flood_is_counted_exactly(cluster: Any, database_settings: Settings) -> None:
    """Three hundred refusals from one source: some leaves, the rest in `suppressed` leaves, none lost."""

    async def run() -> None:
        async with stage(
            cluster, database_settings, limits={"new_per_peer_burst": 1000, "per_peer": 500}
        ) as at:
            await asyncio.gather(*[_raw(at, b"x", NOBODY_AT) for _ in range(300)])
            await until(lambda: _told(at.leaves()) >= 300)
            leaves = at.leaves()
            assert _told(leaves) == 300
            assert len(leaves) < 100
            assert all(
                leaf["detail"]["source"] == "127.0.0.0/24"
                for leaf in leaves
                if leaf["kind"] == "suppressed"
            )

    asyncio.run(run())


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"per_peer": 2}, "CONNECTIONS_EXHAUSTED"),
        ({"total": 2}, "CONNECTIONS_EXHAUSTED"),
        ({"new_per_peer_burst": 2, "new_per_peer_per_s": 0.001}, "RATE_LIMITED"),
    ],
)
def test_a_limit_refuses_before_tls(
    cluster: Any, database_settings: Settings, limits: dict[str, Any], reason: str
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings, limits=limits) as at:
            papers = at.good()
            held = [await at.connect(papers) for _ in range(2)]
            for reader, writer in held:
                writer.write(HELLO)
                assert await reader.readexactly(5) == HELLO
            assert not await at.served(papers)
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"]) == ("connection.refused", reason)
            assert "certificate" not in leaf
            for _, writer in held:
                writer.close()
            at.clock.turn(seconds=10_000)
            await until(lambda: not at.front.connections)
            assert await at.served(papers)

    asyncio.run(run())


@pytest.mark.parametrize("wrong", ["issuer", "signature", "number", "garbage", "absent"])
def test_a_wrong_list_is_not_taken(cluster: Any, database_settings: Settings, wrong: str) -> None:
    """36, 37: a list of another issuer, with a wrong signature, an older number, garbage or none: the one in force stays."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            revoked = at.good()
            at.write_crl(revoked, number=7)
            at.front.refresh()
            if wrong == "issuer":
                at.write_crl(number=9, ca=Ca.make(at.ca.now_us, "stranger"))
            elif wrong == "signature":
                at.write_crl(number=9, ca=Ca.make(at.ca.now_us))
            elif wrong == "number":
                at.write_crl(number=6)
            elif wrong == "garbage":
                at.home.crl.write_bytes(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
            else:
                at.home.crl.unlink()
            at.front.refresh()
            assert at.front._terms.current.crl_number == 7
            assert await at.defect(revoked) == "CERT_REVOKED"
            assert await at.defect(at.good()) == ""

    asyncio.run(run())


def test_no_list_no_front(cluster: Any, database_settings: Settings) -> None:
    """36: a front without a list does not start."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            at.home.crl.unlink()
            with pytest.raises(context.ContextError):
                context.CurrentTerms(at.home, at.settings, at.clock, handshake.observe)

    asyncio.run(run())


def test_a_used_context_cannot_be_changed(cluster: Any, database_settings: Settings) -> None:
    """48: new terms are a new context; pyOpenSSL holds us to it."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            before = at.front._terms.current.context
            assert await at.served(at.good())
            with pytest.raises(ValueError, match="already been used"):
                before.set_options(SSL.OP_NO_TICKET)
            at.write_crl(number=2)
            at.front.refresh()
            assert at.front._terms.current.context is not before

    asyncio.run(run())
