"""A heartbeat comes when the log stood still for its interval, not before, and never while the log is away."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.audit.event import Event
from gateway.audit.heartbeat import KIND, Heartbeat
from tests.audit.stage import Stage, stage

Conninfo = Callable[[str], str]
BASE = Event(door="administration")
EVERY_S = 10.0


def play(conninfo: Conninfo, work: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        async with stage(conninfo) as s:
            await work(s)

    asyncio.run(main())


def test_it_beats_when_nothing_else_happened(conninfo: Conninfo) -> None:
    async def work(s: Stage) -> None:
        heart = Heartbeat(s.recorder, EVERY_S, s.clock)
        assert not await heart.look(BASE)
        s.clock.turn(seconds=EVERY_S - 0.1)
        assert not await heart.look(BASE)
        await s.recorder.append(Event(kind="log.start", door="intake"))
        s.clock.turn(seconds=EVERY_S)
        assert not await heart.look(BASE)
        before = (await s.recorder.log.head()).size
        s.clock.turn(seconds=EVERY_S)
        assert await heart.look(BASE)
        assert (await s.recorder.log.head()).size == before + 1
        # Its own beat is an entry like others: the next comes an interval later.
        assert not await heart.look(BASE)
        s.clock.turn(seconds=EVERY_S)
        assert await heart.look(BASE)

    play(conninfo, work)


def test_it_beats_by_itself_and_keeps_still_while_the_log_is_away(conninfo: Conninfo) -> None:
    async def work(s: Stage) -> None:
        heart = Heartbeat(s.recorder, 0.01, s.clock)
        beating = asyncio.create_task(heart.serve(BASE))
        try:
            seen = (await s.recorder.log.head()).size
            while (await s.recorder.log.head()).size <= seen + 1:
                s.clock.turn(seconds=1)
                await asyncio.sleep(0.01)
            await s.signer.kill()
            async with asyncio.timeout(30):
                while not s.recorder.state.degraded:
                    s.clock.turn(seconds=1)
                    await asyncio.sleep(0.01)
            assert not await heart.look(BASE)
            assert not beating.done()
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    play(conninfo, work)


def test_none_where_the_settings_want_none(conninfo: Conninfo) -> None:
    async def work(s: Stage) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await Heartbeat(s.recorder, 0, s.clock).serve(BASE)

    play(conninfo, work)
    assert KIND == "log.heartbeat"
