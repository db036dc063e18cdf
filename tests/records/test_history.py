"""A dose beside its child's card and other doses: each rule broken and kept."""

from datetime import date, timedelta

import pytest

from gateway.records import history
from gateway.records.keys import HERE, ChildKey, DoseKey
from gateway.v1.child_pb2 import (
    REGISTER_STATUS_ACTIVE,
    REGISTER_STATUS_DEAD,
    REGISTER_STATUS_LEFT,
    SEX_FEMALE,
    SEX_MALE,
)
from tests.records.office import ids, tables

IM, SC, ID, PO = 1, 2, 3, 4
ARM, OTHER_ARM, MOUTH = 1, 2, 9
BORN = date(2025, 2, 10)
TAG = b"c" * 16


def child(**changes):
    key = ChildKey(
        TAG, BORN, SEX_FEMALE, REGISTER_STATUS_ACTIVE, None, 0, "1401050001", b"n", None, b"t", 1, 0
    )
    return key._replace(**changes)


def given(code, number, day, route=IM, site=ARM, content=None, record=None):
    vaccine = tables().vaccines[code]
    name = (record or f"{code}{number}{day}{site}").encode()
    content = (content or f"content of {name!r}").encode()
    return DoseKey(
        TAG, name, code, number, day, route, site, content, "1401050001", vaccine.series, 0, HERE, 0
    )


