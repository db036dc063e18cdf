"""`origin.check`, `origin.watch`: whose tunnel a connection came through, with 1,000 peers of 100 organisations.

A WireGuard device's socket is served by a process of its own, every peer told otherwise each time: none of it can be
taken from the answer before. `origin.check` asks the VPN and then the register; beside it the bare read of the same
bytes. `origin.watch` is what one look at 2,000 connections costs the front's loop: CPU of the process, and for how long
nothing else ran.
"""

import asyncio
import base64
import contextlib
import gc
import hashlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from gateway.clock import SYSTEM
from gateway.config import policies
from gateway.config.home import Home
from gateway.config.settings import OriginSettings, Settings, WireguardSettings
from gateway.errors import Reason
from gateway.front.origins import Origins, Whereabouts
from gateway.link.connection import Connection, new_name
from gateway.store import roles
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.store.migrate import migrate
from gateway.vpn.ingress import Way
from gateway.vpn.origin import Sighting
from gateway.vpn.peers import Peers
from gateway.vpn.wireguard import WireguardTunnels
from tests.bench.figures import Figure, figure
from tests.pki.ground import empty_home

PEERS, ORGANISATIONS, CONNECTIONS = 1_000, 100, 2_000
ROUNDS, TIMES, CACHED_TIMES, LOOKS = 5, 40, 2_000, 20
# Different answers, given in turn.
ANSWERS = 8
DEVICE, HOST = "wg0", "10.200.0.1"
TICK_S = 0.0005
RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")


def run() -> list[Figure]:
    """Measure."""
    with migrated() as home:
        _register(roles.conninfo(home, Settings(), "owner"))
        with _device() as path:
            return asyncio.run(_rounds(home, path))


@contextlib.contextmanager
def migrated() -> Iterator[Home]:
    """Give a HOME with its folders and a database of this code's schema."""
    with empty_home() as home:
        # The database's own user must come by.
        home.root.parent.chmod(0o711)
        cluster = Cluster(home)
        cluster.create()
        cluster.start(mortal=True)
        try:
            cluster.provision()
            migrate(roles.conninfo(home, Settings(), "owner"))
            yield home
        finally:
            cluster.stop()


def key(number: int) -> bytes:
    """Return a peer's public key."""
    return hashlib.sha256(str(number).encode()).digest()


def address(number: int) -> str:
    """Return a peer's address inside the tunnel; it has a network of its own besides."""
    return f"10.{number // 250}.{number % 250}.2"


def answer(turn: int) -> bytes:
    """Return what the device says: each time other handshakes and counters, of every peer."""
    now_s = SYSTEM.now_us() // 1_000_000
    peers = "".join(
        f"public_key={key(number).hex()}\npreshared_key={'00' * 32}\nprotocol_version=1\n"
        f"endpoint=192.0.2.{number % 250}:{20_000 + number}\n"
        f"last_handshake_time_sec={now_s - turn}\nlast_handshake_time_nsec={number}\n"
        f"tx_bytes={turn * number}\nrx_bytes={turn + number}\npersistent_keepalive_interval=25\n"
        f"allowed_ip={address(number)}/32\nallowed_ip=10.{100 + number // 250}.{number % 250}.0/24\n"
        for number in range(PEERS)
    )
    return f"private_key={'00' * 32}\nlisten_port=51820\n{peers}errno=0\n\n".encode()


def serve(path: str) -> None:
    """Be the device until the other end of standard input is closed."""
    said = [answer(turn) for turn in range(ANSWERS)]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        print("ready", flush=True)
        turn = 0
        while True:
            talk, _ = listening.accept()
            with talk:
                asked = talk.recv(64)
                if not asked:
                    return
                turn += asked == b"get=1\n\n"
                talk.sendall(said[turn % ANSWERS])


@contextlib.contextmanager
def _device() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = str(Path(folder) / "wg0.sock")
        words = [sys.executable, "-m", "tests.bench.origin", path]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == b"ready\n"
                yield path
            finally:
                process.terminate()


def _register(owner: str) -> None:
    with psycopg.connect(owner) as connection:
        codes = [f"14{number // 100 + 10}{number % 100:02}" for number in range(ORGANISATIONS)]
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO gateway.organisation (code, name, kind, created_us) VALUES (%s, 'x', 2, 1)"
                " ON CONFLICT DO NOTHING",
                [(code,) for code in codes],
            )
            cursor.executemany(
                "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)"
                " VALUES ('wireguard', %s, %s, %s, 1, 1)",
                [(_name(n), codes[n % ORGANISATIONS], [f"{address(n)}/32"]) for n in range(PEERS)],
            )


def _name(number: int) -> str:
    return base64.b64encode(key(number)).decode()


@dataclass(frozen=True, slots=True)
class _Check:
    """One VPN and one register."""

    tunnels: WireguardTunnels
    peers: Peers

    async def origin(self, number: int) -> str:
        """Return whose tunnel a peer's connection came through."""
        return (await self.peers.origin(await self.seen(number))).organisation

    async def seen(self, number: int) -> Sighting:
        """Return what the VPN says of a peer's connection."""
        return await self.tunnels.whois(address(number), HOST, DEVICE)


