"""The control socket: a door asks the front, once per connection, who stands behind it.

Lines of JSON. The door sends {"who": name}; the front answers {"who": name, "connection": {...} |
null} and pushes {"closed": name} when a connection ends, so that a door forgets it at once. A
socket's mode decides who may ask.
"""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

from gateway.errors import Reason, refuse
from gateway.link.connection import Connection

# The front answers from memory; a door that waits longer than this is talking to a dead front.
ANSWER_TIMEOUT_S = 2.0
SOCKET_MODE = 0o660


class ControlServer:
    """The front's end."""

    def __init__(self, lookup: Callable[[str], Connection | None]) -> None:
        """Answer from `lookup`."""
        self._lookup = lookup
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen on a fresh socket at `path`."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240  once, before anybody is served
        self._server = await asyncio.start_unix_server(self._serve, path)
        os.chmod(path, SOCKET_MODE)  # noqa: PTH101  the socket's folder keeps strangers out; this lets the doors in

    def closed(self, name: str) -> None:
        """Tell every door that a connection has ended."""
        line = json.dumps({"closed": name}).encode() + b"\n"
        for writer in self._writers:
            writer.write(line)

    async def stop(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                name = str(json.loads(line)["who"])
                found = self._lookup(name)
                body = "null" if found is None else found.to_json()
                writer.write(f'{{"who":{json.dumps(name)},"connection":{body}}}\n'.encode())
                await writer.drain()
        except (ConnectionError, ValueError, KeyError, TypeError):
            pass  # a door that talks nonsense or dies is simply disconnected
        finally:
            self._writers.discard(writer)
            writer.close()


class ControlClient:
    """A door's end: remembers each connection until the front says that it is closed."""

    def __init__(self, path: Path) -> None:
        """Ask the front behind the socket at `path`."""
        self._path = path
        self._known: dict[str, Connection] = {}
        self._waiting: dict[str, list[asyncio.Future[Connection | None]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def who(self, name: str) -> Connection | None:
        """Return the connection, None when the front does not know the name; raises FRONT_AWAY."""
        known = self._known.get(name)
        if known is not None:
            return known
        answer: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                writer = await self._connected()
                self._waiting.setdefault(name, []).append(answer)
                writer.write(json.dumps({"who": name}).encode() + b"\n")
                await writer.drain()
                return await answer
        except (OSError, TimeoutError):
            raise refuse(Reason.FRONT_AWAY) from None

    async def close(self) -> None:
        """Stop asking."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None or self._writer.is_closing():
                reader, self._writer = await asyncio.open_unix_connection(self._path)
                self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the front is gone or not itself: what we knew of it is void
        finally:
            writer.close()
            self._known.clear()
            waiting, self._waiting = self._waiting, {}
            for answer in (future for futures in waiting.values() for future in futures):
                if not answer.done():
                    answer.set_exception(ConnectionError("the front closed the control socket"))

    def _take(self, message: dict[str, object]) -> None:
        if "closed" in message:
            self._known.pop(str(message["closed"]), None)
            return
        name, body = str(message["who"]), message["connection"]
        found = None if body is None else Connection.from_json(json.dumps(body))
        if found is not None:
            self._known[name] = found
        for answer in self._waiting.pop(name, []):
            if not answer.done():
                answer.set_result(found)
