"""What a request says, before anybody judges it; the doors' answers are tests/coverage/test_http.py's."""

import asyncio
import contextlib

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Reason, refuse
from gateway.services import http_files
from gateway.services.http_files import METHOD, OTHER, Asked, Exchange, parse
from gateway.services.status import status_of, trailers
from gateway.v1 import audit_service_pb2 as pb
from tests.coverage.rpcs import eventually
from tests.http_reader import direct, get

ID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"


def message(path: str) -> bytes:
    return pb.GetLogFileRequest(path=path).SerializeToString()


def test_a_get_is_a_call():
    asked = parse(get("tile/0/000", "a.b.c"))
    assert asked == Asked(METHOD, (message("tile/0/000"),), ("Bearer a.b.c",), stays=True)


@pytest.mark.parametrize(
    ("fields", "stays"),
    [
        ((), True),
        (("Connection: keep-alive",), True),
        (("connection:Close",), False),
        (("CONNECTION: close",), False),
    ],
)
def test_a_connection_stays_until_its_client_says_otherwise(fields, stays):
    assert parse(get("checkpoint", fields=fields)).stays is stays


@pytest.mark.parametrize(
    "field", ["Content-Length: 0", "transfer-encoding: chunked", "Upgrade: h2c"]
)
def test_a_get_with_a_body_is_one_message_too_many(field):
    asked = parse(get("checkpoint", fields=[field]))
    assert (len(asked.messages), asked.stays) == (2, False)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /checkpoint HTTP/1.1\r\nHost\r\n\r\n",
        b"GET checkpoint HTTP/1.1\r\n\r\n",
        b"GET  /checkpoint HTTP/1.1\r\n\r\n",
        b"GET /check point HTTP/1.1\r\n\r\n",
        b"GET /checkpoint HTTP/1.1 \r\n\r\n",
        b"\r\nGET /checkpoint HTTP/1.1\r\n\r\n",
        b"GET /checkpoint HTTP/1.1\nHost: x\r\n\r\n",
        b"GET /checkpoint HTTP/1.1\r\nX: \xe4\xb8\xad\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
)
def test_what_is_no_get_of_ours(head):
    assert parse(head) == Asked(OTHER, ())


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_stumble(head):
    asked = parse(head + b"\r\n\r\n")
    assert asked.method in {METHOD, OTHER}


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=100))
def test_the_path_is_what_stands_there(path):
    """Nothing is decoded, joined or shortened on the way: the one judge of a path is `audit.files`."""
    assert parse(get(path)).messages == (message(path),)


@pytest.mark.parametrize(
    ("reason", "status", "field"),
    [
        (Reason.TOKEN_MISSING, b"401 Unauthorized", b"WWW-Authenticate: Bearer"),
        (Reason.POLICY_DENIED, b"403 Forbidden", b""),
        (Reason.PASSWORD_EXPIRED, b"403 Forbidden", b""),
        (Reason.METHOD_UNKNOWN, b"405 Method Not Allowed", b"Allow: GET"),
        (Reason.RATE_LIMITED, b"429 Too Many Requests", b"Retry-After: 2"),
        (Reason.MESSAGE_TOO_LARGE, b"431 Request Header Fields Too Large", b""),
        (Reason.AUDIT_DEGRADED, b"503 Service Unavailable", b"Retry-After: 2"),
        (Reason.CANCELLED, b"500 Internal Server Error", b""),
    ],
)
def test_a_refusal_as_http_says_it(reason, status, field):
    refusal = refuse(reason)
    exchange = Exchange("", Asked(METHOD, ()))
    exchange.set_trailing_metadata(trailers(status_of(refusal, ID, "gateway.test"), "note"))
    exchange.set_code(grpc.StatusCode[refusal.code])
    head, _, body = exchange.answer().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert field in head
    assert b"Cache-Control: no-store" in head
    assert body == f"{reason} {ID}\n".encode()


def test_what_is_internal_says_no_reason():
    exchange = Exchange("", Asked(METHOD, ()))
    exchange.set_trailing_metadata(trailers(status_of(refuse(Reason.INTERNAL), ID, "x"), ""))
    exchange.set_code(grpc.StatusCode.INTERNAL)
    assert exchange.answer().endswith(f"\r\n\r\nINTERNAL {ID}\n".encode())


def test_a_slow_reader_has_time_for_each_piece(monkeypatch):
    """Each piece may come as late as that; tests/attacks/test_log_files.py tries who reads nothing."""
    told: list[object] = []

    @contextlib.asynccontextmanager
    async def timeout(seconds):
        told.append(seconds)
        yield

    class Line:
        transport = type("T", (), {"set_write_buffer_limits": lambda _, high: told.append(high)})()

        def write(self, piece):
            told.append(piece)

        async def drain(self):
            told.append("drained")

    monkeypatch.setattr(http_files, "PIECE_BYTES", 4)
    monkeypatch.setattr(http_files.asyncio, "timeout", timeout)
    asyncio.run(http_files._send(Line(), b"aaaabbbbcc"))
    late = [http_files.ANSWER_S, "drained"]
    assert told == [0, b"aaaa", *late, b"bbbb", *late, b"cc", *late]


def test_the_socket_is_the_groups_and_goes_with_the_door(province):
    async def work(world):
        assert world.home.log_files_socket.stat().st_mode & 0o777 == 0o660
        idle = http_files.HttpFiles(world.guard("administration"))
        await idle.close()
        other = http_files.HttpFiles(world.guard("administration"))
        served = world.home.log_files_socket
        kept = served.rename(served.with_name("kept.sock"))
        await other.open(served)
        async with direct(world, world.auditor) as line:
            await eventually(lambda: other._visits)
            closing = asyncio.create_task(other.close())
            assert await line.ended()
            await closing
        kept.rename(served)

    province.run(work(province.world))
