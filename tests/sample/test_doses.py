from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from random import Random

from gateway.sample.calendar import from_date, months_later
from gateway.sample.doses import Calendar
from gateway.sample.province import AS_OF
from gateway.v1 import vaccination_pb2 as v
from tests.sample.made import families, found

LIVE_INJECTED = {"0101", "1201", "1801", "1902"}


def rule_of(series, number, day):
    return next(
        rule
        for rule in found().schedule
        if (rule.series, rule.dose) == (series, number) and rule.since <= day <= rule.until
    )


def test_plans_keep_ages_and_intervals_of_the_schedule_in_force_on_the_day():
    calendar, rng = Calendar.of(found()), Random(5)
    for number in range(600):
        born = date(2021, 10, 1) + timedelta(days=3 * number)
        given = {}
        for dose in calendar.plan(rng, born, AS_OF):
            if not dose.free:
                continue
            rule = rule_of(dose.series, dose.dose, dose.day)
            assert dose.code in rule.codes
            assert dose.day >= months_later(born, rule.minimum_months)
            if rule.before_months:
                assert dose.day < months_later(born, rule.before_months)
            if rule.reference:
                earlier = months_later(given[dose.series, rule.reference], rule.interval_months)
                assert dose.day >= earlier + timedelta(days=rule.interval_days)
            given[dose.series, dose.dose] = dose.day


def test_the_change_of_2025_is_followed():
    """Whooping cough vaccine begins at three months before 2025 and at two from then on."""
    calendar, rng = Calendar.of(found()), Random(5)

    def first(born):
        return next(dose for dose in calendar.plan(rng, born, AS_OF) if dose.code == "0402").day

    assert first(date(2024, 3, 1)) >= date(2024, 6, 1)
    assert first(date(2025, 3, 1)) < date(2025, 6, 1)


def test_injected_live_vaccines_are_given_together_or_a_month_apart():
    for family in families():
        days = sorted(
            from_date(dose.vaccinated_date)
            for dose in family.doses
            if dose.lot.vaccine_code in LIVE_INJECTED
        )
        gaps = [(later - day).days for day, later in pairwise(days)]
        assert all(gap == 0 or gap >= 28 for gap in gaps)


def test_doses_of_one_visit_are_given_at_different_sites():
    for family in families():
        places = Counter(
            (dose.vaccinated_date.SerializeToString(), dose.site) for dose in family.doses
        )
        assert max(places.values()) == 1


def test_ids_are_unique_and_every_record_is_complete():
    doses = [dose for family in families() for dose in family.doses]
    assert len({dose.record_id for dose in doses}) == len(doses)
    assert len({dose.trace.nmpa_code for dose in doses}) == len(doses)
    assert 9 < len(doses) / len(families()) < 14
    for dose in doses:
        assert dose.entered_time.seconds
        assert (dose.route == v.Vaccination.ROUTE_ORAL) == (dose.site == v.Vaccination.SITE_ORAL)
