"""A thread reads what the loop makes, as it asks, and stops with whoever waits for it."""

import asyncio
import contextlib

import pytest

from gateway.exports.pull import drawn


async def pieces(*given):
    for piece in given:
        await asyncio.sleep(0)
        yield piece


def everything(reader):
    found = []
    while piece := reader.read(4):
        found.append(piece)
    return found


def run(play):
    return asyncio.run(play)


def test_pieces_come_in_order_and_no_larger_than_asked():
    found = run(drawn(pieces(b"abcdefgh", b"", b"i", b"jk"), everything))
    assert found == [b"abcd", b"efgh", b"i", b"jk"]
    assert run(drawn(pieces(), everything)) == []


def test_nothing_is_made_before_it_is_asked_for():
    made = []

    async def counting():
        for n in range(100):
            made.append(n)
            yield b"x"

    assert run(drawn(counting(), lambda reader: reader.read(1))) == b"x"
    assert made == [0]


def test_the_error_of_the_source_comes_through():
    async def failing():
        yield b"x"
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        run(drawn(failing(), everything))


def test_the_error_of_the_thread_comes_through():
    def failing(reader):
        reader.read(1)
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        run(drawn(pieces(b"x"), failing))


def test_who_is_cancelled_leaves_no_thread_and_no_source_running():
    async def play():
        asked, closed = asyncio.Event(), []

        async def endless():
            try:
                yield b"x"
                asked.set()
                await asyncio.Event().wait()
            finally:
                closed.append(True)

        ended = []

        def taking(reader):
            try:
                return everything(reader)
            finally:
                ended.append(True)

        async def build():
            async with contextlib.aclosing(endless()) as source:
                return await drawn(source, taking)

        task = asyncio.create_task(build())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [True]
        assert closed == [True]

    run(play())
