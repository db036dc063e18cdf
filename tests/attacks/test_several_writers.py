"""Attack 26: several writers on one log, one that holds its head and dies or hangs, two that wait for each other.

What happens is defined: who dies lets go at once; who hangs is thrown out, and meanwhile nobody is told that anything happened;
of two that wait for each other one is refused; gateways that share a database keep one log.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.config.home import Home
from gateway.errors import Refusal, UnavailableError
from gateway.store.database import Database
from gateway.tlog import leaf
from gateway.tlog.checkpoint import open_checkpoint
from gateway.tlog.merkle import leaf_hash, verify_inclusion
from tests.audit.stage import UPLOAD, RunningSigner, stage, until

# Holds the log's head until it is killed.
HOLDER = """
import sys, psycopg
connection = psycopg.connect(sys.stdin.readline().strip())
connection.execute("SELECT size FROM gateway.audit_head FOR UPDATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(conninfo: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the head locked; the password goes by its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(conninfo + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "held\n"
            try:
                yield process
            finally:
                process.kill()
    finally:
        process.wait(20)


def waiting(conninfo: str) -> bool:
    """Whether somebody waits for a lock."""
    asked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(asked).fetchone()
    return bool(row and row[0])


async def told(database: Database) -> list[dict[str, leaf.Json]]:
    rows = await database.fetch("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
    return [leaf.parse(row[0]) for row in rows]


def test_26_who_is_killed_while_it_holds_the_head_lets_go_at_once(conninfo):
    async def go():
        async with stage(conninfo) as s:
            with holding(conninfo("owner")) as holder:
                pending = asyncio.create_task(s.recorder.append(UPLOAD))
                await until(lambda: waiting(conninfo("owner")))
                assert not pending.done()
                holder.send_signal(signal.SIGKILL)
                entry = await pending
            assert entry.index == 0
            assert s.recorder.state.phase == "normal"
            assert (await s.recorder.append(UPLOAD)).index == 1
            assert len(await told(s.database)) == 2

    asyncio.run(go())


def test_26_who_hangs_while_it_holds_the_head_is_thrown_out(conninfo):
    """Nothing is acknowledged meanwhile; the recovery leaf counts who was refused; the next is taken."""
    # As the doors' roles have it (roles.py), only shorter than 30 s.
    patience = psycopg.conninfo.make_conninfo(
        conninfo("owner"), options="-c idle_in_transaction_session_timeout=12s"
    )

    async def go():
        async with stage(conninfo) as s:
            with holding(patience) as holder:
                os.kill(holder.pid, signal.SIGSTOP)
                with pytest.raises(UnavailableError) as raised:
                    await s.recorder.append(UPLOAD)
                assert raised.value.reason == "AUDIT_DEGRADED"
                assert await told(s.database) == []
                await until(lambda: s.recorder.state.phase == "normal", 60)
            [recovery] = await told(s.database)
            assert recovery["kind"] == "log.recover"
            assert recovery["counts"] == {"refused": 1, "unknown": 0}
            assert (await s.recorder.append(UPLOAD)).index == 1

    asyncio.run(go())


@pytest.mark.parametrize("role", ["identity", "intake", "disclosure", "administration", "front"])
def test_26_no_role_that_writes_waits_or_idles_for_ever(conninfo, role):
    with psycopg.connect(conninfo(role)) as connection:
        for setting in (
            *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"),
        ):
            row = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
            assert row is not None
            assert row[0] not in ("0", ""), setting


def test_26_of_two_that_wait_for_each_other_one_is_refused(conninfo):
    """Each is told what became of it by exactly one leaf, and both recorders go on."""

    async def go():
        async with stage(conninfo) as s:
            other = await s.another()
            held = {1: asyncio.Event(), 2: asyncio.Event()}

            def crossing(first: int, second: int):
                async def effect(transaction) -> Event:
                    await transaction.execute("SELECT pg_advisory_xact_lock(%s)", (first,))
                    held[first].set()
                    await held[second].wait()
                    await transaction.execute("SELECT pg_advisory_xact_lock(%s)", (second,))
                    return UPLOAD

                return effect

            ends = await asyncio.gather(
                s.recorder.append(UPLOAD, crossing(1, 2)),
                other.append(UPLOAD, crossing(2, 1)),
                return_exceptions=True,
            )
            failed = [one for one in ends if isinstance(one, BaseException)]
            assert len(failed) == 1
            leaves = await told(s.database)
            assert sorted(one["decision"] for one in leaves) == ["allow", "error"]
            assert [one.get("reason") for one in leaves if one["decision"] == "error"] == [
                "INTERNAL"
            ]
            assert not isinstance(failed[0], Refusal) or failed[0].leaf_index is not None
            assert {s.recorder.state.phase, other.state.phase} == {"normal"}
            assert (await other.append(UPLOAD)).index == 2
            await other.close()

    asyncio.run(go())


def test_26_a_second_gateway_with_a_copy_of_the_home_keeps_the_same_log(conninfo):
    """Two signers of one key, each with its own state: all they sign is one log, and every receipt holds in it."""

    async def go():
        async with stage(conninfo) as s:
            await s.recorder.append(UPLOAD)
            # Key and state of this moment, a socket of its own.
            second = RunningSigner(_copied(s.home))
            try:
                await second.start()
                database = await Database.open(conninfo("identity"), application="test")
                link = SignerLink(second.home.signer_socket)
                twin = await Recorder.open(database, link, door="identity", clock=s.clock)
                turns = [(s.recorder, twin)[turn % 2] for turn in range(12)]
                entries = [await recorder.append(UPLOAD) for recorder in turns]
                await twin.close()
                await database.close()
            finally:
                await second.kill()
                shutil.rmtree(second.home.root.parent)
            assert [one.index for one in entries] == [*range(1, 13)]
            for one in entries:
                key = s.signer.verifier
                known = open_checkpoint(one.checkpoint, [key], key.name)
                place = (leaf_hash(one.leaf), one.index, known.size)
                verify_inclusion(*place, one.hashes, known.root)
            assert (await s.recorder.append(UPLOAD)).index == 13

    asyncio.run(go())


def _copied(home: Home) -> Home:
    root = Path(tempfile.mkdtemp(prefix="gw-")) / "home"
    shutil.copytree(home.root, root, ignore=shutil.ignore_patterns("*.sock"))
    return Home(root)
