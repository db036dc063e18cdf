"""A plan is judged whole before anybody reads it; what each rule says, in both languages, never with a value."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from gateway.config.exports import export_rules
from gateway.config.policies import shipped
from gateway.exports.drafting import _RULES, Known, faults, violation, wanted
from tests.exports.tickets import HOUR, PLAN, START_US

RULES = export_rules((shipped("policies") / "cedar" / "exports.toml").read_text()).plan
KNOWN = Known(
    covered={"140105", "140106"},
    divisions={"140105", "140106", "140212"},
    vaccines={"0101", "0102"},
    units={"1401050001"},
)
DAY_US = 24 * HOUR


def found(**changes: Any) -> set[tuple[str, str]]:
    return {
        (one.field, one.rule) for one in faults(replace(PLAN, **changes), RULES, KNOWN, START_US)
    }


def test_a_good_plan_has_no_fault() -> None:
    assert found() == set()
    assert found(units=("1401050001",), divisions=("140105", "140106")) == set()
    stock = {"dataset": "stock", "child_cap": 0, "columns": ("unit_code",), "born_from": None}
    assert found(**stock) == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"divisions": ()}, {("division_codes", "EX-FORM")}),
        ({"divisions": ("140212",)}, {("division_codes", "EX-TERRITORY")}),
        ({"divisions": ("140999",)}, {("division_codes", "EX-DIVISION")}),
        ({"vaccine_codes": ("0999",)}, {("vaccine_codes", "EX-VACCINE")}),
        ({"units": ("1401050002",)}, {("unit_codes", "EX-UNIT")}),
        ({"columns": ("child_token", "remark")}, {("columns", "EX-COLUMN")}),
        (
            {"dataset": "stock", "child_cap": 0, "columns": ("unit_code",)},
            {("born_from_date", "EX-FILTER")},
        ),
        (
            {"dataset": "children", "columns": ("sex",), "vaccine_codes": ()},
            {("happened_from_date", "EX-FILTER")},
        ),
        ({"purpose": "curiosity"}, {("purpose", "EX-PURPOSE")}),
        ({"tunnel": ""}, {("tunnel_name", "EX-TUNNEL")}),
        ({"tunnel": "a\nb"}, {("tunnel_name", "EX-FORM")}),
        (
            {"connection_certificate_sha256": ""},
            {("connection_certificate_sha256", "EX-CERTIFICATE")},
        ),
        ({"legal_basis": "none"}, {("legal_basis", "EX-BASIS")}),
        ({"row_cap": RULES.row_cap + 1}, {("row_cap_count", "EX-ROWS")}),
        ({"child_cap": RULES.child_cap + 1}, {("child_cap_count", "EX-CHILDREN")}),
        ({"child_cap": 0}, {("child_cap_count", "EX-CHILDREN")}),
        ({"not_after_us": START_US + 8 * DAY_US}, {("not_after_time", "EX-WINDOW")}),
        (
            {"not_before_us": START_US + 31 * DAY_US, "not_after_us": START_US + 32 * DAY_US},
            {("not_after_time", "EX-WINDOW")},
        ),
        (
            {"not_before_us": START_US - 2 * DAY_US, "not_after_us": START_US},
            {("not_after_time", "EX-WINDOW")},
        ),
        ({"destroy_by": date(2026, 11, 7)}, {("destroy_by_date", "EX-DESTROY")}),
        (
            {"destroy_by": date(2026, 11, 7) + timedelta(days=RULES.keep_days + 1)},
            {("destroy_by_date", "EX-DESTROY")},
        ),
    ],
)
def test_each_rule(changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert found(**changes) == expected


def test_too_many_of_anything() -> None:
    many = tuple(f"140{number}" for number in range(100, 100 + RULES.divisions + 1))
    known = Known(many, many, KNOWN.vaccines, KNOWN.units)
    told = faults(replace(PLAN, divisions=many), RULES, known, START_US)
    assert {(one.field, one.rule) for one in told} == {("division_codes", "EX-MANY")}


def test_several_faults_are_told_at_once_and_each_once() -> None:
    assert found(purpose="curiosity", divisions=("140212", "140999"), row_cap=10**7) == {
        *(("purpose", "EX-PURPOSE"), ("row_cap_count", "EX-ROWS")),
        *(("division_codes", "EX-DIVISION"), ("division_codes", "EX-TERRITORY")),
    }


def test_every_rule_has_its_texts() -> None:
    for rule in _RULES:
        one = violation("purpose", rule)
        assert one.english.endswith(".")
        assert one.chinese.endswith("。")


def test_what_is_wanted_is_what_the_plan_says() -> None:
    asked = wanted(PLAN)
    assert (asked.dataset, asked.divisions, asked.vaccine_codes) == (
        *("vaccinations", ("140105",)),
        ("0101",),
    )
    assert (asked.born_from, asked.happened_until) == (PLAN.born_from, PLAN.happened_until)
