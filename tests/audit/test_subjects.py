"""Subject tags: of the leaf's own quarter, by its key alone, and nothing of the child in any text."""

import asyncio
import hmac

import pytest

from gateway.audit.event import Event, EventError
from gateway.audit.subjects import FORGET_KIND, Founding, Subject, unknown
from gateway.clock import TurnedClock
from gateway.config import folders
from gateway.config.home import Home
from gateway.store import tag_keys
from gateway.store.database import Database
from gateway.tlog import leaf
from tests.store.test_tag_keys import JANUARY, NOVEMBER

CODE = "140105202600000012"


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    tag_keys.make(home, NOVEMBER)
    return home


def told(child: Subject, time_us: int) -> object:
    return leaf.parse(Event(kind="a", child=child).to_leaf(time_us))["subject_tag"]


def test_a_leaf_has_the_tag_of_its_own_quarter(home) -> None:
    child = Subject(home, CODE)
    tags = [
        hmac.digest(tag_keys.load(home, quarter), CODE.encode(), "sha256")[:16].hex()
        for quarter in ("2026Q4", "2027Q1")
    ]
    event = Event(kind="a", child=child)
    assert [leaf.parse(event.to_leaf(at))["subject_tag"] for at in (JANUARY - 1, JANUARY)] == tags
    assert child.tags() == tags
    assert told(Subject(home, CODE[:-1] + "3"), JANUARY) not in tags
    assert CODE.encode() not in event.to_leaf(JANUARY)
    assert CODE not in repr(event) + str(event) + repr(child)


def test_without_its_quarters_key_there_is_no_leaf(home) -> None:
    """Fail closed: what cannot be tagged is recorded as a failure, without any tag."""
    child = Subject(home, CODE)
    tag_keys.forget(home, "2026Q4", JANUARY)
    with pytest.raises(EventError) as error:
        told(child, NOVEMBER)
    assert CODE not in str(error.value)
    assert child.tags() == [told(child, JANUARY)]


def with_log(conninfo, role: str, scene) -> None:
    async def run() -> None:
        database = await Database.open(conninfo(role), application="test", size=1)
        try:
            await scene(database)
        finally:
            await database.close()

    asyncio.run(run())


def put(conninfo, role: str, time_us: int, event: Event) -> None:
    async def scene(database: Database) -> None:
        async with database.transaction() as tx:
            await tx.fetch("SELECT gateway.audit_append(%s, 0)", ([event.to_leaf(time_us)],))

    with_log(conninfo, role, scene)


def test_the_door_founds_a_quarters_key_before_it_begins(home, conninfo) -> None:
    async def scene(database: Database) -> None:
        clock = TurnedClock(NOVEMBER)
        founding = Founding(home, clock, database)
        assert await founding.look(Event(kind="a")) == []
        clock.us = JANUARY
        assert await founding.look(Event(kind="a")) == ["2027Q2"]

    with_log(conninfo, "administration", scene)


def test_a_quarter_whose_end_is_told_is_forgotten_at_the_next_start(home, conninfo) -> None:
    """The command died between leaf and file; a leaf that is no such one destroys nothing."""
    told = Event(kind=FORGET_KIND, door="host", detail={"quarter": "2026Q4"})
    put(conninfo, "owner", JANUARY, told.with_(decision="deny", reason="INTERNAL"))

    async def scene(database: Database) -> None:
        assert await Founding(home, TurnedClock(JANUARY), database).look(Event(kind="a"))
        assert tag_keys.forgotten(home) == []

    with_log(conninfo, "administration", scene)
    put(conninfo, "owner", JANUARY, told)

    async def again(database: Database) -> None:
        founding = Founding(home, TurnedClock(JANUARY), database)
        for _ in range(2):
            assert await founding.look(Event(kind="a")) == []
            assert tag_keys.forgotten(home) == ["2026Q4"]
        assert tag_keys.kept(home) == ["2027Q1", "2027Q2"]

    with_log(conninfo, "administration", again)


def test_a_lost_key_is_of_a_quarter_that_the_log_has(home, conninfo) -> None:
    async def scene(database: Database, expected: list[str]) -> None:
        async with database.transaction() as tx:
            assert await unknown(tx, home) == expected

    with_log(conninfo, "administration", lambda database: scene(database, []))
    put(conninfo, "owner", NOVEMBER, Event(kind="a"))
    put(conninfo, "owner", JANUARY, Event(kind="a"))
    with_log(conninfo, "administration", lambda database: scene(database, []))
    tag_keys.path(home, "2026Q4").unlink()
    with_log(conninfo, "administration", lambda database: scene(database, ["2026Q4"]))
