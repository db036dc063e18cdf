"""Doses as the dated schedule wants them: each child's visits, and one record per dose."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from gateway.sample.calendar import as_date, moment, months_later
from gateway.sample.lots import Shelf
from gateway.sample.tables import DoseRule, Tables
from gateway.v1 import child_pb2 as c
from gateway.v1 import types_pb2 as t
from gateway.v1 import vaccination_pb2 as v

Record = v.Vaccination
# Which of the schedule's alternatives the province buys, and what differs from dose to dose.
SERIES = ("BCG", "HepB", "Polio", "DTaP", "MMR", "JE-L", "Men", "HepA-L")
_BOUGHT = ("0202", "0306", "1902")
_HANDFOOT = "5401"
_IM, _SC = Record.ROUTE_INTRAMUSCULAR, Record.ROUTE_SUBCUTANEOUS
_ARM, _OTHER_ARM = Record.SITE_LEFT_UPPER_ARM, Record.SITE_RIGHT_UPPER_ARM
_THIGH, _OTHER_THIGH = Record.SITE_LEFT_THIGH, Record.SITE_RIGHT_THIGH
# Route, site and amount by vaccine code; doses of one visit never share a site.
_GIVEN = {
    "0101": (Record.ROUTE_INTRADERMAL, _ARM, "0.1ml"),
    "0202": (_IM, _OTHER_ARM, "0.5ml"),
    "0306": (_IM, _THIGH, "0.5ml"),
    "0311": (Record.ROUTE_ORAL, Record.SITE_ORAL, "2滴"),
    "0402": (_IM, _OTHER_THIGH, "0.5ml"),
    "1201": (_SC, _ARM, "0.5ml"),
    "1601": (_SC, _THIGH, "0.5ml"),
    "1701": (_SC, _OTHER_ARM, "0.5ml"),
    "1801": (_SC, _OTHER_ARM, "0.5ml"),
    "1902": (_SC, _OTHER_ARM, "0.5ml"),
    "5401": (_IM, _THIGH, "0.5ml"),
    "5501": (_IM, _OTHER_ARM, "0.5ml"),
}
_BOOSTERS = {("DTaP", 4), ("MMR", 2), ("JE-L", 2), ("Men", 3), ("Polio", 4)}
# A visit comes 0-17 days after the age at which it is due.
_LATE_DAYS = 18
_PAID_SHARE = 0.06
_PAID_FROM_MONTHS = 10
_OPENS_MINUTE, _CLOSES_MINUTE = 8 * 60 + 30, 16 * 60


@dataclass(frozen=True, slots=True)
class Planned:
    """A dose that was due and given."""

    code: str
    series: str
    dose: int
    day: date
    free: bool = True


@dataclass(slots=True)
class Calendar:
    """The schedule by series and dose, ready to plan with."""

    rules: dict[tuple[str, int], list[DoseRule]] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Tables) -> "Calendar":
        """Return the calendar of a set of tables."""
        calendar = cls()
        for rule in sorted(tables.schedule, key=lambda rule: rule.since):
            calendar.rules.setdefault((rule.series, rule.dose), []).append(rule)
        return calendar

    def plan(self, rng: Random, born: date, as_of: date) -> list[Planned]:
        """Return the doses of a child up to `as_of`, in the order in which they were given."""
        late: dict[int, int] = {}
        planned: list[Planned] = []
        for series in SERIES:
            planned += self.series(rng, series, born, as_of, late)
        if rng.random() < _PAID_SHARE:
            planned += _paid(rng, born, as_of)
        return sorted(planned, key=lambda dose: (dose.day, dose.code))

    def series(
        self, rng: Random, series: str, born: date, as_of: date, late: dict[int, int]
    ) -> Iterator[Planned]:
        """Yield the doses of one series; `late` holds the days between due and given per visit."""
        given: dict[int, date] = {}
        number = 1
        while (series, number) in self.rules:
            found = self._next(rng, series, number, born, given, late)
            if found is None or found[1] > as_of:
                return
            given[number] = found[1]
            yield Planned(_code(found[0]), series, number, found[1])
            number += 1

    def _next(
        self,
        rng: Random,
        series: str,
        number: int,
        born: date,
        given: dict[int, date],
        late: dict[int, int],
    ) -> tuple[DoseRule, date] | None:
        """Return the rule in force on the day of the dose, and that day."""
        for rule in self.rules[series, number]:
            delay = late.setdefault(rule.minimum_months, _delay(rng, rule.minimum_months))
            day = months_later(born, rule.minimum_months) + timedelta(days=delay)
            if rule.reference:
                after = months_later(given[rule.reference], rule.interval_months)
                day = max(day, after + timedelta(days=rule.interval_days))
            if max(day, rule.since) <= rule.until:
                return rule, max(day, rule.since)
        return None


def _code(rule: DoseRule) -> str:
    return next((code for code in rule.codes if code in _BOUGHT), rule.codes[0])


def _delay(rng: Random, months: int) -> int:
    return 0 if months == 0 else rng.randrange(_LATE_DAYS)


def _paid(rng: Random, born: date, as_of: date) -> Iterator[Planned]:
    first = months_later(born, _PAID_FROM_MONTHS) + timedelta(days=rng.randrange(20, 28))
    for number, day in ((1, first), (2, first + timedelta(days=30))):
        if day <= as_of:
            yield Planned(_HANDFOOT, _HANDFOOT, number, day, free=False)


def record(rng: Random, child: c.Child, unit: t.Unit, dose: Planned, shelf: Shelf) -> Record:
    """Return the record of a dose, scanned from a package of the unit's shelf."""
    route, site, amount = _GIVEN[dose.code]
    lot, trace = shelf.take(unit.unit_code, dose.code, dose.day)
    booster = (dose.series, dose.dose) in _BOOSTERS
    minute = rng.randrange(_OPENS_MINUTE, _CLOSES_MINUTE)
    return Record(
        record_id=new_id(rng),
        child_code=child.child_code,
        lot=lot,
        dose_number=dose.dose,
        property=Record.PROPERTY_BOOSTER if booster else Record.PROPERTY_BASIC,
        vaccinated_date=as_date(dose.day),
        trace=t.TraceCode(nmpa_code=trace, level=t.TraceCode.LEVEL_MINIMUM_PACKAGE),
        source=Record.SOURCE_SCANNED,
        site=site,
        route=route,
        dose_amount=amount,
        vaccinator_id=f"{unit.unit_code}-{rng.randrange(1, 5):02d}",
        unit_code=unit.unit_code,
        free_of_charge=dose.free,
        device_id=f"{unit.unit_code}-S{rng.randrange(1, 4)}",
        entered_time=moment(dose.day, minute),
        consent_recorded=True,
    )


def new_id(rng: Random) -> str:
    """Return a random UUID of the seed."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
