"""Keeping a process, shown with runs that end when the test says so."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.supervise import keeper
from gateway.supervise.keeper import Keeper, StartError


class Scripted:
    """A run whose readiness and end the test decides."""

    def __init__(self, pid: int, serves: bool = True) -> None:
        self.pid = pid
        self.serves = serves
        self.end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ready(self) -> bool:
        return self.serves

    async def ended(self) -> int:
        return await self.end

    async def finish(self) -> int:
        if not self.end.done():
            self.end.set_result(0)
        return await self.end


class Scene:
    """A keeper, its runs, and what it reported."""

    def __init__(self, serves: bool = True) -> None:
        self.runs: list[Scripted] = []
        self.told: list[tuple[str, int | None]] = []
        self.serves = serves
        self.kept = Keeper(
            "front", self.start, lambda one, status: self.told.append((one.state, status))
        )

    async def start(self) -> Scripted:
        self.runs.append(Scripted(100 + len(self.runs), self.serves))
        return self.runs[-1]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  the keeper's own steps, not an event
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(keeper, "LONGEST_PAUSE_S", 0.0)


def test_what_ends_is_started_again_and_what_is_finished_is_not() -> None:
    async def run() -> None:
        scene = Scene()
        task = asyncio.create_task(scene.kept.keep())
        await scene.kept.serving.wait()
        assert (scene.kept.state, scene.kept.pid) == ("ready", 100)
        scene.runs[0].end.set_result(-9)
        await until(lambda: len(scene.runs) == 2 and scene.kept.serving.is_set())
        assert (scene.kept.state, scene.kept.pid, scene.kept.restarts) == ("ready", 101, 1)
        await scene.kept.finish()
        await task
        assert scene.told == [
            ("starting", None),
            ("ready", None),
            ("restarting", -9),
            ("starting", None),
            ("ready", None),
            ("stopped", None),
        ]

    asyncio.run(run())


def test_one_that_never_serves_is_given_up() -> None:
    async def run() -> None:
        scene = Scene(serves=False)
        with pytest.raises(StartError, match="front does not start: exit status 0"):
            await scene.kept.keep()
        assert len(scene.runs) == keeper.ATTEMPTS

    asyncio.run(run())


def test_one_that_served_once_is_never_given_up() -> None:
    async def run() -> None:
        scene = Scene()
        task = asyncio.create_task(scene.kept.keep())
        for number in range(keeper.ATTEMPTS * 2):
            await until(lambda n=number: len(scene.runs) > n and scene.kept.serving.is_set())
            scene.runs[number].end.set_result(1)
        await scene.kept.finish()
        await task
        assert scene.kept.restarts >= keeper.ATTEMPTS

    asyncio.run(run())


def test_finishing_during_a_pause_starts_nothing(monkeypatch) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE_S", 60.0)

    async def run() -> None:
        scene = Scene()
        task = asyncio.create_task(scene.kept.keep())
        await scene.kept.serving.wait()
        scene.runs[0].end.set_result(1)
        await until(lambda: scene.kept.state == "restarting")
        async with asyncio.timeout(5):
            await scene.kept.finish()
            await task
        assert len(scene.runs) == 1

    asyncio.run(run())


def test_a_process_for_which_there_is_no_room_is_tried_again(monkeypatch) -> None:
    async def run() -> None:
        scene = Scene()
        full = iter([True, True])

        async def start() -> Scripted:
            if next(full, False):
                raise OSError(11, "Resource temporarily unavailable")
            return await scene.start()

        scene.kept = Keeper("front", start, lambda *_: None)
        task = asyncio.create_task(scene.kept.keep())
        await until(scene.kept.serving.is_set)
        assert scene.kept.restarts == 2
        await scene.kept.finish()
        await task

    asyncio.run(run())
