import re
from datetime import date, timedelta

from gateway.sample import people
from gateway.sample.calendar import from_date
from gateway.sample.province import AS_OF
from gateway.v1 import child_pb2 as c
from tests.sample.made import families

RESIDENT = c.IDENTITY_DOCUMENT_RESIDENT_CARD


def test_every_card_has_every_required_item():
    for family in families():
        child = family.child
        assert re.fullmatch(r"[0-9]{18}", child.child_code)
        assert child.child_code.startswith(child.file_unit_code)
        for name in (
            "name",
            "sex",
            "guardians",
            "household_category",
            "residence_type",
            "status",
            "filed_date",
        ):
            assert getattr(child, name), name
        for address in (child.household, child.residence):
            assert len(address.detail) >= 4
            assert address.division_code
        assert all(guardian.name and guardian.phone for guardian in child.guardians)


def test_codes_and_numbers_are_given_out_once():
    children = [family.child for family in families()]
    for values in (
        [child.child_code for child in children],
        [child.document_number for child in children if child.document == RESIDENT],
        [child.birth_certificate_number for child in children],
    ):
        assert len(set(values)) == len(values)


def test_numbers_fit_the_card():
    for family in families():
        child = family.child
        if child.document != RESIDENT:
            assert child.document == c.IDENTITY_DOCUMENT_NOT_YET_OBTAINED
            assert not child.document_number
            continue
        number = child.document_number
        assert people.check_digit(number[:17]) == number[17]
        assert number[6:14] == f"{family.born:%Y%m%d}"
        assert int(number[16]) % 2 == (1 if child.sex == c.SEX_MALE else 0)


def test_cards_are_filed_within_a_month_of_birth_and_not_after_the_sample():
    for family in families():
        filed = from_date(family.child.filed_date)
        assert family.born < filed <= min(AS_OF, family.born + timedelta(days=27))


def test_births_are_spread_and_the_youngest_are_the_most():
    born = [family.born for family in families()]
    assert len({(day.year, day.month) for day in born}) > 25
    assert sum(day > date(2025, 9, 30) for day in born) > len(born) / 2
