"""The pool and the transaction, on a real server."""

import asyncio
import contextlib
import datetime as dt
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.store import database as database_module
from gateway.store.database import (
    Database,
    StoreAwayError,
    StoreError,
    Transaction,
    UniqueViolationError,
)

Conninfo = Callable[[str], str]
VALUE = "SELECT value FROM epoch WHERE name = 'session'"
SLEEPS = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
SET = "UPDATE epoch SET value = %s WHERE name = 'session'"


def with_database(
    conninfo: str, scene: Callable[[Database], Awaitable[None]], *, size: int = 2
) -> None:
    """Run a scene with an open pool."""

    async def run() -> None:
        database = await Database.open(conninfo, application="test", size=size)
        try:
            await scene(database)
        finally:
            await database.close()

    asyncio.run(run())


async def one(database: Database, sql: str) -> object:
    """The first column of the first row of a query in its own transaction."""
    async with database.transaction() as tx:
        row = await tx.fetch_one(sql)
    return row and row[0]


def process_runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def set_and_raise(database: Database, value: int) -> None:
    """Write, then fail."""
    async with database.transaction() as tx:
        await tx.execute(SET, [value])
        raise ValueError("mine")


def test_commit_and_rollback(conninfo: Conninfo) -> None:
    async def scene(database: Database) -> None:
        async with database.transaction() as tx:
            assert await tx.execute(SET, [7]) == 1
        with pytest.raises(ValueError, match="mine"):
            await set_and_raise(database, 8)
        assert await one(database, VALUE) == 7

    with_database(conninfo("owner"), scene, size=1)


def test_savepoints_undo_only_themselves(conninfo: Conninfo) -> None:
    async def failing(tx: Transaction) -> None:
        async with tx.savepoint():
            await tx.execute(SET, [2])
            async with tx.savepoint():
                await tx.execute(SET, [3])
            await tx.execute("SELECT 1 / 0")

    async def scene(database: Database) -> None:
        async with database.transaction() as tx:
            await tx.execute(SET, [1])
            with pytest.raises(StoreError) as caught:
                await failing(tx)
            assert caught.value.sqlstate == "22012"
        assert await one(database, VALUE) == 1

    with_database(conninfo("owner"), scene)


def test_errors_hold_no_values(conninfo: Conninfo) -> None:
    async def scene(database: Database) -> None:
        async with database.transaction() as tx:
            with pytest.raises(UniqueViolationError) as caught:
                await tx.execute("INSERT INTO epoch (name) VALUES ('session')")
        assert caught.value.constraint == "epoch_pkey"
        assert caught.value.sqlstate == "23505"
        with pytest.raises(StoreError) as other:
            await one(database, "SELECT 'canary-14010020190101'::integer")
        assert "canary" not in f"{caught.value}{other.value}{other.value.__cause__}"
        with pytest.raises(StoreError, match="no_such_table"):
            await one(database, "SELECT 1 FROM no_such_table")

    with_database(conninfo("owner"), scene)


def test_copy_in_binary(conninfo: Conninfo) -> None:
    rows = [(n, f"名{n}", bytes([n]), dt.date(2020, 1, 1 + n), None) for n in range(5)]

    async def scene(database: Database) -> None:
        async with database.transaction() as tx:
            await tx.execute("CREATE TEMPORARY TABLE t (a bigint, b text, c bytea, d date, e uuid)")
            types = ("bigint", "text", "bytea", "date", "uuid")
            await tx.copy("COPY t FROM STDIN (FORMAT BINARY)", rows, types)
            assert await tx.fetch("SELECT a, b, c, d, e FROM t ORDER BY a") == rows

    with_database(conninfo("owner"), scene)


def test_pool_waits_for_a_place_and_survives_cancelling(conninfo: Conninfo) -> None:
    async def scene(database: Database) -> None:
        async with asyncio.timeout(10):
            sleeper = asyncio.create_task(one(database, "SELECT pg_sleep(60)"))
            with psycopg.connect(conninfo("owner"), autocommit=True) as watcher:
                while not watcher.execute(SLEEPS).fetchone():  # noqa: ASYNC110  the server's state
                    await asyncio.sleep(0.01)
            waiter = asyncio.create_task(one(database, "SELECT 1"))
            await asyncio.sleep(0)
            assert not waiter.done()
            sleeper.cancel()
            assert await waiter == 1
            with pytest.raises(asyncio.CancelledError):
                await sleeper

    with_database(conninfo("owner"), scene, size=1)


