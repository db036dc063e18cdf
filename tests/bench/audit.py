"""The recorder alone: leaves with a trivial effect through one recorder, each signed and proven.

Limit `commit`: bare single-row transactions over as many connections as callers, in the same round.
A disk's fsync is slower than most virtual ones: all of it again with 2 and 10 ms added to each flush, of
the database's log (`commit_delay`, which the flushing back end sleeps while the others wait for its lock: XLogFlush in
PostgreSQL's xlog.c) and of the signer's state. `added` checks that so much is added.

`audit.ground`: commit groups of one leaf that look what the log stands on, as each does, beside the same that do not.
"""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg

from gateway import signer
from gateway.audit import ground as ground_check
from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM
from gateway.config import folders, users
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import roles
from gateway.store.database import Database, Transaction
from gateway.store.embedded import Cluster
from gateway.store.migrate import migrate
from gateway.tlog import proof
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey
from tests.bench.figures import Figure, figure

ROUNDS = 5
APPENDS = {1: 400, 8: 1600, 64: 3200}
# Added to each flush, and by how much the appends of a round are fewer then.
FLUSHES_MS = {0: 1, 2: 4, 10: 10}
# Of one round: commits whose shortest is taken, and groups.
FLUSHES = 20
GROUPS = 300
# A leaf as an upload leaves it.
EVENT = Event(
    kind="upload",
    door="intake",
    rpc="/gateway.v1.UploadService/UploadBatches",
    organisation="140105",
    subject="spiffe://gateway.invalid/org/140105/sys/his",
    account="county.upload",
    session="ab" * 16,
    certificate="cd" * 32,
    peer="127.0.0.1:50000",
    listener="127.0.0.11:8443",
    ingress="127.0.0.11",
    tunnel="listen/127.0.0.11",
    strength="weak",
    request_id="6ba7b810-9dad-41d1-80b4-00c04fd430c8",
    unit="1401050001",
    sequence=1,
    commitment="ef" * 32,
    policies=("upload-own-unit",),
    bundle="12" * 32,
    counts={"accepted": 1},
)
# HOME, and the file with the seconds that each flush takes longer; the parent imports, so that root's virtual environment may
# be private.
SIGNER = """
import os, sys, time
from pathlib import Path
from gateway import signer
from gateway.config.home import Home

real, longer = os.fdatasync, Path(sys.argv[2])
os.fdatasync = lambda descriptor: (real(descriptor), time.sleep(float(longer.read_text())))[0]
signer.main(Home(Path(sys.argv[1])))
"""


@contextlib.contextmanager
def ground() -> Iterator[Home]:
    """Give a HOME with a running cluster, its schema and a running signer."""
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    home = Home(root / "home")
    if users.separate():
        users.make_users()
    folders.make_folders(home)
    signer.create(home, "gateway.invalid/audit")
    cluster = Cluster(home)
    cluster.create()
    cluster.start(mortal=True)
    process = None
    try:
        cluster.provision()
        with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
            roles.create_database(connection, "bench")
        with psycopg.connect(cluster.superuser("bench")) as connection:
            roles.create_schema(connection)
        migrate(where(home, "owner"))
        folders.write_public(longer_file(home), b"0")
        words = [sys.executable, "-c", SIGNER, str(home.root), str(longer_file(home))]
        process = subprocess.Popen(words)
        while not home.signer_socket.exists():
            time.sleep(0.01)
        yield home
    finally:
        if process is not None:
            process.terminate()
            process.wait(10)
        cluster.stop()
        shutil.rmtree(root)


def longer_file(home: Home) -> Path:
    return home.public / "longer"


