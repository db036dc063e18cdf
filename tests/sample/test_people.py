from datetime import date
from random import Random

import pytest

from gateway.sample import people


# The example of GB 11643-1999, annex B, and numbers worked out by hand from its weights.
@pytest.mark.parametrize("number", ["11010519491231002X", "440524188001010014"])
def test_check_digits_are_those_of_the_standard(number):
    assert people.check_digit(number[:17]) == number[17]


@pytest.mark.parametrize("sex", [people.MALE, people.FEMALE])
def test_numbers_of_one_day_are_different_and_tell_the_sex(sex):
    numbers = [
        people.identity_number("140105", date(2025, 5, 1), serial, sex) for serial in range(499)
    ]
    assert len(set(numbers)) == 499
    assert {int(number[16]) % 2 for number in numbers} == {sex % 2}
    assert all(number[6:14] == "20250501" for number in numbers)


def test_phones_have_the_form_of_a_mobile_number_in_a_block_that_nobody_has():
    rng = Random(1)
    assert all(
        phone.startswith("154") and len(phone) == 11
        for phone in (people.phone(rng) for _ in range(100))
    )


def test_names_are_two_or_three_characters():
    rng = Random(1)
    for sex in (people.MALE, people.FEMALE):
        names = {people.surname(rng) + people.given_name(rng, sex) for _ in range(500)}
        assert {len(name) for name in names} <= {2, 3}
        assert len(names) > 300
        assert len(people.adult_name(rng, "王", sex)) == 3


def test_an_address_is_long_enough_to_be_one():
    assert len(people.street(Random(1))) >= 4
