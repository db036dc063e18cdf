"""What the enrolment listener tells without a certificate: the root, by HTTP/1.1, and nothing else."""

import asyncio
import contextlib
import hashlib
import ssl
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.settings import Settings
from gateway.front import root_page
from tests.audit.stage import until
from tests.front.stage import CITY, CITY_AT, HELLO, NOBODY_AT, Stage, stage

GET = b"GET /root.pem HTTP/1.1\r\nHost: x\r\nUser-Agent: curl/8.5\r\n\r\n"


async def _asked(
    at: Stage, request: bytes, *, alpn: tuple[str, ...] = (), address: str = CITY_AT
) -> bytes:
    """Ask as `curl -k` does: nothing is verified."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    if alpn:
        client.set_alpn_protocols(alpn)
    reader, writer = await asyncio.open_connection(address, at.settings.ports.enrolment, ssl=client)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("alpn", [(), ("http/1.1",), ("spdy/1", "http/1.1")])
def test_the_root_and_its_pin(
    cluster: Any, database_settings: Settings, alpn: tuple[str, ...]
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            answer = await _asked(at, GET, alpn=alpn)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"Content-Length: %d" % len(body) in head
            root = x509.load_pem_x509_certificate(body).public_bytes(Encoding.DER)
            own = at.ca.root.certificate.public_bytes(Encoding.DER)
            assert hashlib.sha256(root).digest() == hashlib.sha256(own).digest()
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["decision"], leaf["door"]) == (
                "enrolment.root",
                "allow",
                "enrolment",
            )
            assert leaf["tunnel"] == f"listen/{CITY_AT}"
            assert "certificate" not in leaf
            await until(lambda: not at.front._admission.places.total)

    asyncio.run(run())


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /root.pem HTTP/1.1\r\n\r\n",
        b"GET /root.pem?x HTTP/1.1\r\n\r\n",
        b"GET /../secrets/front/server.key HTTP/1.1\r\n\r\n",
        b"GET /root.pem HTTP/2\r\n\r\n",
        GET + b"GET /root.pem HTTP/1.1\r\n",
        b"GET /root.pem HTTP/1.1\r\nX: " + b"a" * 5_000,
        b"\0" * 4_096,
    ],
)
def test_anything_else_is_not_found(
    cluster: Any, database_settings: Settings, request_: bytes
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            answer = await _asked(at, request_)
            assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
            assert b"BEGIN" not in answer
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["decision"], leaf["reason"]) == (
                "enrolment.root",
                "deny",
                "NOT_FOUND",
            )
            assert (await _asked(at, GET)).startswith(b"HTTP/1.1 200")
            await at.leaf(2)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "reason"), [(b"GET /root", "TLS_TIMEOUT"), (b"", "TLS_TIMEOUT"), (None, "TLS_FAILED")]
)
def test_who_does_not_ask_in_time_or_goes_away(
    cluster: Any,
    database_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    said: bytes | None,
    reason: str,
) -> None:
    monkeypatch.setattr(root_page, "REQUEST_S", 0.3)

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            if said is None:
                client = ssl.create_default_context()
                client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
                _, writer = await asyncio.open_connection(
                    CITY_AT, at.settings.ports.enrolment, ssl=client
                )
                writer.close()
            else:
                assert await _asked(at, said) == b""
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["decision"], leaf["reason"]) == (
                "enrolment.root",
                "deny",
                reason,
            )
            await until(lambda: not at.front._admission.places.total)

    asyncio.run(run())


def test_outside_a_tunnel_nobody_is_told(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            with contextlib.suppress(OSError):
                assert await _asked(at, GET, address=NOBODY_AT) == b""
            leaf = await at.leaf()
            assert (leaf["kind"], leaf["reason"]) == ("connection.refused", "ORIGIN_NOT_TUNNEL")

    asyncio.run(run())


def test_http2_is_relayed_to_the_enrolment_socket_as_the_tunnels(
    cluster: Any, database_settings: Settings
) -> None:
    """No certificate is asked for, one that is shown is not looked at; it ends after ten minutes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            path = at.home.door_socket("enrolment")
            door = await asyncio.start_unix_server(echo, path=str(path))
            reader, writer = await at.connect(at.good(), door="enrolment")
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            [name] = at.front.connections._live
            control = at.control()
            found = await control.who(name)
            assert found is not None
            assert (found.door, found.organisation) == ("enrolment", CITY.organisation)
            assert (found.subject, found.serial, found.certificate_sha256) == ("", "", "")
            await control.close()
            at.revoke(at.good())
            await asyncio.sleep(0.6)  # two looks of the watch, an epoch moved between
            at.clock.turn(seconds=590)
            writer.write(HELLO)
            assert await reader.readexactly(5) == HELLO
            at.clock.turn(seconds=11)
            async with asyncio.timeout(20):
                assert await reader.read() == b""
            writer.close()
            door.close()
            assert at.leaves() == []

    asyncio.run(run())


def test_no_application_protocol_of_ours(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            with contextlib.suppress(OSError):
                await _asked(at, GET, alpn=("spdy/1",))
            assert (await at.leaf())["reason"] == "TLS_NO_H2"

    asyncio.run(run())