def lengthen(home: Home, milliseconds: int) -> None:
    """Let every flush of the database's log and of the signer's state take so much longer."""
    folders.write_public(longer_file(home), str(milliseconds / 1000).encode())
    with psycopg.connect(Cluster(home).superuser(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET commit_siblings = 0")
        # Text of our own number: ALTER SYSTEM takes no parameters.
        connection.execute(f"ALTER SYSTEM SET commit_delay = {milliseconds * 1000}".encode())
        connection.execute("SELECT pg_reload_conf()")


def where(home: Home, role: str) -> str:
    server = roles.server(home, Settings())
    return roles.conninfo(
        home, Settings(dsn=psycopg.conninfo.make_conninfo(server, dbname="bench")), role
    )


@contextlib.asynccontextmanager
async def recording(home: Home, lanes: int) -> AsyncIterator[Recorder]:
    database = await Database.open(where(home, "intake"), application="bench")
    link = SignerLink(home.signer_socket)
    recorder = await Recorder.open(database, link, door="intake", clock=SYSTEM, lanes=lanes)
    try:
        yield recorder
    finally:
        await recorder.close()
        await database.close()


async def timed(
    callers: int, count: int, one: Callable[[], Awaitable[object]]
) -> tuple[float, list[float]]:
    """Return calls/s and every latency in ms of `count` calls by so many callers."""
    latencies: list[float] = []

    async def caller() -> None:
        for _ in range(count // callers):
            began = time.perf_counter()
            await one()
            latencies.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(latencies) / (time.perf_counter() - began), latencies


async def effect(transaction: Transaction) -> Event:
    await transaction.fetch_one("SELECT 1")
    return EVENT


async def commits(home: Home, callers: int, count: int) -> float:
    """Return bare commits/s of as many connections."""
    database = await Database.open(where(home, "owner"), application="bench", size=callers)
    async with database.transaction() as transaction:
        await transaction.execute("CREATE TABLE IF NOT EXISTS gateway.bench (leaf bytea)")
    leaf = EVENT.to_leaf(SYSTEM.now_us())

    async def one() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO gateway.bench VALUES (%s)", (leaf,))

    rate, _ = await timed(callers, count, one)
    await database.close()
    return rate


def added(home: Home, milliseconds: int) -> float:
    """Return by how many milliseconds a lone commit that flushes takes longer than with nothing added, at the least."""
    least: dict[int, float] = {}
    for longer in (0, milliseconds):
        lengthen(home, longer)
        # A new session reads the new settings.
        with psycopg.connect(where(home, "owner"), autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS gateway.bench (leaf bytea)")
            times = []
            for _ in range(FLUSHES):
                began = time.perf_counter()
                connection.execute("INSERT INTO gateway.bench VALUES ('x')")
                times.append((time.perf_counter() - began) * 1000)
        least[longer] = min(times)
    return least[milliseconds] - least[0]


def looked(home: Home) -> Figure:
    """What the look at the ground costs a commit group of one leaf."""
    leaf = EVENT.to_leaf(SYSTEM.now_us())
    bare = "SELECT first, size, root, hashes FROM gateway.audit_append(%s, %s)"
    rates: dict[str, list[float]] = {ground_check.APPEND: [], bare: []}
    lengthen(home, 0)
    with psycopg.connect(where(home, "intake")) as connection:
        for _ in range(ROUNDS):
            for statement, found in rates.items():
                began = time.perf_counter()
                for _ in range(GROUPS):
                    row = connection.execute(
                        statement.encode(), ([leaf], 0), binary=True
                    ).fetchone()
                    connection.commit()
                    assert row is not None
                found.append(GROUPS / (time.perf_counter() - began))
    return figure(
        "audit.ground",
        "groups/s",
        rates[ground_check.APPEND],
        {"bare": rates[bare]},
        conditions="groups of one leaf on one connection, without signature",
    )


async def measure(home: Home, lanes: int = 1, longer_ms: int = 0) -> list[Figure]:
    counts = {callers: count // FLUSHES_MS[longer_ms] for callers, count in APPENDS.items()}
    rates: dict[int, list[float]] = {callers: [] for callers in counts}
    limits: dict[int, list[float]] = {callers: [] for callers in counts}
    latencies: dict[int, list[float]] = {callers: [] for callers in counts}
    verifier = parse_vkey(home.log_key.read_text().strip())
    lengthen(home, longer_ms)
    async with recording(home, lanes) as recorder:
        begun = (await recorder.log.head()).size
        for _ in range(ROUNDS):
            for callers, count in counts.items():
                rate, times = await timed(callers, count, lambda: recorder.append(EVENT, effect))
                rates[callers].append(rate)
                latencies[callers] += times
                limits[callers].append(await commits(home, callers, count))
        size = (await recorder.log.head()).size
        done = sum(count // callers * callers for callers, count in counts.items())
        assert size >= begun + ROUNDS * done
        last = await recorder.append(EVENT)
        text = await recorder.proof(last.index)
        assert proof.parse(text).verify(last.leaf, LogKeys.of(verifier)).size > size
    slow = f", each flush {longer_ms} ms longer" if longer_ms else ""
    return [
        figure(
            f"audit.append.{callers}" + (f".flush_{longer_ms}ms" if longer_ms else ""),
            "leaves/s",
            rates[callers],
            {"commit": limits[callers]},
            latencies[callers],
            f"{callers} callers, one recorder, trivial effect, {len(EVENT.to_leaf(1))}-byte leaves{slow}",
        )
        for callers in counts
    ]


def run() -> list[Figure]:
    """Measure."""
    with ground() as home:
        for ms in FLUSHES_MS:
            # The least of each is taken: a tenth is for what else the machine did.
            assert ms == 0 or added(home, ms) >= 0.9 * ms, "the flush takes no longer"
        found = [each for ms in FLUSHES_MS for each in asyncio.run(measure(home, longer_ms=ms))]
        return [*found, looked(home)]
