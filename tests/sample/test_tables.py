from datetime import date

import pytest

from gateway.config.strict import SettingsError
from gateway.sample import tables
from tests.sample.made import found


def test_shanxi_has_eleven_cities_and_117_counties():
    assert len(found().cities) == 11
    assert len(found().counties()) == 117
    assert all(county.parent == "140100" for county in found().counties("140100"))


def test_the_schedule_is_dated():
    rules = [rule for rule in found().schedule if (rule.series, rule.dose) == ("DTaP", 1)]
    assert [(rule.since, rule.minimum_months) for rule in rules][:2] == [
        (date(2021, 3, 1), 3),
        (date(2025, 1, 1), 2),
    ]
    assert rules[-1].until == date.max


def test_an_unknown_division_is_a_key_error():
    assert found().division("140105").name == "小店区"
    with pytest.raises(KeyError):
        found().division("149999")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"divisions\.csv"):
        tables.load(tmp_path)
