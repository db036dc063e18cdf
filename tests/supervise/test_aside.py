"""What runs aside answers while the supervisor's own loop is busy, ends with it, and hides no fault."""

import asyncio
import threading

import pytest

from gateway.supervise.aside import aside


def test_it_goes_on_while_the_loop_stands_still():
    asked, answered = threading.Event(), threading.Event()

    async def answering():
        while not asked.is_set():  # noqa: ASYNC110  another loop's thread sets it
            await asyncio.sleep(0.01)
        answered.set()

    async def run():
        working = asyncio.create_task(aside(answering))
        await asyncio.sleep(0)
        asked.set()
        # Nothing of this loop runs meanwhile.
        assert answered.wait(60)
        await working

    asyncio.run(run())


def test_whoever_is_cancelled_ends_it_first():
    ended = []

    async def run():
        begun = asyncio.Event()
        here = asyncio.get_running_loop()

        async def lasting():
            try:
                here.call_soon_threadsafe(begun.set)
                await asyncio.Event().wait()
            finally:
                ended.append(threading.current_thread())

        working = asyncio.create_task(aside(lasting))
        await begun.wait()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert len(ended) == 1
        assert ended[0] is not threading.current_thread()
        ended[0].join(60)
        assert not ended[0].is_alive()

    asyncio.run(run())


def test_what_it_raises_is_raised_here():
    async def failing():
        raise OSError("no socket")

    async def run():
        with pytest.raises(OSError, match="no socket"):
            await aside(failing)

    asyncio.run(run())