def _tunnels(path: str, cache_s: float) -> WireguardTunnels:
    settings = OriginSettings("wireguard", device=DEVICE, wireguard=WireguardSettings(path))
    rules = replace(RULES, cache_s=cache_s)
    return WireguardTunnels(settings, Way(DEVICE, "proven"), rules, SYSTEM)


async def _rounds(home: Home, path: str) -> list[Figure]:
    database = await Database.open(
        roles.conninfo(home, Settings(), "front"), application="bench", size=4
    )
    try:
        peers = Peers(database, RULES, SYSTEM)
        uncached = _Check(_tunnels(path, 0.0), peers)
        cached = _Check(_tunnels(path, 1e9), peers)
        first = await _took(lambda: uncached.origin(0))
        assert await uncached.origin(7) == await cached.origin(7) != await cached.origin(8)
        found: dict[str, list[float]] = {
            name: [] for name in ("check", "bare", "whois", "cached", "both")
        }
        for _ in range(ROUNDS):
            for number in range(TIMES):
                found["check"].append(await _took(lambda n=number: uncached.origin(n)))
                found["bare"].append(_bare(path))
                found["whois"].append(await _took(lambda n=number: uncached.seen(n)))
            began = time.perf_counter()
            for number in range(CACHED_TIMES):
                await cached.seen(number % PEERS)
            found["cached"].append((time.perf_counter() - began) / CACHED_TIMES * 1e6)
            found["both"] += [await _took(lambda n=n: cached.origin(n)) for n in range(TIMES)]
        return [*_checked(found, first), await _watched(database, peers, path)]
    finally:
        await database.close()


def _checked(found: dict[str, list[float]], first: float) -> list[Figure]:
    median = {name: statistics.median(values) for name, values in found.items()}
    conditions = (
        f"{PEERS:,} peers of {ORGANISATIONS} organisations, every line told otherwise; VPN {median['whois']:.1f} ms, then the "
        f"register; the very first answer {first:.1f} ms; promise: 5 ms"
    )
    beside = {"uapi.read": found["bare"]}
    cached = f"the answer is less than {RULES.cache_s:g} s old; with the register {median['both'] * 1000:,.0f} µs; promise: 50 µs"
    return [
        figure("origin.check", "ms", found["check"], beside, found["check"], conditions),
        figure("origin.check.cached", "µs", found["cached"], None, (), cached),
    ]


async def _watched(database: Database, peers: Peers, path: str) -> Figure:
    tunnels = _tunnels(path, 0.4)
    origins = Origins(tunnels, peers, database, RULES, SYSTEM)
    live = [await _standing(tunnels, peers, number % PEERS) for number in range(CONNECTIONS)]
    # As the front does before it serves.
    gc.collect()
    gc.freeze()
    cpu, walls, stalls, bare = [], [], [], []
    for _ in range(ROUNDS * LOOKS):
        await asyncio.sleep(0.5)
        bare.append(_bare(path))
        used, began = time.process_time(), time.perf_counter()
        fallen, stall = await _ticking(_look(origins, live))
        walls.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
        stalls.append(stall)
        assert not fallen
    conditions = (
        f"{CONNECTIONS:,} connections of {PEERS:,} peers; value: CPU of the front's loop for one look; a look takes "
        f"{statistics.median(walls):.1f} ms, the loop stands still for {statistics.median(stalls):.1f} ms"
    )
    return figure("origin.watch", "ms", cpu, {"uapi.read": bare}, cpu, conditions)


async def _standing(
    tunnels: WireguardTunnels, peers: Peers, number: int
) -> tuple[Connection, Whereabouts]:
    sighting = await tunnels.whois(address(number), HOST, DEVICE)
    origin = await peers.origin(sighting)
    connection = Connection(
        name=new_name(),
        door="intake",
        peer=f"{address(number)}:1",
        listener=f"{HOST}:1",
        organisation=origin.organisation,
        subject="",
        serial="",
        certificate_sha256="",
        spki_sha256="",
        not_after_us=0,
        origin=origin,
    )
    return connection, Whereabouts(address(number), HOST, sighting)


async def _look(
    origins: Origins, live: list[tuple[Connection, Whereabouts]]
) -> list[dict[str, Reason]]:
    """Look both ways at once, as the front does; return who fell."""
    found = await asyncio.gather(origins.by_vpn(live), origins.by_register(live))
    return [one for one in found if one]


async def _ticking(work: Awaitable[list]) -> tuple[list, float]:
    """Return what the work gives and the loop's longest stall meanwhile, in ms."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_S)
            longest = max(longest, time.perf_counter() - began - TICK_S)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    found = await work
    await asyncio.sleep(2 * TICK_S)
    ticking.cancel()
    return found, longest * 1000


def _bare(path: str) -> float:
    """Return the milliseconds that the bytes alone take."""
    began = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as talk:
        talk.connect(path)
        talk.sendall(b"get=1\n\n")
        said = bytearray()
        while not said.endswith(b"\n\n"):
            said += talk.recv(1 << 20)
    return (time.perf_counter() - began) * 1000


async def _took(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    serve(sys.argv[1])
