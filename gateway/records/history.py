"""A dose against its child's card and the child's other doses: ages, intervals, numbers, repetitions (VA-03 to VA-19).

`others` are the child's stored doses and those of the same batch that were taken before this one, without this record itself.
"""

from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple

from gateway.records.keys import PAST_COLUMNS, ChildKey, DoseKey, PastDose
from gateway.records.rulebook import Finding, Findings
from gateway.records.schedule import late, too_soon, under_minimum_age
from gateway.records.tables import Tables
from gateway.v1.child_pb2 import REGISTER_STATUS_DEAD, REGISTER_STATUS_LEFT, SEX_MALE
from gateway.v1.vaccination_pb2 import Vaccination

_GONE = frozenset({REGISTER_STATUS_LEFT, REGISTER_STATUS_DEAD})
_ORAL = Vaccination.ROUTE_ORAL
# Places in a PastDose.
_CODE, _ROUTE, _SITE = 2, 5, 6
_DAY = "vaccination.vaccinated_date"
_NUMBER = "vaccination.dose_number"


class Past(NamedTuple):
    """What of the child's other doses bears on one dose. `series_days`: by series, the day of each dose number."""

    same_day: list[PastDose]
    same_content: bool
    near_live: bool
    series_days: dict[str, dict[int, date]]


def past_of(key: DoseKey, others: Iterable[PastDose], tables: Tables) -> Past:
    """Return what bears on the dose, in one walk over the others."""
    same_day: list[PastDose] = []
    same_content = near_live = False
    series_days: dict[str, dict[int, date]] = {series: {} for series in key.series.split("|") if series}
    today, live, vaccines = key.vaccinated_date, is_injected_live(key.vaccine_code, key.route, tables), tables.vaccines
    window = tables.thresholds.live_interval_days
    for other in others:
        _, _, code, number, day, route, _, content = other[:PAST_COLUMNS]
        if day == today:
            same_day.append(other)
            same_content = same_content or content == key.content_tag
        elif live and abs((day - today).days) < window and code != key.vaccine_code:
            near_live = near_live or is_injected_live(code, route, tables)
        vaccine = vaccines.get(code)
        if vaccine is not None:
            for series in vaccine.all_series:
                if series in series_days:
                    series_days[series][number] = day
    return Past(same_day, same_content, near_live, series_days)


def is_injected_live(vaccine_code: str, route: int, tables: Tables) -> bool:
    """Return whether a dose was an injected live vaccine."""
    vaccine = tables.vaccines.get(vaccine_code)
    return vaccine is not None and vaccine.live and route != _ORAL


def judge(key: DoseKey, child: ChildKey, others: Iterable[PastDose], tables: Tables) -> Findings:
    """Return every finding about a dose of a known child."""
    past = past_of(key, others, tables)
    return [finding for rule in RULES for finding in rule(key, child, past, tables)]


def after_birth(key: DoseKey, child: ChildKey, _past: Past, _tables: Tables) -> Findings:
    """VA-03: not before the birth."""
    return [Finding("VA-03", _DAY)] if key.vaccinated_date < child.birth_date else []


def before_leaving(key: DoseKey, child: ChildKey, _past: Past, _tables: Tables) -> Findings:
    """VA-04: not after the child left or died."""
    if child.status not in _GONE or child.status_date is None or key.vaccinated_date <= child.status_date:
        return []
    return [Finding("VA-04", _DAY)]


def by_schedule(key: DoseKey, child: ChildKey, past: Past, tables: Tables) -> Findings:
    """VA-06, VA-07, VA-09: age and interval as the schedule of that day wants them."""
    day = key.vaccinated_date
    rule = tables.schedule_rule(key.vaccine_code, key.dose_number, day)
    if rule is None or day < child.birth_date:
        return []
    found: Findings = []
    if under_minimum_age(rule, child.birth_date, day):
        found.append(Finding("VA-06", _DAY))
    if rule.reference_dose and too_soon(rule, past.series_days.get(rule.series, {}), day):
        found.append(Finding("VA-07", _DAY))
    if late(rule, child.birth_date, day):
        found.append(Finding("VA-09", _DAY))
    return found


def away_from_live(_key: DoseKey, _child: ChildKey, past: Past, _tables: Tables) -> Findings:
    """VA-08: injected live vaccines on one day or far enough apart."""
    return [Finding("VA-08", _DAY)] if past.near_live else []


def in_sequence(key: DoseKey, _child: ChildKey, past: Past, _tables: Tables) -> Findings:
    """VA-10: a free number, and every lower one given; a combined vaccine breaks it when it does so in all its series."""
    if not past.series_days or key.dose_number == 0:
        return []
    for given in past.series_days.values():
        if key.dose_number not in given and all(number in given for number in range(1, key.dose_number)):
            return []
    return [Finding("VA-10", _NUMBER)]


def once_a_day(key: DoseKey, _child: ChildKey, past: Past, _tables: Tables) -> Findings:
    """VA-19, VA-11: the content is new; the same vaccine not twice on one day. A replay is not also told as a second dose."""
    if past.same_content:
        return [Finding("VA-19", "vaccination.record_id")]
    twice = any(other[_CODE] == key.vaccine_code for other in past.same_day)
    return [Finding("VA-11", "vaccination.lot.vaccine_code")] if twice else []


def one_per_site(key: DoseKey, _child: ChildKey, past: Past, _tables: Tables) -> Findings:
    """VA-12: one injection per site and day; the same vaccine twice is VA-11's."""
    if key.route == _ORAL or not key.site:
        return []
    clash = any(
        other[_SITE] == key.site and other[_ROUTE] != _ORAL and other[_CODE] != key.vaccine_code
        for other in past.same_day
    )
    return [Finding("VA-12", "vaccination.site")] if clash else []


def fits_sex(key: DoseKey, child: ChildKey, _past: Past, tables: Tables) -> Findings:
    """VA-17: a vaccine for girls is not given to a boy."""
    vaccine = tables.vaccines.get(key.vaccine_code)
    wrong = vaccine is not None and vaccine.female_only and child.sex == SEX_MALE
    return [Finding("VA-17", "vaccination.lot.vaccine_code")] if wrong else []


RULES: tuple[Callable[[DoseKey, ChildKey, Past, Tables], Findings], ...] = (
    after_birth,
    before_leaving,
    by_schedule,
    away_from_live,
    in_sequence,
    once_a_day,
    one_per_site,
    fits_sex,
)