@pytest.mark.parametrize("steps", range(1, 8))
def test_who_gives_up_connecting_leaves_no_half_login(conninfo: Conninfo, steps: int) -> None:
    """It would hold a place for as long as the server waits for a login, and hold up DROP DATABASE."""

    async def scene() -> None:
        before = _sockets()
        opening = asyncio.create_task(Database.open(conninfo("owner"), application="test"))
        while not _sockets() - before:  # noqa: ASYNC110  libpq's own socket
            await asyncio.sleep(0)
        for _ in range(steps):
            await asyncio.sleep(0.0002)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await opening).close()
        assert not _sockets() - before

    asyncio.run(scene())


def _sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(entry.readlink()))
    return {one for one in found if one.startswith("socket:")}


def test_dead_connections_are_replaced(conninfo: Conninfo) -> None:
    async def scene(database: Database) -> None:
        first = await one(database, "SELECT pg_backend_pid()")
        assert isinstance(first, int)
        os.kill(first, signal.SIGTERM)
        while process_runs(first):  # noqa: ASYNC110  another process's end
            await asyncio.sleep(0.01)
        assert await one(database, "SELECT pg_backend_pid()") != first

    with_database(conninfo("owner"), scene, size=1)


def test_a_query_by_itself(conninfo: Conninfo) -> None:
    async def scene(database: Database) -> None:
        ((first, value),) = await database.fetch("SELECT pg_backend_pid(), %s::bytea", (b"x",))
        assert value == b"x"
        os.kill(first, signal.SIGTERM)
        while process_runs(first):  # noqa: ASYNC110  another process's end
            await asyncio.sleep(0.01)
        ((second,),) = await database.fetch("SELECT pg_backend_pid()")
        assert second != first
        with pytest.raises(StoreError, match="no_such_table") as refused:
            await database.fetch("SELECT %s FROM no_such_table", ("canary",))
        assert "canary" not in f"{refused.value}{refused.value.__cause__}"
        assert await one(database, "SELECT 1") == 1
        await database.close()
        with pytest.raises(StoreAwayError):
            await database.fetch("SELECT 1")

    with_database(conninfo("owner"), scene, size=1)


def test_killed_inside_a_transaction_is_away(conninfo: Conninfo) -> None:
    async def scene(database: Database) -> None:
        with pytest.raises(StoreAwayError):
            await one(database, "SELECT pg_terminate_backend(pg_backend_pid())")
        assert await one(database, "SELECT 1") == 1

    with_database(conninfo("owner"), scene, size=1)


def test_closed_pool_refuses(conninfo: Conninfo) -> None:
    async def scene(database: Database) -> None:
        await database.close()
        with pytest.raises(StoreAwayError):
            await one(database, "SELECT 1")

    with_database(conninfo("owner"), scene)


def test_listen_reconnects_and_says_so(conninfo: Conninfo) -> None:
    async def scene(database: Database) -> None:
        heard = database.listen("gateway_epoch")
        async with asyncio.timeout(10):
            assert await anext(heard) == ("gateway_epoch", "")
            await one(database, "SELECT pg_notify('gateway_epoch', 'session')")
            assert await anext(heard) == ("gateway_epoch", "session")
            await one(
                database,
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%%' AND datname = current_database()",
            )
            assert await anext(heard) == ("gateway_epoch", "")
        await heard.aclose()

    with_database(conninfo("owner"), scene)


@dataclass
class Changing:
    """A way in whose password is another each time somebody looks, the last for ever."""

    conninfos: list[str]
    lasts: int = 0
    looks: int = 0

    def conninfo(self) -> str:
        if not self.conninfos:
            raise PermissionError(13, "Permission denied")
        return self.conninfos.pop(0) if len(self.conninfos) > 1 else self.conninfos[0]

    def changing(self) -> bool:
        self.looks += 1
        return self.looks <= self.lasts


def test_a_password_that_changed_meanwhile_is_tried_anew(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_CHANGE_S", 0.0)
    good = conninfo("owner")
    bad = make_conninfo(good, password="old")

    async def opened(way: Changing) -> None:
        await (await Database.open(way, application="test", size=1)).close()

    asyncio.run(opened(Changing([bad, good])))
    asyncio.run(opened(Changing([bad, bad, bad, good], lasts=1)))
    for way in (Changing([bad]), Changing([bad], lasts=3), Changing([bad], lasts=10**9)):
        with pytest.raises(StoreAwayError):
            asyncio.run(opened(way))
    assert way.looks == database_module._CHANGE_LOOKS, "it ends also where the change never does"


def test_a_password_that_cannot_be_read_is_a_store_that_is_away() -> None:
    with pytest.raises(StoreAwayError, match="Permission denied"):
        asyncio.run(Database.open(Changing([]), application="test"))
