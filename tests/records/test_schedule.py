"""Month arithmetic and the schedule's words."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.records.schedule import add_months, late, too_soon, under_minimum_age
from gateway.records.tables import ScheduleRule


def rule(**changes):
    given = {
        "valid_from": date.min,
        "valid_to": date.max,
        "series": "S",
        "dose_number": 2,
        "min_age_months": 0,
        "before_months": None,
        "interval_days": 0,
        "interval_months": 0,
        "reference_dose": 1,
    }
    return ScheduleRule(**(given | changes))


@pytest.mark.parametrize(
    ("day", "months", "found"),
    [
        (date(2024, 12, 31), 2, date(2025, 2, 28)),
        (date(2023, 12, 31), 2, date(2024, 2, 29)),
        (date(2024, 1, 15), 0, date(2024, 1, 15)),
        (date(2024, 1, 15), 12, date(2025, 1, 15)),
        (date(2024, 3, 31), 1, date(2024, 4, 30)),
        (date(9999, 12, 1), 1, date.max),
    ],
)
def test_add_months(day, months, found):
    assert add_months(day, months) == found


DAYS = st.dates(date(2000, 1, 1), date(2060, 1, 1))


@given(DAYS, st.integers(0, 300), st.integers(-40, 40))
def test_minimum_age_is_the_day_itself(birth, months, offset):
    day = add_months(birth, months) + timedelta(days=offset)
    if day >= birth:
        assert under_minimum_age(rule(min_age_months=months), birth, day) == (
            day < add_months(birth, months)
        )


@given(DAYS, st.integers(1, 300), st.integers(-40, 40))
def test_late_is_after_the_day_itself(birth, months, offset):
    day = add_months(birth, months) + timedelta(days=offset)
    assert late(rule(before_months=months), birth, day) == (day > add_months(birth, months))


def test_no_end_is_never_late():
    assert not late(rule(), date(2000, 1, 1), date(2050, 1, 1))


@given(DAYS, st.integers(0, 100), st.integers(0, 40), st.integers(0, 2000))
def test_too_soon_is_before_the_later_of_both_intervals(reference, days, months, after):
    day = reference + timedelta(days=after)
    due = max(
        reference + timedelta(days=days), add_months(reference, months) if months else reference
    )
    wanted = rule(interval_days=days, interval_months=months)
    assert too_soon(wanted, {1: reference}, day) == (day < due)


def test_too_soon_needs_an_earlier_reference():
    wanted = rule(interval_days=28)
    assert not too_soon(wanted, {}, date(2024, 1, 1))
    assert not too_soon(wanted, {1: date(2024, 2, 1)}, date(2024, 1, 1))
