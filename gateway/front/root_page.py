"""The one page that the enrolment listener tells to whoever comes without HTTP/2: the root.

`curl -k https://HOST:8448/root.pem` gives the root's certificate. Nothing is proven by that: who
enrols compares its SHA-256 with the pin in the invitation before it trusts anything. One request a
connection, small and in time; whatever is not this one is not found.
"""

import asyncio
import socket

from OpenSSL import SSL

from gateway.audit.recorder import Recorder
from gateway.errors import Reason, refuse
from gateway.front import leaves
from gateway.front.handshake import dismiss, persist
from gateway.front.leaves import Visit

# A request of curl has some 80 bytes.
REQUEST_MAX_BYTES = 4_096
# For the request to come, and for the answer to go.
REQUEST_S = 5.0
_END = b"\r\n\r\n"
_ASKED = frozenset({b"GET /root.pem HTTP/1.1", b"GET /root.pem HTTP/1.0"})


async def tell(
    sock: socket.socket, tls: SSL.Connection, visit: Visit, root: bytes, recorder: Recorder
) -> None:
    """Answer the request on this connection and end it; the leaf is committed before the answer.

    Raises TLS_TIMEOUT, TLS_FAILED, and what `append_limited` raises: then nothing was answered.
    """
    visit.asks_root = True
    try:
        async with asyncio.timeout(REQUEST_S):
            request = await _request(sock, tls)
    except TimeoutError:
        raise refuse(Reason.TLS_TIMEOUT) from None
    except SSL.Error:
        raise refuse(Reason.TLS_FAILED, metadata={"cause": "closed"}) from None
    good = request.partition(b"\r\n")[0] in _ASKED and request.endswith(_END)
    event = visit.told(leaves.ROOT) if good else visit.refused(refuse(Reason.NOT_FOUND))
    await recorder.append_limited(visit.source, event)
    try:
        async with asyncio.timeout(REQUEST_S):
            await _send(sock, tls, _answer(b"200 OK", root) if good else _answer(b"404 Not Found"))
    except (TimeoutError, SSL.Error):
        pass  # gone, or it reads nothing: it was answered
    else:
        await dismiss(sock)


async def _request(sock: socket.socket, tls: SSL.Connection) -> bytes:
    """Return what comes until the end of the headers, or until it is too much."""
    request = b""
    while _END not in request and len(request) < REQUEST_MAX_BYTES:
        request += await persist(sock, lambda: tls.recv(REQUEST_MAX_BYTES))
    return request


async def _send(sock: socket.socket, tls: SSL.Connection, answer: bytes) -> None:
    rest = memoryview(answer)
    while rest:
        rest = rest[await persist(sock, lambda: tls.send(rest)) :]  # noqa: B023  called at once
    tls.shutdown()


def _answer(status: bytes, content: bytes = b"") -> bytes:
    lines = (
        b"HTTP/1.1 " + status,
        b"Content-Type: application/x-pem-file",
        b"Content-Length: %d" % len(content),
        b"Cache-Control: no-store",
        b"Connection: close",
    )
    return b"\r\n".join(lines) + _END + content
