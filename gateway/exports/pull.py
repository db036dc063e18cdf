"""An asynchronous source of bytes, read by a thread: rows come from the database as age asks.

Nothing is fetched before it is asked for, so that no queue grows; whoever is cancelled stops the
thread and waits for it, so that nothing is written afterwards.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable
from typing import IO, TypeVar, cast

Made = TypeVar("Made")


class _StoppedError(Exception):
    """The build that the thread reads for was cancelled."""


class _Pull:
    """A reader of an asynchronous iterator, for one thread."""

    def __init__(self, source: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop
        self._piece, self._at = b"", 0
        self._lock = threading.Lock()
        self._asked: concurrent.futures.Future[bytes] | None = None
        self._stopped = False
        self.fetching: asyncio.Task[bytes] | None = None

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" at the end; raises what the source raises."""
        if self._at >= len(self._piece):
            self._piece, self._at = self._ask(), 0
        found = self._piece[self._at : self._at + size]
        self._at += len(found)
        return found

    def stop(self) -> None:
        """Let the next read, or the one that waits, raise."""
        with self._lock:
            self._stopped = True
            if self._asked is not None:
                self._asked.cancel()

    def _ask(self) -> bytes:
        with self._lock:
            if self._stopped:
                raise _StoppedError
            self._asked = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
        return self._asked.result()

    async def _next(self) -> bytes:
        """Return the next piece that is not empty, or b"" at the end."""
        self.fetching = asyncio.current_task()
        async for piece in self._source:
            if piece:
                return piece
        return b""


async def drawn(source: AsyncIterator[bytes], take: Callable[[IO[bytes]], Made]) -> Made:
    """Return what `take` makes of a source that it reads in a thread; raises what it raises."""
    pull = _Pull(source, asyncio.get_running_loop())
    taking = asyncio.ensure_future(asyncio.to_thread(take, cast("IO[bytes]", pull)))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        pull.stop()
        # What it was fetching too: the source is closed next, and must not be running.
        await asyncio.wait([taking, *([pull.fetching] if pull.fetching else [])])
        # Its own error is of the stopping; seen, so that nobody calls it lost.
        taking.exception()
        raise
