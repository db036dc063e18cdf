"""Tables: read strictly, dated, and what the rules ask of them."""

import itertools
import shutil
from datetime import date

import pytest

from gateway.config.strict import SettingsError
from gateway.records.rulebook import RULES, Severity
from gateway.records.tables import Tables
from tests.records.office import tables
from tests.uploads.county import POLICIES


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(POLICIES, tmp_path / "policies")


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_divisions():
    assert len(tables().divisions) == 129
    assert tables().division_known("140105")
    assert tables().division_known("140402")
    assert not tables().division_known("140499")
    assert tables().division_known("110101")
    assert not tables().division_known("990101")
    assert not tables().division_known("1101０1")


def test_schedules_are_chosen_by_the_day():
    def age(day):
        rule = tables().schedule_rule("0402", 1, day)
        return rule and rule.min_age_months

    assert age(date(2021, 2, 28)) is None
    assert age(date(2024, 12, 31)) == 3
    assert age(date(2025, 1, 1)) == 2
    assert tables().schedule_rule("5501", 1, date(2025, 11, 9)) is None
    assert tables().schedule_rule("5501", 1, date(2025, 11, 10)) is not None
    assert tables().schedule_rule("0402", 9, date(2025, 11, 10)) is None


def test_no_two_rules_hold_on_one_day():
    for rules in tables().schedule.values():
        for earlier, after in itertools.pairwise(rules):
            assert earlier.valid_to < after.valid_from


def test_every_scheduled_vaccine_is_in_the_table_and_of_the_series():
    for (code, _), rules in tables().schedule.items():
        for rule in rules:
            assert rule.series in tables().vaccines[code].all_series, code


def test_related_vaccines():
    assert tables().related["0306"] >= {"0303", "0306", "0311", "5001"}
    assert tables().related["2201"] == frozenset()
    assert "0402" in tables().related["4901"]


def test_texts_hold_the_policys_numbers(folder):
    change(folder / "rules.toml", "child_waits_hours = 72", "child_waits_hours = 48")
    english, chinese = Tables.load(folder).texts["VA-01"]
    assert "48 hours" in english
    assert "48 小时" in chinese
    assert not any("{" in text for texts in tables().texts.values() for text in texts)


def test_the_province_sets_severities(folder):
    assert tables().severities["VA-06"] is Severity.FLAG
    change(folder / "rules.toml", '"VA-06" = "flag"', '"VA-06" = "quarantine"')
    assert Tables.load(folder).severities["VA-06"] is Severity.QUARANTINE


def test_rules_toml_names_every_rule_that_may_be_changed():
    import tomllib

    named = tomllib.loads((POLICIES / "rules.toml").read_text(encoding="utf-8"))["severity"]
    assert set(named) == {rule.rule_id for rule in RULES.values() if rule.changeable}
    assert all(named[rule_id] == RULES[rule_id].severity.name.lower() for rule_id in named)


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("rules.toml", '"VA-06" = "flag"', '"VA-03" = "flag"', "severity.VA-03"),
        ("rules.toml", '"VA-06" = "flag"', '"VA-99" = "flag"', "severity.VA-99"),
        ("rules.toml", '"VA-06" = "flag"', '"VA-06" = "soft"', "severity.VA-06"),
        ("rules.toml", "batch_items = 1000", 'batch_items = "many"', "thresholds.batch_items"),
        ("rules.toml", "batch_items = 1000", "", "thresholds.batch_items"),
        ("rules.toml", "[severity]", "[severities]", "severity: missing"),
        ("rules.toml", 'province = "14"', 'province = "14"\nother = 1', "other"),
        ("tables/vaccines.csv", ",ID,", ",XX,", "vaccines.csv"),
        ("tables/vaccines.csv", "code,name_zh", "kode,name_zh", "vaccines.csv"),
        ("tables/schedule.csv", "2021-03-01", "soon", "schedule.csv"),
        ("tables/required-items-2020-35.toml", "child = [", "cards = [", "required-items"),
        ("tables/required-items-2020-35.toml", '"name", ', '"nome", ', "child.nome"),
    ],
)
def test_what_is_not_as_it_must_be_is_refused_by_name(folder, file, old, new, told):
    change(folder / file, old, new)
    with pytest.raises(SettingsError) as error:
        Tables.load(folder)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "file", ["divisions.csv", "divisions-history.csv", "vaccines.csv", "schedule.csv"]
)
def test_a_missing_table_is_refused(folder, file):
    (folder / "tables" / file).unlink()
    with pytest.raises(SettingsError, match=file):
        Tables.load(folder)


def test_every_table_says_where_it_comes_from():
    import tomllib

    sources = tomllib.loads((POLICIES / "tables/sources.toml").read_text(encoding="utf-8"))
    named = {source["file"] for source in sources.values()}
    assert named == {path.name for path in (POLICIES / "tables").glob("*.csv")}
    assert all(
        isinstance(source["as_of"], date) and source["source"] for source in sources.values()
    )
