"""TLS clients in a process of their own, without grpc: as many handshakes as go, or connections held until they are cut.

`python -m tests.bench.tls_client MODE COUNT LINE`: LINE is a Line as JSON. `shake` opens and closes COUNT connections and
prints the seconds; `hold` opens COUNT, prints `held`, then the time (microseconds) of each that ends, until stdin does.
Each connection counts only when the server's first HTTP/2 SETTINGS frame (RFC 9113 section 3.4) came back.
"""

import contextlib
import json
import resource
import selectors
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import IO

from gateway.clock import SYSTEM

THREADS = 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, ACK = 4, 6, 1
HEADER_BYTES = 9
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Line:
    """Where to connect, whom to expect there, the files that a client has, and its own address."""

    address: str
    port: int
    name: str
    root: str
    key: str
    certificate: str
    source: str = ""

    def context(self) -> ssl.SSLContext:
        """Return a client's context."""
        made = ssl.create_default_context(cafile=self.root)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.load_cert_chain(self.certificate, self.key)
        made.set_alpn_protocols(["h2"])
        return made

    def open(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Return a connection whose server has sent its SETTINGS."""
        local = (self.source, 0) if self.source else None
        plain = socket.create_connection((self.address, self.port), TIMEOUT_S, local)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = context.wrap_socket(plain, server_hostname=self.name)
        sock.sendall(PREFACE + frame(SETTINGS))
        header = b""
        while len(header) < HEADER_BYTES:
            more = sock.recv(HEADER_BYTES - len(header))
            if not more:
                raise ConnectionError("closed before the first frame")
            header += more
        assert header[3] == SETTINGS
        left = int.from_bytes(header[:3], "big")
        while left:
            left -= len(sock.recv(left))
        sock.sendall(frame(SETTINGS, ACK))
        return sock


def frame(kind: int, flags: int = 0, payload: bytes = b"") -> bytes:
    """Return an HTTP/2 frame of the connection (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags, 0, 0, 0, 0]) + payload


def shake(line: Line, count: int) -> float:
    """Open and close so many connections, THREADS at a time; return the seconds that took."""
    context = line.context()
    line.open(context).close()
    with ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        for _ in threads.map(lambda _: line.open(context).close(), range(count)):
            pass
        return time.perf_counter() - began


def hold(line: Line, count: int) -> None:
    """Hold so many connections and say when each ends."""
    context = line.context()
    with ThreadPoolExecutor(THREADS) as threads:
        socks = list(threads.map(lambda _: line.open(context), range(count)))
    print("held", flush=True)
    threading.Thread(target=_watch, args=(socks,), daemon=True).start()
    sys.stdin.read()


def _watch(socks: list[ssl.SSLSocket]) -> None:
    watched = selectors.DefaultSelector()
    for sock in socks:
        sock.setblocking(False)
        watched.register(sock, selectors.EVENT_READ)
    while watched.get_map():
        for key, _ in watched.select():
            if not _alive(key.fileobj):
                print(SYSTEM.now_us(), flush=True)
                watched.unregister(key.fileobj)


def _alive(sock: ssl.SSLSocket) -> bool:
    """Read what came, answer pings; return whether the connection still stands."""
    try:
        while data := sock.recv(1 << 16):
            # Nothing is sent to an idle connection but whole small frames.
            while len(data) >= HEADER_BYTES:
                end = HEADER_BYTES + int.from_bytes(data[:3], "big")
                if data[3] == PING and not data[4] & ACK:
                    sock.send(frame(PING, ACK, data[HEADER_BYTES:end]))
                data = data[end:]
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False
    return False


class Held:
    """A process that holds connections, and what it told of them."""

    def __init__(self, line: Line, count: int) -> None:
        """Return when all of them stand."""
        self.count = count
        # When each that ended did, in microseconds.
        self.ended: list[int] = []
        self._process = _start("hold", line, count)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"held\n":
            raise AssertionError("the connections do not stand")
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    @property
    def standing(self) -> int:
        """How many have not ended."""
        return self.count - len(self.ended)

    def wait(self, timeout_s: float = TIMEOUT_S) -> list[int]:
        """Wait until all have ended and return when each did."""
        until = time.monotonic() + timeout_s
        while self.standing:
            if time.monotonic() > until:
                raise AssertionError(f"{self.standing} of {self.count} connections still stand")
            time.sleep(0.01)
        return self.ended

    def close(self) -> None:
        """End the process and what it still holds."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT_S)

    def _read(self, told: IO[bytes]) -> None:
        for line in told:
            self.ended.append(int(line))


@contextlib.contextmanager
def holding(line: Line, count: int) -> Iterator[Held]:
    """Hold connections for a while."""
    held = Held(line, count)
    try:
        yield held
    finally:
        held.close()


def shaking(line: Line, count: int) -> float:
    """Return new connections/s of a client in a process of its own."""
    output, _ = _start("shake", line, count).communicate(timeout=TIMEOUT_S * 6)
    return count / float(output)


def _start(mode: str, line: Line, count: int) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "tests.bench.tls_client", mode, str(count)]
    return subprocess.Popen(
        [*words, json.dumps(asdict(line))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def main(mode: str, count: str, line: str) -> None:
    """Run one mode."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = Line(**json.loads(line))
    if mode == "shake":
        print(shake(wanted, int(count)))
    else:
        hold(wanted, int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
