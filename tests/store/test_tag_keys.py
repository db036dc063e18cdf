"""Keys of subject tags: one a quarter, the next one ahead, and what was forgotten never again."""

from datetime import datetime

import pytest

from gateway.clock import SHANGHAI, from_datetime
from gateway.config import folders
from gateway.config.home import Home
from gateway.store import tag_keys
from gateway.store.tag_keys import TagKeyError


def at(year: int, month: int, day: int, hour: int = 0) -> int:
    return from_datetime(datetime(year, month, day, hour, tzinfo=SHANGHAI))


NOVEMBER, JANUARY = at(2026, 11, 26), at(2027, 1, 1)


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    return home


def test_a_quarter_is_the_provinces() -> None:
    assert [tag_keys.quarter_of(at(2026, month, 15)) for month in (1, 3, 4, 6, 7, 9, 10, 12)] == [
        *("2026Q1", "2026Q1", "2026Q2", "2026Q2", "2026Q3", "2026Q3", "2026Q4", "2026Q4")
    ]
    assert (tag_keys.quarter_of(JANUARY - 1), tag_keys.quarter_of(JANUARY)) == ("2026Q4", "2027Q1")
    assert (tag_keys.following("2026Q3"), tag_keys.following("2026Q4")) == ("2026Q4", "2027Q1")


def test_a_quarter_begins_with_a_key_that_was_there(home) -> None:
    assert tag_keys.make(home, NOVEMBER) == ["2026Q4", "2027Q1"]
    assert tag_keys.make(home, NOVEMBER) == []
    keys = [tag_keys.load(home, quarter) for quarter in tag_keys.kept(home)]
    assert (len(set(keys)), {len(one) for one in keys}) == (2, {32})
    assert tag_keys.make(home, JANUARY) == ["2027Q2"]
    assert [tag_keys.load(home, one) for one in ("2026Q4", "2027Q1")] == keys
    path = tag_keys.path(home, "2026Q4")
    assert (path.parent, path.stat().st_mode & 0o777) == (home.secrets("administration"), 0o600)


def test_a_quarter_that_is_over_is_forgotten_for_good(home) -> None:
    tag_keys.make(home, NOVEMBER)
    for quarter, now_us in (("2026Q4", NOVEMBER), ("2027Q1", NOVEMBER), ("2026Q4", JANUARY - 1)):
        with pytest.raises(TagKeyError, match="is not over"):
            tag_keys.forget(home, quarter, now_us)
    for quarter in ("2026Q3", "../x", "", "2026Q5"):
        with pytest.raises(TagKeyError, match="there is no key of"):
            tag_keys.forget(home, quarter, JANUARY)
    assert tag_keys.kept(home) == ["2026Q4", "2027Q1"]
    tag_keys.forget(home, "2026Q4", JANUARY)
    tag_keys.forget(home, "2026Q4", JANUARY)
    assert (tag_keys.kept(home), tag_keys.forgotten(home)) == (["2027Q1"], ["2026Q4"])
    with pytest.raises(TagKeyError, match="2026Q4 has no key"):
        tag_keys.load(home, "2026Q4")
    # Also where the clock is set back into it.
    assert tag_keys.make(home, NOVEMBER) == []
    assert tag_keys.forgotten(home) == ["2026Q4"]


def test_a_lost_key_is_of_a_quarter_between(home) -> None:
    may = at(2026, 5, 1)
    assert tag_keys.lost(home, may, JANUARY) == ["2026Q2", "2026Q3", "2026Q4", "2027Q1"]
    tag_keys.make(home, NOVEMBER)
    tag_keys.forget(home, "2026Q4", JANUARY)
    # Forgotten is not lost.
    assert tag_keys.lost(home, may, JANUARY) == ["2026Q2", "2026Q3"]
    tag_keys.path(home, "2027Q1").unlink()
    assert tag_keys.lost(home, NOVEMBER, JANUARY) == ["2027Q1"]


def test_what_is_no_key_is_none(home) -> None:
    with pytest.raises(TagKeyError, match="cannot be read"):
        tag_keys.load(home, "2026Q4")
    tag_keys.path(home, "2026Q4").write_bytes(b"x" * 31)
    with pytest.raises(TagKeyError, match="has no key"):
        tag_keys.load(home, "2026Q4")
