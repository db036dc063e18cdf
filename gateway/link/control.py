"""The control socket between front and doors: who stands behind a name, and which names are gone.

A door sends {"who": name} and gets {"name": name, "connection": {...} or null}; the front sends
{"closed": name} by itself to whom it told of it. One JSON object a line. What the front does not
know does not exist: the client keeps only positive answers, drops them when told, and forgets all
when the link breaks.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from gateway.errors import Reason, refuse
from gateway.link.connection import Connection, MalformedConnectionError, is_name

# A line with a connection has some 700 bytes.
LINE_MAX_BYTES = 8_192
# The front answers from memory; what takes longer is a front that hangs.
ANSWER_S = 2.0
# A door that reads nothing for so much is cut: it asks again when it comes back.
BACKLOG_MAX_BYTES = 4_194_304
_SOCKET_MODE = 0o660

Lookup = Callable[[str], Connection | None]


class ControlServer:
    """The front's end; `start` opens the socket, `closed` tells who asked that a name is gone."""

    def __init__(self, lookup: Lookup) -> None:
        """Answer from this look-up."""
        self._lookup = lookup
        self._doors: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        # Who was given a connection under this name, and may remember it.
        self._told: dict[str, set[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Open the socket, in place of one that a dead front left."""
        _remove(path)
        self._server = await asyncio.start_unix_server(
            self._door, path=str(path), limit=LINE_MAX_BYTES
        )
        # Who may enter the folder is the folder's matter: gateway users, or the one user there is.
        _open_to_group(path)

    def closed(self, name: str) -> None:
        """Tell each door that was given a connection that it is gone."""
        line = _line({"closed": name})
        for door in self._told.pop(name, set()) & self._doors.keys():
            if door.transport.get_write_buffer_size() > BACKLOG_MAX_BYTES:
                door.transport.abort()
            else:
                door.write(line)

    async def stop(self) -> None:
        """Close the socket and every door's link."""
        if self._server is None:
            return
        self._server.close()
        serving = [task for task in self._doors.values() if task is not None]
        for door in list(self._doors):
            door.close()
        await asyncio.gather(*serving)
        await self._server.wait_closed()

    async def _door(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._doors[writer] = asyncio.current_task()
        try:
            while line := await reader.readline():
                writer.write(self._answer(line, writer))
                await writer.drain()
        except (OSError, ValueError, RecursionError):  # gone, or it speaks something else: cut it
            pass
        finally:
            del self._doors[writer]
            writer.close()

    def _answer(self, line: bytes, door: asyncio.StreamWriter) -> bytes:
        question = json.loads(line)
        name = question.get("who") if isinstance(question, dict) else None
        if not isinstance(name, str) or not is_name(name):
            raise ValueError("not a question")
        found = self._lookup(name)
        table = None if found is None else json.loads(found.to_json())
        if found is not None:
            self._told.setdefault(name, set()).add(door)
        return _line({"name": name, "connection": table})


class ControlClient:
    """A door's end: asks once per connection and remembers until the front says it is closed."""

    def __init__(self, path: Path) -> None:
        """Ask on this socket; it is opened at the first question and again after it broke."""
        self._path = path
        self._known: dict[str, Connection] = {}
        self._asked: dict[str, asyncio.Future[Connection | None]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def who(self, name: str) -> Connection | None:
        """Return the connection of this name, None when the front has none; raises FRONT_AWAY."""
        if name in self._known:
            return self._known[name]
        if not is_name(name):
            return None
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.shield(await self._ask(name))
        except (OSError, TimeoutError):
            raise refuse(Reason.FRONT_AWAY) from None

    async def close(self) -> None:
        """Close the link."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def _ask(self, name: str) -> "asyncio.Future[Connection | None]":
        async with self._opening:
            if self._writer is None:
                await self._open()
        writer, asked = self._writer, self._asked.get(name)
        if writer is None:
            raise ConnectionResetError
        if asked is None:
            asked = self._asked[name] = asyncio.get_running_loop().create_future()
            # Whoever asked may be gone when the link breaks: asyncio would print the exception.
            asked.add_done_callback(lambda one: one.cancelled() or one.exception())
            writer.write(_line({"who": name}))
        return asked

    async def _open(self) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=LINE_MAX_BYTES)
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader, writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take answers and news until the link breaks; then nothing is known any more."""
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        except (OSError, KeyError, ValueError, RecursionError):
            pass
        finally:
            self._writer = None
            self._known.clear()
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(ConnectionResetError())
            self._asked.clear()
            writer.close()

    def _take(self, said: object) -> None:
        if not isinstance(said, dict):
            raise MalformedConnectionError("not an answer")
        if "closed" in said:
            self._known.pop(said["closed"], None)
            return
        table, name = said["connection"], said["name"]
        found = None if table is None else Connection.of(table)
        if found is not None:
            self._known[name] = found
        asked = self._asked.pop(name, None)
        if asked is not None and not asked.done():
            asked.set_result(found)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _open_to_group(path: Path) -> None:
    path.chmod(_SOCKET_MODE)


def _line(table: dict[str, object]) -> bytes:
    return json.dumps(table, separators=(",", ":")).encode() + b"\n"
