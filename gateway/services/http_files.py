"""The log's files over HTTP/1.1 (C2SP tlog-tiles): each GET is a call of GetLogFile by the guard.

Nothing is decided here. A request becomes what `wire` reads of a call of grpc, and the guard gives
the same checks, the same single leaf and the same refusals; what no GET of ours says is a method
that nobody knows. One request after the other on a connection that stays; after a refusal of its
form the connection ends, since nobody knows where the next request would begin.
"""

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from gateway import log
from gateway.errors import Reason
from gateway.services import wire
from gateway.services.guard import Guard
from gateway.services.status import STATUS_KEY
from gateway.v1 import audit_service_pb2 as pb

METHOD = "/gateway.v1.AuditService/GetLogFile"
# Anything else that was asked: the guard knows no such method.
OTHER = "/http"
# The head of a request: what a token of ours needs, four times over.
HEAD_MAX_BYTES = 8_192
# Between two requests, and for a begun one to be whole (as `wire.FIRST_MESSAGE_S`).
IDLE_S = 60.0
REQUEST_S = 5.0
# For an answer to be made, and for each piece of it to be read: a bad line with 1.6 KB/s will do.
CALL_S = 30.0
ANSWER_S = 10.0
PIECE_BYTES = 16_384
# What is still sent after our last answer is read and thrown away so long (as `front.handshake`).
DISMISS_S = 0.5
DISMISS_BYTES = 65_536
_SOCKET_MODE = 0o660
_END = b"\r\n\r\n"
_GET = re.compile(rb"GET /([!-~]*) HTTP/1\.1")
# RFC 9110 section 5.1 and 5.5, without folding and without obs-text.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~]*)")
_STATUS: Mapping[str, HTTPStatus] = {
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "FAILED_PRECONDITION": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "UNIMPLEMENTED": HTTPStatus.METHOD_NOT_ALLOWED,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
}
_LOG = log.get("http_files")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the method of the guard, what it is sent, its tokens, if the connection stays."""

    method: str
    messages: tuple[bytes, ...]
    tokens: tuple[str, ...] = ()
    stays: bool = False


# No message at all: a request that began and was not whole in time.
UNFINISHED = Asked(METHOD, ())
# More than the rpc takes: a head beyond what is read.
TOO_LONG = Asked(METHOD, (bytes(HEAD_MAX_BYTES),))


def parse(head: bytes) -> Asked:
    """Return what the head of a request asks; whatever is not our GET is asked as OTHER."""
    first, *lines = head.removesuffix(_END).split(b"\r\n")
    target = _GET.fullmatch(first)
    fields = [_FIELD.fullmatch(line) for line in lines]
    if target is None or None in fields:
        return Asked(OTHER, ())
    named = [(one[1].lower(), one[2].strip(b" \t").decode()) for one in fields if one]
    tokens = tuple(value for name, value in named if name == b"authorization")
    message = pb.GetLogFileRequest(path=target[1].decode()).SerializeToString()
    if any(name in {b"content-length", b"transfer-encoding", b"upgrade"} for name, _ in named):
        return Asked(METHOD, (message, b""), tokens)  # a GET has no body: one message too many
    ends = any(name == b"connection" and value.lower() == "close" for name, value in named)
    return Asked(METHOD, (message,), tokens, not ends)


@dataclass(slots=True)
class Exchange:
    """One request as the guard sees a call of grpc (`wire.Context`), and what it answered."""

    name: str
    asked: Asked
    content: bytes = b""
    code: grpc.StatusCode = grpc.StatusCode.OK
    status: status_pb2.Status = field(default_factory=status_pb2.Status)
    _read: int = 0

    def peer(self) -> str:
        """Return whose connection it is, as grpc says it."""
        return self.name

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """Return the tokens."""
        return [("authorization", one) for one in self.asked.tokens]

    def time_remaining(self) -> float:
        """Return the time an answer has: HTTP has no deadline of its own."""
        return CALL_S

    async def read(self) -> bytes | None:
        """Return the next message."""
        self._read += 1
        return next(iter(self.asked.messages[self._read - 1 :]), None)

    async def write(self, reply: bytes) -> None:
        """Take the reply, whose leaf is committed."""
        self.content = pb.GetLogFileResponse.FromString(reply).content

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, bytes]]) -> None:
        """Take the status of a refusal."""
        self.status.ParseFromString(dict(metadata).get(STATUS_KEY, b""))

    def set_code(self, code: grpc.StatusCode) -> None:
        """Take the code."""
        self.code = code

    def set_details(self, details: str) -> None:
        """Leave the text: the status has it."""

    def answer(self) -> bytes:
        """Return the answer: the file, or a line with reason and request id."""
        if self.code is grpc.StatusCode.OK:
            return _answer(
                HTTPStatus.OK, self.content, {"Content-Type": "application/octet-stream"}
            )
        told, request, wait = (_detail(self.status, kind) for kind in _DETAILS)
        headers = {"Content-Type": "text/plain"}
        status = _STATUS.get(self.code.name, HTTPStatus.INTERNAL_SERVER_ERROR)
        if told.reason == Reason.MESSAGE_TOO_LARGE:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if wait.HasField("retry_delay"):
            headers["Retry-After"] = str(wait.retry_delay.seconds + 1)
        if status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET"
        line = f"{told.reason or self.code.name} {request.request_id}\n"
        return _answer(status, line.encode(), headers)


class HttpFiles:
    """The socket that the front relays readers of the log's files to."""

    def __init__(self, guard: Guard) -> None:
        """Ask this guard; `open` begins to serve."""
        self._guard = guard
        self._visits: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self, path: Path) -> None:
        """Serve on this socket, in place of one that a dead door left."""
        _remove(path)
        self._server = await asyncio.start_unix_server(
            self._visit, path=str(path), limit=HEAD_MAX_BYTES
        )
        _open_to_group(path)

    async def close(self) -> None:
        """End every connection; a call that still runs leaves its leaf."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        visits = [*self._visits]
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        await self._guard.settle()
        await server.wait_closed()

    def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted at the moment of the end
            writer.close()
            return
        visit = asyncio.create_task(self._serve(reader, writer))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection's requests: the outermost handler of a connection."""
        try:
            stays = True
            while stays and (asked := await _asked(reader)) is not None:
                exchange = Exchange(_name(writer), asked)
                async with asyncio.timeout(CALL_S):
                    await self._guard.answer(asked.method, cast("wire.Context", exchange))
                await _send(writer, exchange.answer())
                stays = asked.stays
            await _dismiss(reader, writer)
        except (OSError, TimeoutError):  # gone, or it reads nothing: what it asked is on the log
            writer.transport.abort()
        except Exception as error:  # noqa: BLE001  the outermost handler: a fault ends one connection
            _LOG.error("visit failed", error=type(error).__name__)
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Send an answer piece by piece, each within its time: the length bounds how long it takes."""
    # `drain` waits until all of the piece is out, not until little enough is left.
    writer.transport.set_write_buffer_limits(high=0)
    for begin in range(0, len(answer), PIECE_BYTES):
        writer.write(answer[begin : begin + PIECE_BYTES])
        async with asyncio.timeout(ANSWER_S):
            await writer.drain()


async def _dismiss(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the other side read what was said last: closing on unread bytes would reset it away."""
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISMISS_S):
            left = DISMISS_BYTES
            while left > 0 and (read := await reader.read(left)):
                left -= len(read)


