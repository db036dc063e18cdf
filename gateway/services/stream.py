"""The window of a stream: a few batches in flight, answered in the order in which they came.

Reading and answering are two tasks, so that a batch is judged while the one before it is being
committed. Whatever ends the stream, batches already taken are finished: each leaves its own leaf,
and its receipt waits under its request id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.errors import Refusal
from gateway.services import wire
from gateway.services.wire import Context

Read = Callable[[], Awaitable[bytes | None]]
Serve = Callable[[bytes], Coroutine[None, None, bytes]]


class Window:
    """One stream: `read` gives the next batch or None, or raises what ends the stream.

    `serve` answers one batch.
    """

    def __init__(
        self,
        context: Context,
        read: Read,
        serve: Serve,
        size: int,
        under_way: set[asyncio.Task[Any]],
    ) -> None:
        """Prepare for `size` unanswered batches (policies/limits.toml).

        Nothing is read before `run`.
        """
        self._context = context
        self._read = read
        self._serve = serve
        self._under_way = under_way
        self._room = asyncio.Semaphore(size)
        self._batches: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self._stop: Refusal | None = None
        # How many batches came.
        self.taken = 0

    def stop(self, refusal: Refusal) -> None:
        """Take no more batches; `run` finishes those taken and raises this refusal."""
        self._stop = refusal
        if self._reader is not None:
            self._reader.cancel()

    async def run(self) -> None:
        """Answer every batch in order.

        Raises the first batch's refusal, or else what ended the reading.
        """
        if self._stop is not None:
            raise self._stop
        self._reader = asyncio.create_task(self._take())
        try:
            while (batch := await self._batches.get()) is not None:
                reply = await asyncio.shield(batch)
                await wire.send(self._context, reply)
                self._room.release()
        except asyncio.CancelledError:
            self._reader.cancel()  # the batches in flight go on by themselves
            raise
        except BaseException:
            self._reader.cancel()
            await self._settle()
            raise
        await self._ended(self._reader)

    async def _take(self) -> None:
        try:
            while True:
                await self._room.acquire()
                raw = await self._read()
                if raw is None:
                    return
                self.taken += 1
                batch = asyncio.create_task(self._serve(raw))
                self._under_way.add(batch)
                batch.add_done_callback(self._seen)
                self._batches.put_nowait(batch)
        finally:
            self._batches.put_nowait(None)

    async def _ended(self, reader: asyncio.Task[None]) -> None:
        try:
            await reader
        except asyncio.CancelledError:
            if self._stop is None:
                raise
            raise self._stop from None

    async def _settle(self) -> None:
        """Wait for the batches behind a refused one.

        When the stream ends, their outcome is known.
        """
        while (batch := await self._batches.get()) is not None:
            await asyncio.wait([batch])

    def _seen(self, batch: asyncio.Task[bytes]) -> None:
        """Take note of a batch's outcome even where nobody waits for it any more."""
        self._under_way.discard(batch)
        if not batch.cancelled():
            batch.exception()
