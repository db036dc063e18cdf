"""A small pool of PostgreSQL connections, and the transaction other rooms run their SQL on.

Placeholders are `%s`, so a percent sign in SQL text is `%%`. Results come in binary: bytea is
bytes, timestamps are ours in microseconds. Nothing of psycopg leaves this room: its errors become
StoreError, whose text never holds values of rows.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg

from gateway.store.errors import (
    StoreAwayError,
    StoreError,
    UniqueViolationError,
    translated,
)

__all__ = ["Database", "StoreAwayError", "StoreError", "Transaction", "UniqueViolationError"]

# How long a new connection may take before the store counts as away.
CONNECT_TIMEOUT_S = 10
# Pause before a listener connects again.
RECONNECT_S = 0.25
Row = tuple[Any, ...]  # Any: the column's Python type, known to the reader beside the SQL


class Transaction:
    """One open transaction; valid only inside `Database.transaction`."""

    __slots__ = ("_connection", "_depth")

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection
        self._depth = 0

    async def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement and return how many rows it touched."""
        with translated():
            cursor = await self._connection.execute(sql, parameters, binary=True)
        return cursor.rowcount

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run a query and return its rows."""
        with translated():
            cursor = await self._connection.execute(sql, parameters, binary=True)
            return await cursor.fetchall()

    async def fetch_one(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Run a query and return its first row, or None."""
        with translated():
            cursor = await self._connection.execute(sql, parameters, binary=True)
            return await cursor.fetchone()

    async def copy(
        self, sql: str, rows: Iterable[Sequence[object]], types: Sequence[str] = ()
    ) -> None:
        """Send rows through `COPY … FROM STDIN (FORMAT BINARY)`; `types` are the columns'."""
        with translated():
            async with self._connection.cursor() as cursor, cursor.copy(sql) as copy:
                if types:
                    copy.set_types(types)
                write = copy.write_row
                for row in rows:
                    await write(row)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what is done inside when it raises, and only that."""
        name = f"s{self._depth}"
        self._depth += 1
        await self.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            await self.execute(f"ROLLBACK TO SAVEPOINT {name}")
            await self.execute(f"RELEASE SAVEPOINT {name}")
            raise
        else:
            await self.execute(f"RELEASE SAVEPOINT {name}")
        finally:
            self._depth -= 1


class Database:
    """At most `size` connections of one role; made by `open`."""

    def __init__(self, conninfo: str, application: str, size: int) -> None:
        """Remember how to connect; `open` is how to make one."""
        self._conninfo = conninfo
        self._application = application
        self._places = asyncio.Semaphore(size)
        self._idle: list[psycopg.AsyncConnection] = []
        self._closed = False

    @classmethod
    async def open(cls, conninfo: str, *, application: str, size: int = 4) -> "Database":
        """Return a pool whose first connection stands; `application` shows in pg_stat_activity."""
        database = cls(conninfo, application, size)
        database._idle.append(await database._connect())
        return database

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Return the rows of one query that is a transaction by itself; raises StoreAwayError.

        One round trip where `transaction` takes three; asked again when a connection was dead.
        """
        async with self._places:
            with translated():
                connection, cursor = await self._first(sql, parameters, binary=True)
                rows = await cursor.fetchall()
            self._give_back(connection)
        return rows

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Return BEGIN … COMMIT around a block; an exception is ROLLBACK. Raises StoreAwayError.

        When COMMIT itself fails with StoreAwayError, whether it took effect is unknown.
        """
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._places:
            connection = await self._begin()
            try:
                yield Transaction(connection)
                with translated():
                    await connection.execute("COMMIT")
            except BaseException:
                await self._undo(connection)
                raise
            self._give_back(connection)

    async def listen(self, *channels: str) -> AsyncGenerator[tuple[str, str], None]:
        """Yield (channel, payload) of notifications for ever, on a connection of its own.

        Whoever stops listening closes the generator (contextlib.aclosing), and so the connection.

        After each (re)connection every channel is yielded once with payload "": something may have
        been missed.
        """
        while not self._closed:
            try:
                async with await self._connect() as connection:
                    for channel in channels:
                        await connection.execute(f'LISTEN "{channel}"')
                        yield channel, ""
                    async for notice in connection.notifies():
                        yield notice.channel, notice.payload
            except (StoreAwayError, psycopg.OperationalError):
                await asyncio.sleep(RECONNECT_S)

    async def close(self) -> None:
        """Close the idle connections; a transaction that runs closes its own at its end."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> psycopg.AsyncConnection:
        """Connect; whoever gives up meanwhile leaves no half login behind.

        psycopg lets go of its socket only with its last frame, and a login that the server waits
        for holds up what waits for every backend (DROP DATABASE: ProcSignalBarrier).
        """
        connecting = asyncio.ensure_future(
            psycopg.AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                application_name=self._application,
                connect_timeout=CONNECT_TIMEOUT_S,
            )
        )
        with translated():
            try:
                return await asyncio.shield(connecting)
            except asyncio.CancelledError:
                connecting.add_done_callback(_hang_up)
                await asyncio.wait([connecting])
                raise

    async def _begin(self) -> psycopg.AsyncConnection:
        connection, _ = await self._first("BEGIN", None, binary=False)
        return connection

    async def _first(
        self, sql: str, parameters: Sequence[object] | None, *, binary: bool
    ) -> tuple[psycopg.AsyncConnection, psycopg.AsyncCursor[Row]]:
        """Run the first statement on a connection that stands; return both."""
        if self._closed:
            raise StoreAwayError("the pool is closed")
        while self._idle:
            connection = self._idle.pop()
            try:
                return connection, await connection.execute(sql, parameters, binary=binary)
            except psycopg.OperationalError:
                # The server was restarted since: every other idle connection is as dead as this
                # one.
                await connection.close()
                continue
            except BaseException:
                await connection.close()
                raise
        connection = await self._connect()
        try:
            with translated():
                return connection, await connection.execute(sql, parameters, binary=binary)
        except BaseException:
            await connection.close()
            raise

    async def _undo(self, connection: psycopg.AsyncConnection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except psycopg.Error:
            await connection.close()
        except BaseException:
            await connection.close()
            raise
        else:
            self._give_back(connection)

    def _give_back(self, connection: psycopg.AsyncConnection) -> None:
        idle = connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        if idle and not self._closed:
            self._idle.append(connection)
        else:
            connection.pgconn.finish()


def _hang_up(connecting: "asyncio.Future[psycopg.AsyncConnection]") -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().pgconn.finish()
