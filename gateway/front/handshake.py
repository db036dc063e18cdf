"""One TLS handshake on a non-blocking socket, and what the other side showed of itself meanwhile.

Whatever goes wrong ends as one refusal with one reason. A callback that raises fails closed too:
pyOpenSSL lets its exception out of do_handshake as itself.
"""

import asyncio
import contextlib
import hashlib
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from OpenSSL import SSL, crypto

from gateway.errors import Reason, Refusal, refuse
from gateway.front.context import H2, HTTP
from gateway.names import MalformedNameError
from gateway.pki import der, lint
from gateway.pki.verify import is_soft, reason_of, serial_text

# OpenSSL's own words for what has a reason of its own (ssl/ssl_err.c).
_WORDS = {
    "unsupported protocol": Reason.TLS_VERSION,
    "wrong ssl version": Reason.TLS_VERSION,
    "peer did not return a certificate": Reason.CERT_MISSING,
    "no application protocol": Reason.TLS_NO_H2,
}
_VERIFY_FAILED = "certificate verify failed"
# The audit log's grammar for a cause: up to eight words of letters, 64 characters.
_CAUSE_WORDS = 8
CAUSE_MAX = 64
# What a client still sends after we are done with it is read and thrown away so long.
DISMISS_S = 0.5
DISMISS_BYTES = 65_536
Done = TypeVar("Done")


@dataclass(slots=True)
class Presented:
    """What the verify callback saw of the peer's certificate, and OpenSSL's judgement.

    `certificate` is DER: the leaf's, or the one above it that failed; None before one came.
    `number` and `depth` are OpenSSL's, 0 while all is well; what is let through to be told of is
    none of it.
    """

    certificate: bytes | None = None
    number: int = 0
    depth: int = 0

    def fields(self) -> dict[str, str]:
        """Return what a leaf tells of the certificate: digests always, names if they are ours.

        Nothing of it is proven. Text that the certificate chose itself is never told.
        """
        if self.certificate is None:
            return {}
        told = {"certificate": hashlib.sha256(self.certificate).hexdigest()}
        try:
            certificate = der.certificate(self.certificate)
            told["serial"] = serial_text(certificate.serial_number)
            subject = str(lint.subject_of(certificate))
            # The log takes no run of digits that could be somebody's identity number.
            if not re.search(r"[0-9]{15}", subject):
                told["subject"] = subject
        except (der.MalformedError, MalformedNameError):
            pass
        return told


def observe(
    connection: SSL.Connection, certificate: crypto.X509, number: int, depth: int, ok: int
) -> bool:
    """Note what is presented, for the leaf, and leave OpenSSL's judgement as it is.

    But for a leaf that is only past its time, before it, or revoked: OpenSSL goes on, and what else
    it finds decides. `Verifier.judge` then says what the leaf is good for.
    """
    presented = connection.get_app_data()
    soft = is_soft(number, depth)
    if number and not soft and not presented.number:
        presented.number, presented.depth = number, depth
    if depth == 0 or number:
        presented.certificate = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
    return soft or bool(ok)


async def shake(sock: socket.socket, context: SSL.Context, presented: Presented) -> SSL.Connection:
    """Return the connection once TLS stands on this socket; raises the refusal that says why not.

    The caller sets the time limit. `presented` is filled on the way, also on a way that fails.
    """
    connection = SSL.Connection(context, sock)
    connection.set_app_data(presented)
    connection.set_accept_state()
    try:
        await persist(sock, connection.do_handshake)
    except SSL.SysCallError as error:
        raise _failed(error.args[-1]) from None
    except SSL.Error as error:
        raise _reason(error, presented) from None
    return connection


def require_protocol(connection: SSL.Connection) -> None:
    """Pass a connection for which its context chose a protocol; raises TLS_NO_H2 where none did."""
    if connection.get_alpn_proto_negotiated() not in {H2, HTTP}:
        raise refuse(Reason.TLS_NO_H2, metadata={"cause": "nothing-offered"})


async def persist(sock: socket.socket, step: Callable[[], Done]) -> Done:
    """Do one thing of a TLS connection, however often its socket must be waited for."""
    while True:
        try:
            return step()
        except SSL.WantReadError:
            await _ready(sock, writing=False)
        except SSL.WantWriteError:
            await _ready(sock, writing=True)


async def dismiss(sock: socket.socket) -> None:
    """Let a client read what we said last: closing on unread bytes would reset it away."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):
        sock.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(DISMISS_S):
            left = DISMISS_BYTES
            while left > 0 and (read := await loop.sock_recv(sock, left)):
                left -= len(read)


def leaf_of(connection: SSL.Connection) -> bytes:
    """Return the peer's certificate, DER; raises CERT_MISSING."""
    certificate = connection.get_peer_certificate()
    if certificate is None:
        raise refuse(Reason.CERT_MISSING)
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def cause(text: object) -> str:
    """Return a library's words in the grammar of a leaf's cause: letters, joined by dashes."""
    words = re.findall(r"[a-z]+", str(text).lower())[:_CAUSE_WORDS]
    return "-".join(words)[:CAUSE_MAX].rstrip("-") or "unknown"


def _reason(error: SSL.Error, presented: Presented) -> Refusal:
    """Return the refusal for what OpenSSL says; it queues the causes, the first is the deepest."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = [str(entry[-1]) for entry in entries]
    if _VERIFY_FAILED in words and presented.number:
        return refuse(
            reason_of(presented.number, presented.depth), metadata={"cause": cause(_VERIFY_FAILED)}
        )
    for word in words:
        if word in _WORDS:
            return refuse(_WORDS[word], metadata={"cause": cause(word)})
    return _failed(words[0] if words else "closed")


def _failed(words: object) -> Refusal:
    return refuse(Reason.TLS_FAILED, metadata={"cause": cause(words)})


async def _ready(sock: socket.socket, *, writing: bool) -> None:
    """Wait until the socket can be read or written."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    watch, unwatch = (
        (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    )
    at = sock.fileno()
    watch(at, _wake, ready)
    try:
        await ready
    finally:
        unwatch(at)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
