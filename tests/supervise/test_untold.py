"""An act that the log could not be told of is told once it can, and then forgotten."""

import asyncio
from pathlib import Path

import pytest

from gateway.audit.event import Event
from gateway.config.home import Home
from gateway.supervise import untold
from gateway.supervise.journal import Journal
from tests.coverage.rpcs import eventually


class Line(Journal):
    """A journal whose log comes back when it is told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.there = asyncio.Event()

    def put(self, event: Event) -> None:
        self.events.append(event)

    async def flush(self, seconds: float) -> bool:
        await self.there.wait()
        return True


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_kept_until_it_is_told(home: Home) -> None:
    async def work() -> None:
        line = Line()
        untold.keep(home, "audit.export")
        untold.keep(home, "audit.export")
        telling = asyncio.create_task(untold.tell(home, line))
        await eventually(lambda: len(line.events) == 2)
        assert len(list(home.untold.iterdir())) == 2
        line.there.set()
        await eventually(lambda: not list(home.untold.iterdir()))
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        first, last = line.events
        assert (first.kind, first.decision) == ("audit.export", "allow")
        assert first.detail is not None
        assert last.detail is not None
        assert int(first.detail["first_us"]) <= int(last.detail["first_us"])

    asyncio.run(work())


def test_what_cannot_be_read_is_left_and_the_others_are_told(home: Home) -> None:
    async def work() -> None:
        line = Line()
        line.there.set()
        untold.keep(home, "audit.export")
        (home.untold / "0-torn").write_text("{")
        (home.untold / "1.partial").write_text("{")
        telling = asyncio.create_task(untold.tell(home, line))
        await eventually(lambda: len(list(home.untold.iterdir())) == 2)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        assert [event.kind for event in line.events] == ["audit.export"]

    asyncio.run(work())


def test_a_gateway_without_any_has_no_folder(home: Home) -> None:
    assert untold._kept(home) == []
