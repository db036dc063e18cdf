"""policies/witnesses.toml is read strictly, what ships is right, and day and night are Beijing's."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from gateway.clock import SHANGHAI, from_datetime
from gateway.config.policies import shipped
from gateway.config.strict import SettingsError
from gateway.config.witnesses import load_witness_rules

SHIPPED = shipped("policies") / "witnesses.toml"


@pytest.mark.parametrize(
    ("hour", "longest_s"), [(0, 900), (7, 900), (8, 60), (17, 60), (18, 900), (23, 900)]
)
def test_what_ships_asks_for_more_by_day(hour: int, longest_s: float) -> None:
    rules = load_witness_rules(SHIPPED)
    moment = from_datetime(datetime(2026, 11, 26, hour, 59, tzinfo=SHANGHAI))
    assert rules.longest_s(moment) == longest_s
    assert replace(rules, day_from_hour=0, day_until_hour=24).longest_s(moment) == 60


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("organisations = 1", "organisations = -1", "organisations: not negative"),
        ("organisations = 1", "organisations = 1001", "organisations: not negative"),
        ("offer_s = 20.0", "offer_s = 0.5", "offer_s: a second"),
        ("offer_s = 20.0", "offer_s = 60.0", "offer_s: a second"),
        ("tail_entries = 100000", "tail_entries = 0", "tail_entries: above 0"),
        ("night_tail_s = 900.0", "night_tail_s = 59.0", "night_tail_s: tail_s or more"),
        ("day_from_hour = 8", "day_from_hour = 19", "day_from_hour: hours"),
        ("day_until_hour = 18", "day_until_hour = 25", "day_from_hour: hours"),
        ("day_from_hour = 8", "", "day_from_hour: missing"),
        ("organisations = 1", "organisations = 1\nmore = 1", "more: unknown key"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "witnesses.toml"
    path.write_text(SHIPPED.read_text().replace(old, new))
    with pytest.raises(SettingsError, match=said):
        load_witness_rules(path)
