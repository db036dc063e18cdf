"""Moves decrypted bytes between one TLS connection and one door socket, both ways, nothing kept.

Level-triggered: each event moves at most a quarter of a MiB, so that no connection starves
another. What the other side does not take at once is kept, and nothing more is read until it has:
the backpressure of TCP reaches the other end. An idle relay holds no buffer.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from OpenSSL import SSL

# A TLS record carries at most this (RFC 8446 section 5.1), and SSL_read gives one at a time.
RECORD_BYTES = 16_384
# Behind a record shorter than this there is probably none: save the read that would say so.
SHORT_BYTES = 8_192
# At one event.
TURN_RECORDS = 16
_BUFFER = memoryview(bytearray(TURN_RECORDS * RECORD_BYTES))


class Relay:
    """One connection's two directions; `start` begins, `on_end` is called once when it is over."""

    __slots__ = (
        "_at",
        "_door",
        "_door_at",
        "_ended",
        "_loop",
        "_on_end",
        "_sock",
        "_tls",
        "_to_door",
        "_to_tls",
        "moved",
    )

    def __init__(
        self,
        tls: SSL.Connection,
        sock: socket.socket,
        door: socket.socket,
        on_end: Callable[[], None],
    ) -> None:
        """Relay between a connection whose handshake is done, on `sock`, and a door's socket."""
        self._tls = tls
        self._sock = sock
        self._door = door
        # Watched by number: asyncio writes out a socket that it does not find watched yet.
        self._at, self._door_at = sock.fileno(), door.fileno()
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        # What one side sent and the other has not taken yet; reading that side is paused meanwhile.
        self._to_door: list[memoryview] = []
        self._to_tls = memoryview(b"")
        self._ended = False
        # Set whenever bytes move; whoever watches idleness resets it.
        self.moved = True

    def start(self) -> None:
        """Begin to relay."""
        self._loop.add_reader(self._at, self._tls_readable)
        self._loop.add_reader(self._door_at, self._door_readable)
        # Requests may have come in one flight with the end of the handshake.
        self._tls_readable()

    def end(self) -> None:
        """End both sides at once; what is on its way is lost."""
        if self._ended:
            return
        self._ended = True
        for at in (self._at, self._door_at):
            self._loop.remove_reader(at)
            self._loop.remove_writer(at)
        with contextlib.suppress(SSL.Error):
            self._tls.shutdown()
        for sock in (self._sock, self._door):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._on_end()

    def _tls_readable(self) -> None:
        if self._ended or self._to_door:
            return
        if self._to_tls:
            # A write may have waited for a message of TLS itself.
            self._tls_writable()
        records: list[memoryview] = []
        alive = self._read_tls(records)
        if records:
            self.moved = True
            self._to_door = records
            self._send_door()
        if not alive and not self._ended:
            self._finish()

    def _read_tls(self, records: list[memoryview]) -> bool:
        """Read what is there, up to a turn; return whether more may come later."""
        read = self._tls.recv
        try:
            for _ in range(TURN_RECORDS):
                record = read(RECORD_BYTES)
                records.append(memoryview(record))
                if len(record) < SHORT_BYTES:
                    break
        except (SSL.WantReadError, SSL.WantWriteError):
            return True
        except SSL.Error:  # the end, orderly or not
            return False
        return True

    def _send_door(self) -> None:
        """Give the door what is kept for it; pause the other side where it does not take all."""
        kept = self._to_door
        try:
            while kept:
                sent = self._door.sendmsg(kept)
                while kept and sent >= len(kept[0]):
                    sent -= len(kept.pop(0))
                if sent:
                    kept[0] = kept[0][sent:]
        except BlockingIOError:
            self._loop.remove_reader(self._at)
            self._loop.add_writer(self._door_at, self._door_writable)
        except OSError:
            self.end()

    def _door_writable(self) -> None:
        self._send_door()
        if not self._to_door and not self._ended:
            self._loop.remove_writer(self._door_at)
            self._loop.add_reader(self._at, self._tls_readable)
            # A record that was decrypted already makes no socket readable.
            self._tls_readable()

    def _door_readable(self) -> None:
        try:
            count = self._door.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count == 0:
            self._finish()
            return
        self.moved = True
        self._to_tls = _BUFFER[:count]
        self._send_tls()
        if self._to_tls and not self._ended:
            # The buffer is everyone's: keep a copy of the rest, and read no more until it is gone.
            self._to_tls = memoryview(bytes(self._to_tls))
            self._loop.remove_reader(self._door_at)
            self._loop.add_writer(self._at, self._tls_writable)

    def _send_tls(self) -> None:
        send = self._tls.send
        rest = self._to_tls
        try:
            while rest:
                rest = rest[send(rest) :]
        except (SSL.WantWriteError, SSL.WantReadError):
            pass
        except SSL.Error:
            rest = memoryview(b"")
            self.end()
        self._to_tls = rest

    def _tls_writable(self) -> None:
        self._send_tls()
        if not self._to_tls and not self._ended:
            self._loop.remove_writer(self._at)
            self._loop.add_reader(self._door_at, self._door_readable)

    def _finish(self) -> None:
        """End once what is kept for the side that still stands is gone, if it takes it."""
        if self._to_door:
            self._send_door()
        if self._to_tls:
            self._send_tls()
        self.end()
