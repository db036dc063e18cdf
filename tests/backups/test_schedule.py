"""When a backup is due, at Beijing's hours, and which of a year's are kept."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.backups.schedule import due_since_us, retained
from gateway.clock import SHANGHAI, civil_day, from_datetime
from gateway.config.backups import RetentionRules

RULES = RetentionRules(daily=7, weekly=5, monthly=12)
NIGHT = datetime(2026, 11, 26, 2, tzinfo=SHANGHAI)


def us(moment: datetime) -> int:
    return from_datetime(moment)


def test_it_is_due_from_the_minute_on_and_not_before() -> None:
    assert due_since_us(["02:00"], us(NIGHT)) == us(NIGHT)
    before = us(NIGHT) - 1
    assert due_since_us(["02:00"], before) == us(NIGHT - timedelta(days=1))
    noon = NIGHT.replace(hour=12)
    assert due_since_us(["02:00", "11:30"], us(noon)) == us(NIGHT.replace(hour=11, minute=30))


def test_a_year_of_nights_leaves_a_week_five_weeks_and_twelve_months() -> None:
    nights = [us(NIGHT - timedelta(days=back)) for back in range(400)]
    kept = sorted(retained(nights, RULES), reverse=True)
    days = [civil_day(one) for one in kept]
    assert days[:7] == [NIGHT.date() - timedelta(days=back) for back in range(7)]
    assert len({day.isocalendar()[:2] for day in days}) >= 5
    assert len({(day.year, day.month) for day in days}) == 12
    assert len(kept) <= 7 + 5 + 12


@given(
    st.lists(st.integers(min_value=0, max_value=10**15), min_size=1, max_size=30),
    st.builds(RetentionRules, st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)),
)
def test_the_newest_is_always_kept_and_nothing_comes_from_nowhere(made, rules) -> None:
    kept = retained(made, rules)
    assert max(made) in kept
    assert kept <= set(made)
    assert retained(kept, rules) == kept  # a second run takes nothing more away


def test_of_weeks_and_months_the_whole_ones_are_kept() -> None:
    """A year of nights with a whole one each seventh: a week of days, and whole ones behind it."""
    nights = [us(NIGHT - timedelta(days=back)) for back in range(400)]
    whole = {one for back, one in enumerate(nights) if back % 7 == 3}
    kept = retained(nights, RULES, whole)
    assert set(nights[:7]) <= kept
    assert kept - set(nights[:7]) <= whole
    assert len(kept & whole) >= 12
    assert retained(kept, RULES, whole) == kept
    assert retained(nights, RULES, set(nights)) == retained(nights, RULES)
