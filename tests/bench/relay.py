"""How fast the front's relay is: bulk through TLS into a door's socket, small messages to and fro, and its own CPU.

`python -m tests.bench.relay` prints the figures. Three processes on one machine: a client (Python's ssl), the relay, a
door that swallows or echoes. The limit `socket` is the same client and door with no TLS and no relay between them.
"""

import asyncio
import multiprocessing
import os
import resource
import socket
import ssl
import statistics
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.front import context, handshake, relay
from gateway.link.connection import abstract_address, new_name
from gateway.names import Subject
from gateway.pki import ceremony, issue
from tests.pki.ground import founded_home

BULK_BYTES = 512 << 20
PIECE = bytes(1 << 20)
MESSAGE = bytes(300)
TRIPS = 5_000
ROUNDS = 5


def _door(path: str) -> None:
    """Echo messages of at most 1 KiB at the start of a connection; swallow what is larger and say at the end how much."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(8)
    while True:
        sock, _ = listening.accept()
        swallowed = 0
        buffer = bytearray(1 << 18)
        while count := sock.recv_into(buffer):
            if swallowed == 0 and count <= 1024:
                sock.sendall(memoryview(buffer)[:count])
                continue
            swallowed += count
            if swallowed >= BULK_BYTES:
                sock.sendall(b"done")
                swallowed = 0
        sock.close()


def _front(home_path: str, door: str, port: int, used: "multiprocessing.Queue[float]") -> None:
    asyncio.run(_relay(Home(Path(home_path)), door, port, used))


async def _relay(home: Home, door: str, port: int, used: "multiprocessing.Queue[float]") -> None:
    terms = context.CurrentTerms(home, Settings(), SYSTEM, handshake.observe)
    listening = socket.create_server(("127.0.0.1", port))
    listening.setblocking(False)
    loop = asyncio.get_running_loop()
    while True:
        sock, _ = await loop.sock_accept(listening)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = await handshake.shake(sock, terms.current.context, handshake.Presented())
        inner = socket.socket(socket.AF_UNIX)
        inner.setblocking(False)
        inner.bind(abstract_address(new_name()))
        inner.connect(door)
        began = _cpu()
        relay.Relay(tls, sock, inner, lambda began=began: used.put(_cpu() - began)).start()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _bulk(sock: socket.socket) -> float:
    began = time.perf_counter()
    for _ in range(BULK_BYTES // len(PIECE)):
        sock.sendall(PIECE)
    assert sock.recv(4) == b"done"
    return (BULK_BYTES >> 20) / (time.perf_counter() - began)


def _trips(sock: socket.socket) -> float:
    began = time.perf_counter()
    for _ in range(TRIPS):
        sock.sendall(MESSAGE)
        left = len(MESSAGE)
        while left:
            left -= len(sock.recv(left))
    return (time.perf_counter() - began) / TRIPS * 1e6


def main() -> None:
    """Measure and print."""
    with founded_home() as home:
        now_us = SYSTEM.now_us()
        authority = ceremony.client_authority(home)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = issue.client_certificate(
            authority,
            Subject("gateway.invalid", "140100", "sys", "bench"),
            key.public_key(),
            now_us,
        )
        pem = home.root / "client.pem"
        pem.write_bytes(leaf.public_bytes(Encoding.PEM) + ceremony.key_pem(key))
        client = ssl.create_default_context(cafile=str(home.root_certificate))
        client.load_cert_chain(pem)
        client.set_alpn_protocols(["h2"])
        port = 20_000 + os.getpid() % 10_000
        door = str(home.run("intake") / "door.sock")
        used: multiprocessing.Queue[float] = multiprocessing.Queue()
        children = [
            multiprocessing.Process(target=_door, args=(door,), daemon=True),
            multiprocessing.Process(
                target=_front, args=(str(home.root), door, port, used), daemon=True
            ),
        ]
        for child in children:
            child.start()
        time.sleep(1.5)
        figures: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, measure in (("bulk", _bulk), ("trip", _trips)):
                with socket.socket(socket.AF_UNIX) as plain:
                    plain.connect(door)
                    figures.setdefault(f"{name} socket", []).append(measure(plain))
                with client.wrap_socket(
                    socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1"
                ) as tls:
                    tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    figures.setdefault(f"{name} relay", []).append(measure(tls))
                figures.setdefault(f"{name} cpu", []).append(used.get(timeout=10))
        for child in children:
            child.terminate()
            child.join()
        median = {name: statistics.median(values) for name, values in figures.items()}
        gib = BULK_BYTES / (1 << 30)
        print(
            f"bulk  {median['bulk relay']:7.0f} MiB/s   (plain socket {median['bulk socket']:.0f})   relay CPU {median['bulk cpu'] / gib:.2f} s/GiB"
        )
        print(
            f"trip  {median['trip relay']:7.1f} us      (plain socket {median['trip socket']:.1f})   relay CPU {median['trip cpu'] / TRIPS * 1e6:.1f} us"
        )


if __name__ == "__main__":
    main()
