"""Subject tags: of the leaf's own quarter, by its key alone, and nothing of the child in any text."""

import asyncio
import hmac

import pytest

from gateway.audit.event import Event, EventError
from gateway.audit.subjects import Founding, Subject
from gateway.clock import TurnedClock
from gateway.config import folders
from gateway.config.home import Home
from gateway.store import tag_keys
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


def test_the_door_founds_a_quarters_key_before_it_begins(home) -> None:
    clock = TurnedClock(NOVEMBER)
    founding = Founding(home, clock)
    assert asyncio.run(founding.look(Event(kind="a"))) == []
    clock.us = JANUARY
    assert asyncio.run(founding.look(Event(kind="a"))) == ["2027Q2"]
