"""A dose against its child's card and the child's other doses.

Ages, intervals, numbers, repetitions (VA-03 to VA-19).

`others` are the child's stored doses and those of the same batch that were taken before this one,
without this record itself.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

from gateway.records.keys import ChildKey, DoseKey, PastDose
from gateway.records.rulebook import Finding, Findings
from gateway.records.schedule import late, too_soon, under_minimum_age
from gateway.records.tables import Tables
from gateway.v1.child_pb2 import REGISTER_STATUS_DEAD, REGISTER_STATUS_LEFT, SEX_MALE
from gateway.v1.vaccination_pb2 import Vaccination

_GONE = frozenset({REGISTER_STATUS_LEFT, REGISTER_STATUS_DEAD})
_ORAL = Vaccination.ROUTE_ORAL
# Places in a PastDose.
_CODE, _NUMBER, _DATE, _ROUTE, _SITE, _CONTENT = range(2, 8)
_NOTHING: frozenset[str] = frozenset()
_NO_DAYS: Mapping[int, date] = MappingProxyType({})
_DAY = "vaccination.vaccinated_date"


class Past(NamedTuple):
    """What of the child's other doses bears on one dose. `series_days`.

    By series, the day of each dose number.
    """

    same_day: list[PastDose]
    near_live: bool
    series_days: dict[str, dict[int, date]]


def past_of(key: DoseKey, others: Iterable[PastDose], tables: Tables) -> Past:
    """Return what bears on the dose, in one walk over the others."""
    same_day: list[PastDose] = []
    near_live = False
    series_days: dict[str, dict[int, date]] = {}
    code, today = key.vaccine_code, key.vaccinated_date
    related = tables.related.get(code, _NOTHING)
    live = is_injected_live(code, key.route, tables)
    for other in others:
        other_code, day = other[_CODE], other[_DATE]
        if day == today:
            same_day.append(other)
        elif (
            live
            and other_code != code
            and abs((day - today).days) < tables.thresholds.live_interval_days
        ):
            near_live = near_live or is_injected_live(other_code, other[_ROUTE], tables)
        if other_code in related:
            for series in tables.vaccines[other_code].all_series:
                series_days.setdefault(series, {})[other[_NUMBER]] = day
    return Past(same_day, near_live, series_days)


def is_injected_live(vaccine_code: str, route: int, tables: Tables) -> bool:
    """Return whether a dose was an injected live vaccine."""
    vaccine = tables.vaccines.get(vaccine_code)
    return vaccine is not None and vaccine.live and route != _ORAL


def judge(key: DoseKey, child: ChildKey, others: Iterable[PastDose], tables: Tables) -> Findings:
    """Return every finding about a dose of a known child.

    What a rule looks at is asked for before the rule is called: most doses have nothing of it.
    """
    past = past_of(key, others, tables)
    if past.same_day and is_replay(key, past):
        # What else is odd about a replay is odd because it is one.
        return [Finding("VA-19", "vaccination.record_id")]
    found = by_schedule(key, child, past, tables)
    if key.vaccinated_date < child.birth_date:
        found.append(Finding("VA-03", _DAY))
    if child.status in _GONE:
        found += before_leaving(key, child)
    if past.near_live:
        found.append(Finding("VA-08", _DAY))
    if key.series and not in_sequence(key, past):
        found.append(Finding("VA-10", "vaccination.dose_number"))
    if past.same_day:
        found += once_a_day(key, past) + one_per_site(key, past)
    if child.sex == SEX_MALE:
        found += fits_sex(key, tables)
    return found


def before_leaving(key: DoseKey, child: ChildKey) -> Findings:
    """VA-04: not after the child left or died."""
    after = child.status_date is not None and key.vaccinated_date > child.status_date
    return [Finding("VA-04", _DAY)] if child.status in _GONE and after else []


def by_schedule(key: DoseKey, child: ChildKey, past: Past, tables: Tables) -> Findings:
    """VA-06, VA-07, VA-09: age and interval as the schedule of that day wants them."""
    day, birth = key.vaccinated_date, child.birth_date
    rule = tables.schedule_rule(key.vaccine_code, key.dose_number, day)
    if rule is None or day < birth:
        return []
    found: Findings = []
    if under_minimum_age(rule, birth, day):
        found.append(Finding("VA-06", _DAY))
    if rule.reference_dose and too_soon(rule, past.series_days.get(rule.series, _NO_DAYS), day):
        found.append(Finding("VA-07", _DAY))
    if late(rule, birth, day):
        found.append(Finding("VA-09", _DAY))
    return found


def in_sequence(key: DoseKey, past: Past) -> bool:
    """VA-10.

    Whether the number is free and every lower one given, in one of the vaccine's series at least.
    """
    number = key.dose_number
    if number == 0:
        return True
    for series in key.series.split("|"):
        given = past.series_days.get(series, _NO_DAYS)
        if number not in given and (
            number == 1 or all(lower in given for lower in range(1, number))
        ):
            return True
    return False


def is_replay(key: DoseKey, past: Past) -> bool:
    """VA-19: whether the same content is stored under another record id."""
    return any(other[_CONTENT] == key.content_tag for other in past.same_day)


def once_a_day(key: DoseKey, past: Past) -> Findings:
    """VA-11: not the same vaccine twice on one day."""
    twice = any(other[_CODE] == key.vaccine_code for other in past.same_day)
    return [Finding("VA-11", "vaccination.lot.vaccine_code")] if twice else []


def one_per_site(key: DoseKey, past: Past) -> Findings:
    """VA-12: one injection per site and day; the same vaccine twice is VA-11's."""
    if key.route == _ORAL or not key.site:
        return []
    clash = any(
        other[_SITE] == key.site and other[_ROUTE] != _ORAL and other[_CODE] != key.vaccine_code
        for other in past.same_day
    )
    return [Finding("VA-12", "vaccination.site")] if clash else []


def fits_sex(key: DoseKey, tables: Tables) -> Findings:
    """VA-17: what was given to a boy is not a vaccine for girls."""
    vaccine = tables.vaccines.get(key.vaccine_code)
    wrong = vaccine is not None and vaccine.female_only
    return [Finding("VA-17", "vaccination.lot.vaccine_code")] if wrong else []
