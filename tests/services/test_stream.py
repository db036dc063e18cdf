import asyncio

import pytest

from gateway.errors import Reason, Refusal, refuse
from gateway.services.stream import Window
from tests.coverage.rpcs import eventually


class Wire:
    """The replies of a stream, and batches as they come: a number, or what ends the reading."""

    def __init__(self, *batches):
        self.replies = []
        self.taken = []
        self.batches = list(batches)
        self.most = 0
        self.serving = 0
        self.release = asyncio.Event()

    async def write(self, reply):
        self.replies.append(reply)

    async def read(self):
        if not self.batches:
            return None
        batch = self.batches.pop(0)
        if isinstance(batch, Refusal):
            raise batch
        self.taken.append(batch)
        return batch

    async def serve(self, raw):
        self.serving += 1
        self.most = max(self.most, self.serving)
        try:
            await self.release.wait()
            # The later ones are done first.
            await asyncio.sleep(0.01 / raw[0])
            if raw.endswith(b"!"):
                raise refuse(Reason.POLICY_DENIED)
            return b"r" + raw
        finally:
            self.serving -= 1

    def window(self, size=8, under_way=None):
        return Window(self, self.read, self.serve, size, set() if under_way is None else under_way)


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 5))


def test_answers_in_the_order_of_the_batches():
    async def scenario():
        wire = Wire(*[bytes([n]) for n in range(1, 6)])
        wire.release.set()
        await wire.window().run()
        assert wire.replies == [b"r" + bytes([n]) for n in range(1, 6)]
        assert wire.most == 5

    run(scenario)


def test_no_more_than_the_window():
    async def scenario():
        wire = Wire(*[bytes([n]) for n in range(1, 20)])
        running = asyncio.create_task(wire.window(3).run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(wire.taken) == 3
        wire.release.set()
        await running
        assert wire.most == 3
        assert len(wire.replies) == 19

    run(scenario)


def test_what_ends_the_reading_waits_for_the_batches_before_it():
    async def scenario():
        wire = Wire(b"\x01", b"\x02", refuse(Reason.TOKEN_EXPIRED), b"\x03")
        wire.release.set()
        with pytest.raises(Refusal) as raised:
            await wire.window().run()
        assert raised.value.reason == "TOKEN_EXPIRED"
        assert wire.replies == [b"r\x01", b"r\x02"]

    run(scenario)


def test_the_first_refused_batch_ends_the_stream_and_those_behind_it_are_finished():
    async def scenario():
        under_way = set()
        wire = Wire(b"\x09", b"\x02!", b"\x03", b"\x01")
        wire.release.set()
        with pytest.raises(Refusal) as raised:
            await wire.window(8, under_way).run()
        assert raised.value.reason == "POLICY_DENIED"
        assert wire.replies == [b"r\x09"]
        assert wire.serving == 0
        assert not under_way

    run(scenario)


def test_a_cancelled_stream_leaves_its_batches_running():
    async def scenario():
        under_way = set()
        wire = Wire(b"\x01", b"\x02")
        running = asyncio.create_task(wire.window(8, under_way).run())
        await eventually(lambda: len(under_way) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert wire.serving == 2
        wire.release.set()
        await asyncio.wait(set(under_way))
        assert wire.serving == 0
        assert wire.replies == []

    run(scenario)


@pytest.mark.parametrize("begun", [False, True])
def test_a_stopped_stream_takes_no_more(begun):
    async def scenario():
        wire = Wire(b"\x01")
        waiting = asyncio.Event()

        async def read():
            if wire.batches:
                return wire.batches.pop()
            await waiting.wait()
            return None

        window = Window(wire, read, wire.serve, 8, set())
        if not begun:
            window.stop(refuse(Reason.SHUTTING_DOWN))
        running = asyncio.create_task(window.run())
        if begun:
            await eventually(lambda: wire.serving)
            window.stop(refuse(Reason.SHUTTING_DOWN))
            wire.release.set()
        with pytest.raises(Refusal) as raised:
            await running
        assert raised.value.reason == "SHUTTING_DOWN"
        assert wire.replies == ([b"r\x01"] if begun else [])

    run(scenario)
