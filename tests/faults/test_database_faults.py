"""[P8] The database's disk fails: fdatasync answers EIO, the disk is full. Real servers, real errors; nothing acknowledged is lost.

Attacks 14 and 16. PostgreSQL ends itself at once on both (PANIC); the door refuses, counts, and tells when it is back.
"""

import asyncio
import contextlib
import hashlib
import os
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM
from gateway.config.disk import Disk, DiskRules
from gateway.errors import UnavailableError
from gateway.store.database import Database
from gateway.store.embedded import Cluster, ClusterError
from gateway.supervise.disk import Watch
from tests.audit.stage import until
from tests.bench.audit import ground, where
from tests.faults import seccomp

EVENT = Event(kind="upload", door="intake")
# WAL enough that a segment of 16 MiB is soon used up.
MESSAGE = "SELECT pg_logical_emit_message(true, 'fill', repeat('x', 1000000))"
# What a cluster, its WAL and our schema take, and a little more.
DISK_MIB = 184
RESERVE_MIB = 64


async def appended(recorder, count):
    entries = [await recorder.append(EVENT) for _ in range(count)]
    return {one.index: hashlib.sha256(one.leaf).hexdigest() for one in entries}


async def fails(recorder, effect=None, attempts=200):
    """Append until it is refused; return what was acknowledged until then."""
    kept = {}
    for _ in range(attempts):
        try:
            one = await recorder.append(EVENT, effect)
        except UnavailableError:
            return kept
        kept[one.index] = hashlib.sha256(one.leaf).hexdigest()
    raise AssertionError("the database's disk did not fail")


async def all_there(home, recorder, kept):
    await until(lambda: recorder.state.phase == "normal", 60)
    kept |= await appended(recorder, 3)
    database = await Database.open(where(home, "owner"), application="check")
    rows = await database.fetch("SELECT idx, leaf FROM gateway.audit_entry ORDER BY idx")
    await database.close()
    stored = {index: bytes(leaf) for index, leaf in rows}
    assert list(stored) == list(range(len(stored)))
    assert [i for i in kept if hashlib.sha256(stored.get(i, b"")).hexdigest() != kept[i]] == []
    tree = await recorder.log.tree()
    assert (tree.size, tree.root()) == (recorder.tree.size, recorder.tree.root())
    told = [leaf for leaf in stored.values() if b'"log.recover"' in leaf]
    assert told
    assert all(b'"cause":"store"' in leaf for leaf in told)


@contextlib.asynccontextmanager
async def recording(home):
    database = await Database.open(where(home, "intake"), application="faults")
    link = SignerLink(home.signer_socket)
    recorder = await Recorder.open(database, link, door="intake", clock=SYSTEM)
    try:
        yield recorder
    finally:
        await recorder.close()
        await database.close()


@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.skipif(not seccomp.supported(), reason="the number of fdatasync is not known here")
def test_16_an_fdatasync_that_fails_loses_nothing():
    async def play(home, cluster):
        async with recording(home) as recorder:
            kept = await appended(recorder, 5)
            await asyncio.to_thread(cluster.stop)
            with failing(cluster):
                kept |= await fails(recorder)
                assert recorder.state.phase == "degraded"
            await asyncio.to_thread(cluster.stop)
            await asyncio.to_thread(cluster.start)
            await all_there(home, recorder, kept)

    with ground() as home:
        cluster = Cluster(home)
        try:
            asyncio.run(play(home, cluster))
        finally:
            cluster.stop()


@contextlib.contextmanager
def failing(cluster):
    """Run the server as a child of a thread whose fdatasync fails, and its children's with it."""
    begun, over = threading.Event(), threading.Event()

    def work():
        seccomp.fail_fdatasync()
        with contextlib.suppress(ClusterError):  # it may end before it is ready
            cluster.start(mortal=True)
        begun.set()
        over.wait()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk of one's own takes root")
def test_14_a_full_disk_and_the_reserve_that_is_given_up(monkeypatch):
    async def play(home, cluster):
        watch = Watch(home, Disk(home.root, DiskRules(20.0, 10.0, 5.0, RESERVE_MIB)), reserved=True)
        watch._make(RESERVE_MIB << 20)

        async def fill(tx):
            await tx.execute(MESSAGE)
            return EVENT

        async with recording(home) as recorder:
            kept = await appended(recorder, 5)
            kept |= await fails(recorder, fill)
            # The supervisor's part: it looks every second, and keeps the server running.
            states = [one.detail["state"] for one in watch.look()]
            assert "reserve_given_up" in states
            await asyncio.to_thread(restart, cluster)
            await all_there(home, recorder, kept)

    with small_disk() as folder:
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        with ground() as home:
            cluster = Cluster(home)
            try:
                asyncio.run(play(home, cluster))
            finally:
                cluster.stop()


def restart(cluster):
    with contextlib.suppress(ClusterError):
        cluster.stop()
    cluster.start()


@contextlib.contextmanager
def small_disk():
    with tempfile.TemporaryDirectory(prefix="gw-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=711", "tmpfs", folder)
        subprocess.run(mount, check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(("umount", folder), check=True)
