"""[P8] Faults at every point of the way to the log: killed before and after COMMIT, before and after the signature, before the reply.

What was acknowledged is there, with its effect, whoever died where; the log is the one that was signed; whoever lived on tells
the outage. FULL=1 makes it a hundred lives, at points and moments drawn by lot.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable

import pytest

from gateway.audit.log import Log
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM
from gateway.store.database import Database
from gateway.tlog import proof
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey
from tests.audit.stage import RunningSigner, signer_home, until
from tests.faults.sacrifice import POINTS, SIGNER_POINTS
from tests.house.tree import ROOT

Conninfo = Callable[[str], str]
# A life at each point, and one that is ended at no point of its own choosing.
ORDINARY = (*POINTS, "alive", *SIGNER_POINTS)
LIVES = 100
LEAST = 3


class Survivors:
    """What stands while others die: the database, the signer's HOME, and what was acknowledged so far."""

    def __init__(self, conninfo, home):
        self.conninfo, self.home = conninfo, home
        self.acknowledged: dict[int, tuple[str, str]] = {}
        self.lives = 0

    async def start(self, *words):
        command = (sys.executable, "-m", "tests.faults.sacrifice", *words)
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe)

    async def recorder(self, point, count):
        self.lives += 1
        where = (self.conninfo("intake"), str(self.home.signer_socket))
        return await self.start("recorder", *where, point, str(count), str(self.lives))

    async def listen(self, process, most=10**9):
        """Take down what is acknowledged, until so many or its end."""
        taken = 0
        while taken < most and (line := await process.stdout.readline()):
            if line.endswith(b"\n"):
                index, digest, key = line.split()
                self.acknowledged[int(index)] = (digest.decode(), key.decode())
                taken += 1
        return taken

    async def check(self):
        """Every acknowledged entry is there with its effect, and no effect without its entry; the log is what was signed."""
        database = await Database.open(self.conninfo("owner"), application="check")
        link = SignerLink(self.home.signer_socket)
        try:
            recorder = await Recorder.open(database, link, door="check", clock=SYSTEM)
            await until(lambda: recorder.state.phase == "normal")
            rows = await database.fetch("SELECT idx, leaf FROM gateway.audit_entry ORDER BY idx")
            stored = {index: bytes(leaf) for index, leaf in rows}
            assert list(stored) == list(range(len(stored)))
            effects = await database.fetch("SELECT unit_code FROM gateway.batch_sequence")
            written = {key for (key,) in effects}
            lost = [
                index
                for index, (digest, key) in self.acknowledged.items()
                if hashlib.sha256(stored.get(index, b"")).hexdigest() != digest
                or key not in written
            ]
            assert lost == []
            leaves = [json.loads(leaf) for leaf in stored.values()]
            assert len(written) == sum(one["kind"] == "upload" for one in leaves)
            await self._proven(recorder, stored)
            await recorder.close()
            return leaves
        finally:
            await link.close()
            await database.close()

    async def _proven(self, recorder, stored):
        tree = await Log(recorder.database).tree()
        assert tree.size == len(stored)
        await recorder.checkpoints.cover(tree)
        keys = LogKeys.of(parse_vkey(self.home.log_key.read_text().strip()))
        for index in list(self.acknowledged)[-5:]:
            text = await recorder.proof(index)
            assert proof.parse(text).verify(stored[index], keys).size >= index


def end(process) -> None:
    """Kill a process that still runs; Process.kill would reap it under asyncio's watcher."""
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


async def door_dies(all_, point, count):
    signer = RunningSigner(all_.home)
    await signer.start()
    try:
        process = await all_.recorder(point, count)
        try:
            if point == "alive":
                await all_.listen(process, count)
                end(process)
            await all_.listen(process)
        finally:
            end(process)
        assert await process.wait() == -signal.SIGKILL
        return await all_.check()
    finally:
        await signer.kill()


async def signer_dies(all_, point, count):
    """The door lives on: it refuses, and tells the outage when the signer is back."""
    dying = await all_.start("signer", str(all_.home.root), point, str(count))
    signer = RunningSigner(all_.home)
    door = None
    try:
        await until(all_.home.signer_socket.exists)
        door = await all_.recorder("alive", 0)
        listening = asyncio.create_task(all_.listen(door))
        assert await dying.wait() == -signal.SIGKILL
        all_.home.signer_socket.unlink()
        await signer.start()
        before = len(all_.acknowledged)
        await until(lambda: len(all_.acknowledged) > before + LEAST)
        end(door)
        await listening
        await door.wait()
        leaves = await all_.check()
        told = [one for one in leaves if one["kind"] == "log.recover" and one["door"] == "intake"]
        assert told[-1]["detail"]["cause"] == "signer"
        return leaves
    finally:
        for one in (dying, door):
            end(one)
        await signer.kill()


def live(conninfo: Conninfo, points, count_of) -> Survivors:
    async def go(all_):
        for point in points:
            dies = signer_dies if point in SIGNER_POINTS else door_dies
            await dies(all_, point, count_of())

    with signer_home() as home:
        all_ = Survivors(conninfo, home)
        asyncio.run(go(all_))
        return all_


@pytest.mark.serial
@pytest.mark.timeout(600)
def test_15_nothing_acknowledged_is_lost_wherever_it_dies(conninfo):
    found = live(conninfo, ORDINARY, lambda: LEAST + secrets.randbelow(10))
    assert len(found.acknowledged) > LEAST


@pytest.mark.serial
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_15_a_hundred_lives(conninfo, capsys):
    points = [secrets.choice(ORDINARY) for _ in range(LIVES)]
    found = live(conninfo, points, lambda: 1 + secrets.randbelow(200))
    assert found.lives == LIVES
    with capsys.disabled():
        print(f"\n{LIVES} lives, {len(found.acknowledged)} acknowledged, 0 lost")
