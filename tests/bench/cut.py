"""`origin.cut`: how long connections live whose peer the VPN has no more, with 200 open.

Ten peers of a county, each with connections of its own; one after the other is taken out of the VPN, at any moment between
two looks of the front, and comes in again. A charon's socket (vici) is served by a process of its own; where processes have
users of their own the supervisor asks it and tells the front. The clock starts when the VPN answers without the peer and
stops when the client saw its socket end. Each round: all of the peer's connections are cut, and no other one; each its leaf.
"""

import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Self

from gateway.clock import SYSTEM
from gateway.config.confinement import users_separate
from gateway.demo.province import COUNTIES, Province
from tests.bench.figures import Figure, figure
from tests.bench.handshake import LIMITS
from tests.bench.stage import as_owner, line_of, served
from tests.bench.tls_client import Line, holding
from tests.vpn.fakes import listed, listening, sa, serve_vici

COUNTY = COUNTIES[0]
PEERS, EACH, CUTS = 10, 20, 30
LIMIT_MS = 2_000.0
# Longer than the front's watch waits between two looks.
PHASE_MS = 1_000


def run() -> list[Figure]:
    """Measure."""
    with served(**LIMITS) as province, _Charon() as charon, _behind(province, charon.path):
        _register(province)
        lines = [replace(line_of(province, COUNTY), source=_address(n)) for n in range(PEERS)]
        last, every = _rounds(charon, lines)
        _check(province)
        asked = "the supervisor" if users_separate(province.host.home) else "the front"
    conditions = (
        f"{EACH} connections of a peer cut out of {PEERS * EACH}, {CUTS} times, {asked} asks the VPN; value: the last "
        f"socket's, median; most of all {max(every):,.0f} ms; promise: 2,000 ms"
    )
    return [figure("origin.cut", "ms", last, {"limit": [LIMIT_MS]}, every, conditions)]


def _rounds(charon: "_Charon", lines: list[Line]) -> tuple[list[float], list[float]]:
    last, every = [], []
    with ExitStack() as stack:
        held = [stack.enter_context(holding(line, EACH)) for line in lines]
        for number in range(CUTS):
            at = number % PEERS
            time.sleep(secrets.randbelow(PHASE_MS) / 1000)
            removed_us = charon.without(at)
            found = [(end_us - removed_us) / 1000 for end_us in held[at].wait()]
            assert all(one.standing == EACH for one in held if one is not held[at])
            last.append(max(found))
            every += found
            charon.without(None)
            held[at].close()
            held[at] = stack.enter_context(holding(lines[at], EACH))
    return last, every


def _check(province: Province) -> None:
    """Each connection that was cut has its leaf, and no other was cut."""
    sql = "SELECT reason, count(*) FROM gateway.audit_entry WHERE kind = 'connection.cut' GROUP BY reason"
    found = asyncio.run(as_owner(province, sql))
    assert found == [("ORIGIN_NOT_TUNNEL", CUTS * EACH)], found


@contextmanager
def _behind(province: Province, socket: str) -> Iterator[None]:
    """Serve with this charon for the VPN; loopback is no tunnel, and must be allowed."""
    host = province.host
    whole = host.home.settings.read_text()
    origin = (
        '[origin]\nprovider = "strongswan"\ndevice = "lo"\nallow_weak_origin = true\n'
        f'[origin.strongswan]\nsocket = "{socket}"\n'
    )
    host.stop()
    host.home.settings.write_text(whole.partition("[origin]")[0] + origin)
    try:
        host.start()
        yield
    finally:
        host.stop()
        host.home.settings.write_text(whole)
        host.start()


def _register(province: Province) -> None:
    rows = ", ".join(
        f"('strongswan', '{_peer(n)}', '{COUNTY}', '{{{_address(n)}/32}}', 1, 1)"
        for n in range(PEERS)
    )
    sql = f"INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us) VALUES {rows} RETURNING 1"
    assert len(asyncio.run(as_owner(province, sql))) == PEERS


def _peer(number: int) -> str:
    return f"county@{number}.example"


def _address(number: int) -> str:
    return f"127.14.1.{number + 1}"


class _Charon:
    """A VPN in a process of its own that can be told to leave one peer out."""

    def __enter__(self) -> Self:
        words = [sys.executable, "-m", "tests.bench.cut"]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.path = self._said()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=20)

    def without(self, number: int | None) -> int:
        """Have it answer without this peer, or with all of them; since when, in microseconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{-1 if number is None else number}\n")
        self._process.stdin.flush()
        return int(self._said())

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


async def serve() -> None:
    """Be the VPN until standard input ends."""
    peers = [sa(_peer(n), f"{_address(n)}/32", established="1") for n in range(PEERS)]
    async with listening(serve_vici) as vpn:
        vpn.says = lambda: listed(*peers)
        print(vpn.path, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            told = listed(*(one for n, one in enumerate(peers) if n != int(line)))
            vpn.says = lambda told=told: told
            print(SYSTEM.now_us(), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
