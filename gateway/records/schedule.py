"""Ages and intervals.

Month arithmetic as the programme counts it, and the schedule's judgement of one dose.

Listed ages are minimum ages, listed intervals minimum intervals. A month after the 31st is the last
day of the next month.
What broke the schedule has already happened: it is told, never refused.
"""

from calendar import monthrange
from collections.abc import Mapping
from datetime import date

from gateway.records.tables import ScheduleRule

_MONTHS_PER_YEAR = 12


def add_months(day: date, months: int) -> date:
    """Return the day `months` later, held to the end of a shorter month.

    Date.max beyond the calendar.
    """
    index = day.year * _MONTHS_PER_YEAR + day.month - 1 + months
    year, month = index // _MONTHS_PER_YEAR, index % _MONTHS_PER_YEAR + 1
    if year > date.max.year:
        return date.max
    if day.day <= 28:  # noqa: PLR2004 every month has 28 days
        return date(year, month, day.day)
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def under_minimum_age(rule: ScheduleRule, birth: date, day: date) -> bool:
    """Return whether a dose on `day` was given under the rule's minimum age (VA-06)."""
    if rule.min_age_months == 0:
        return False
    ahead = (
        (day.year - birth.year) * _MONTHS_PER_YEAR + day.month - birth.month - rule.min_age_months
    )
    return ahead < 0 or (
        ahead == 0 and day.day < birth.day and day < add_months(birth, rule.min_age_months)
    )


def too_soon(rule: ScheduleRule, earlier: Mapping[int, date], day: date) -> bool:
    """Return whether the interval to the rule's reference dose is too short (VA-07).

    `earlier`: day by dose number.
    """
    reference = earlier.get(rule.reference_dose)
    if reference is None or reference > day:
        return False
    if (day - reference).days < rule.interval_days:
        return True
    return rule.interval_months > 0 and day < add_months(reference, rule.interval_months)


def late(rule: ScheduleRule, birth: date, day: date) -> bool:
    """Return whether the dose was given after the age by which it should be finished (VA-09)."""
    if rule.before_months is None:
        return False
    months = (day.year - birth.year) * _MONTHS_PER_YEAR + day.month - birth.month
    return months >= rule.before_months and day > add_months(birth, rule.before_months)