async def _asked(reader: asyncio.StreamReader) -> Asked | None:
    """Return the next request; None where the connection ended, or was idle for too long."""
    try:
        async with asyncio.timeout(IDLE_S):
            first = await reader.read(1)
    except TimeoutError:
        return None
    if not first:
        return None
    try:
        async with asyncio.timeout(REQUEST_S):
            return parse(first + await reader.readuntil(_END))
    except asyncio.LimitOverrunError:
        return TOO_LONG
    except (asyncio.IncompleteReadError, TimeoutError):
        return UNFINISHED


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _open_to_group(path: Path) -> None:
    path.chmod(_SOCKET_MODE)


def _name(writer: asyncio.StreamWriter) -> str:
    """Return the connection's name in grpc's form; the guard knows those that are the front's."""
    name = writer.get_extra_info("peername")
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else ""
    return f"unix-abstract:{text.removeprefix(chr(0))}"


_DETAILS = (error_details_pb2.ErrorInfo, error_details_pb2.RequestInfo, error_details_pb2.RetryInfo)


# Any: generated messages, each with fields of its own.
def _detail(status: status_pb2.Status, kind: Any) -> Any:  # noqa: ANN401
    """Return a status's detail of one type, empty where it has none."""
    found = kind()
    for each in status.details:
        if each.Is(kind.DESCRIPTOR):
            each.Unpack(found)
    return found


def _answer(status: HTTPStatus, content: bytes, headers: Mapping[str, str]) -> bytes:
    told = {**headers, "Content-Length": str(len(content)), "Cache-Control": "no-store"}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{n}: {v}" for n, v in told.items())]
    return "\r\n".join(lines).encode() + _END + content
