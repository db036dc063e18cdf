"""A small pool of PostgreSQL connections, and the transaction other rooms run their SQL on.

Placeholders are `%s`, so a percent sign in SQL text is `%%`. Results come in binary: bytea is
bytes, timestamps are ours in microseconds. Nothing of psycopg leaves this room: its errors become
StoreError, whose text never holds values of rows.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

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
# A password is changed on the server and in its file within milliseconds; who comes between them
# looks again this often, for no longer than a caller waits anyway.
_CHANGE_LOOKS = 40
_CHANGE_S = 0.05
Row = tuple[Any, ...]  # Any: the column's Python type, known to the reader beside the SQL


class Way(Protocol):
    """How to connect, asked anew for each connection (`roles.WayIn`)."""

    def conninfo(self) -> str:
        """Return the libpq connection string; raises OSError."""
        ...

    def changing(self) -> bool:
        """Return whether the password is being changed at this moment."""
        ...


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

    def __init__(self, way: str | Way, application: str, size: int) -> None:
        """Remember how to connect; `open` is how to make one."""
        self._way = way
        self._application = application
        self._places = asyncio.Semaphore(size)
        self._idle: list[psycopg.AsyncConnection] = []
        self._closed = False

    @classmethod
    async def open(cls, way: str | Way, *, application: str, size: int = 4) -> "Database":
        """Return a pool whose first connection stands; `application` shows in pg_stat_activity.

        By a `Way` it outlives a change of its role's password.
        """
        database = cls(way, application, size)
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
        """Connect; while the password is being changed, by whichever the server knows."""
        for _ in range(_CHANGE_LOOKS):
            tried = self._conninfo()
            try:
                return await self._connect_by(tried)
            except StoreAwayError:
                if isinstance(self._way, str):
                    raise
                # Asked before the file is read again: what ended meanwhile shows itself there.
                changing = self._way.changing()
                if self._conninfo() == tried:
                    if not changing:
                        raise
                    await asyncio.sleep(_CHANGE_S)
        return await self._connect_by(self._conninfo())

    def _conninfo(self) -> str:
        if isinstance(self._way, str):
            return self._way
        try:
            return self._way.conninfo()
        except OSError as error:
            raise StoreAwayError(f"the password cannot be read: {error.strerror}") from None

    async def _connect_by(self, conninfo: str) -> psycopg.AsyncConnection:
        """Connect; whoever gives up meanwhile leaves no half login behind.

        psycopg lets go of its socket only with its last frame, and a login that the server waits
        for holds up what waits for every backend (DROP DATABASE: ProcSignalBarrier).
        """
        connecting = asyncio.ensure_future(
            psycopg.AsyncConnection.connect(
                conninfo,
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