def months(count, days=0):
    index = BORN.year * 12 + BORN.month - 1 + count
    return date(index // 12, index % 12 + 1, BORN.day) + timedelta(days=days)


def judged(dose, *others, **changes):
    return ids(history.judge(dose, child(**changes), others, tables()))


def test_a_usual_dose():
    assert judged(given("0202", 1, BORN)) == []
    assert judged(given("0202", 2, months(1)), given("0202", 1, BORN)) == []


@pytest.mark.parametrize(("day", "found"), [(BORN - timedelta(days=1), ["VA-03"]), (BORN, [])])
def test_va_03_before_birth(day, found):
    assert judged(given("0202", 1, day)) == found


@pytest.mark.parametrize("status", [REGISTER_STATUS_LEFT, REGISTER_STATUS_DEAD])
def test_va_04_after_leaving(status):
    left = {"status": status, "status_date": months(5)}
    assert judged(given("0101", 1, months(1), ID), **left) == []
    assert judged(given("0101", 1, months(5), ID), **left) == ["VA-09"]
    assert judged(given("0101", 1, months(5, 1), ID), **left) == ["VA-04", "VA-09"]
    assert judged(given("0101", 1, months(5, 1), ID), status_date=months(5)) == ["VA-09"]


@pytest.mark.parametrize(
    ("day", "found"),
    [(months(8), []), (months(8, -1), ["VA-06"]), (months(9), []), (months(2), ["VA-06"])],
)
def test_va_06_minimum_age(day, found):
    assert judged(given("1201", 1, day, SC)) == found


@pytest.mark.parametrize(("days", "found"), [(28, []), (27, ["VA-07"])])
def test_va_07_interval_in_days(days, found):
    first = given("0306", 1, months(2))
    second = given("0306", 2, months(2) + timedelta(days=days))
    if second.vaccinated_date < months(3):
        found = sorted({*found, "VA-06"})
    assert judged(second, first) == found


@pytest.mark.parametrize(("day", "found"), [(months(30), []), (months(30, -1), ["VA-07"])])
def test_va_07_interval_in_months(day, found):
    """The second JE-L dose comes twelve months after the first, here given at eighteen months."""
    assert judged(given("1801", 2, day, SC), given("1801", 1, months(18), SC)) == found


def test_va_07_asks_nothing_of_a_reference_that_is_not_there():
    assert judged(given("0306", 2, months(3))) == ["VA-10"]


@pytest.mark.parametrize(("days", "found"), [(0, []), (1, ["VA-08"]), (27, ["VA-08"]), (28, [])])
def test_va_08_live_after_live(days, found):
    mmr = given("1201", 1, months(9), SC, ARM)
    live = given("1801", 1, months(9) + timedelta(days=days), SC, OTHER_ARM)
    assert judged(live, mmr) == found
    assert judged(mmr, live) == found


def test_va_08_is_about_injected_live_vaccines_only():
    near = months(9, 3)
    mmr = given("1201", 1, months(9), SC)
    assert (
        judged(given("0202", 3, near, IM), mmr, given("0202", 2, months(1)), given("0202", 1, BORN))
        == []
    )
    assert "VA-08" not in judged(given("0311", 1, near, PO, MOUTH), mmr)


@pytest.mark.parametrize(("day", "found"), [(months(12), []), (months(12, 1), ["VA-09"])])
def test_va_09_late(day, found):
    assert judged(given("1201", 1, day, SC)) == found


def test_va_10_gap_and_repetition():
    first, second = given("0402", 1, months(2)), given("0402", 2, months(4))
    assert judged(given("0402", 3, months(6)), first, second) == []
    assert judged(given("0402", 3, months(6)), first) == ["VA-10"]
    assert judged(given("0402", 2, months(6)), first, second) == ["VA-10"]
    assert judged(given("0402", 3, months(6)), second, first) == []


def test_va_10_counts_a_series_over_its_products():
    ipv = [given("0303", 1, months(2)), given("0306", 2, months(3))]
    assert judged(given("0311", 3, months(4), PO, MOUTH), *ipv) == []


def test_va_10_a_combined_vaccine_counts_for_each_of_its_series():
    five = [given("5001", 1, months(2)), given("5001", 2, months(3)), given("5001", 3, months(4))]
    assert judged(given("0402", 4, months(18)), *five) == []
    assert judged(given("5001", 2, months(4)), given("0402", 1, months(2))) == []
    assert judged(given("5001", 3, months(4)), given("0402", 1, months(2))) == ["VA-10"]


def test_va_10_says_nothing_where_numbers_are_not_a_series():
    assert judged(given("2102", 1, months(8)), given("2102", 1, months(6))) == []


def test_va_11_twice_a_day():
    one = given("0202", 1, BORN)
    assert judged(given("0202", 2, BORN, site=OTHER_ARM), one) == ["VA-06", "VA-07", "VA-11"]
    assert judged(given("0101", 1, BORN, ID, OTHER_ARM), one) == []


def test_va_12_one_site():
    one = given("0202", 1, BORN, site=ARM)
    assert judged(given("0101", 1, BORN, ID, ARM), one) == ["VA-12"]
    assert judged(given("0101", 1, months(1), ID, ARM), one) == []
    assert judged(given("0311", 3, BORN, PO, MOUTH), given("0301", 1, BORN, PO, MOUTH)) == [
        "VA-06",
        "VA-10",
    ]


def test_va_17_for_girls():
    day = months(13 * 12, 5)
    assert judged(given("5501", 1, day)) == []
    assert judged(given("5501", 1, day), sex=SEX_MALE) == ["VA-17"]


def test_va_19_replay_is_told_alone():
    one = given("0202", 1, BORN, content="same")
    assert judged(given("0202", 1, BORN, content="same", record="other"), one) == ["VA-19"]


def test_rules_follow_the_schedule_of_the_day():
    """DTaP 1 was due at three months until 2024, at two months from 2025."""
    born = date(2024, 10, 20)
    early = given("0402", 1, date(2024, 12, 21))
    assert ids(history.judge(early, child(birth_date=born), (), tables())) == ["VA-06"]
    later = given("0402", 1, date(2025, 1, 2))
    assert ids(history.judge(later, child(birth_date=born), (), tables())) == []


def test_rows_of_the_store_serve_as_other_doses():
    row = (*given("0202", 1, BORN)[:8], None, None, "more")
    assert judged(given("0202", 2, months(1)), row) == []
