from datetime import date

import pytest

from gateway.sample.calendar import as_date, from_date, moment, month_end, months_later


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2024, 12, 31), 2, date(2025, 2, 28)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2025, 3, 15), 10, date(2026, 1, 15)),
        (date(2025, 3, 15), -3, date(2024, 12, 15)),
    ],
)
def test_months_are_counted_to_the_end_of_the_month(day, months, expected):
    assert months_later(day, months) == expected


def test_a_day_becomes_a_message_and_back():
    assert from_date(as_date(date(2026, 2, 28))) == date(2026, 2, 28)


def test_a_moment_is_shanxi_time():
    assert moment(date(2026, 3, 1), 8 * 60).ToJsonString() == "2026-03-01T00:00:00Z"


def test_month_end():
    assert month_end(date(2024, 2, 1)) == date(2024, 2, 29)
