"""The profile in force: the newest valid one, to the microsecond; what follows counts from its own day."""

from dataclasses import replace

import pytest

from gateway.config.strict import SettingsError
from gateway.identity.rules import DAY_US, NEVER_US, Dated
from tests.identity.office import PROFILE, RULES, START_US, ruled

NEXT_US = START_US + 30 * DAY_US
STRICT = replace(PROFILE, maximum_age_days=30)


def test_the_other_profile_has_no_periodic_change() -> None:
    chosen = replace(RULES, profile="nist").at(START_US)
    assert chosen.expires_us(5) == NEVER_US
    assert chosen.warning(NEVER_US, 5) is None


def test_warnings_come_in_steps() -> None:
    end = PROFILE.expires_us(0)
    assert end == 90 * DAY_US
    steps = [
        PROFILE.warning(end, end - round(days * DAY_US)) for days in (14.001, 14, 8, 7, 3, 1, 0.5)
    ]
    assert steps == [None, 14, 14, 7, 3, 1, 1]


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_the_newest_valid_profile_rules_to_the_microsecond(offset) -> None:
    last_us = NEXT_US + DAY_US
    # Whatever the order in which they are read.
    rules = ruled(PROFILE, (last_us, PROFILE), (NEXT_US, STRICT))
    now_us = NEXT_US + offset
    assert rules.at(now_us) == (PROFILE if offset < 0 else STRICT)
    coming = [one.valid_from_us for one in rules.coming(now_us)]
    assert coming == ([NEXT_US, last_us] if offset < 0 else [last_us])
    assert rules.at(last_us + offset) == (STRICT if offset < 0 else PROFILE)


def test_another_profiles_files_change_nothing() -> None:
    other = Dated("nist", START_US, "0" * 64, STRICT)
    rules = replace(RULES, dated=(*RULES.dated, other))
    assert rules.at(START_US) == PROFILE
    assert rules.coming(0)[-1].name == "mlps3"


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_before_the_first_none_rules(offset) -> None:
    [first] = [one.valid_from_us for one in RULES.dated if one.name == RULES.profile]
    if offset >= 0:
        assert RULES.at(first + offset) == PROFILE
        return
    with pytest.raises(SettingsError, match="no profile mlps3 is valid yet"):
        RULES.at(first + offset)


def test_what_follows_counts_from_its_own_day_where_it_is_stricter() -> None:
    days = (90, 30, 31, 0, 90)
    found = [replace(PROFILE, maximum_age_days=each) for each in days]
    rest = [(START_US + n * DAY_US, one) for n, one in enumerate(found[1:], 1)]
    rules = ruled(found[0], *rest).tightened(7, START_US)
    since = [rules.at(START_US + n * DAY_US).tightened_us for n in range(len(days))]
    first, last = START_US + DAY_US, START_US + 4 * DAY_US
    assert since == [7, first, first, first, last]


def test_what_was_in_force_before_is_still_known() -> None:
    """A clock that is set back a little finds the profile of then."""
    rules = ruled(PROFILE, (NEXT_US, STRICT)).tightened(NEXT_US, NEXT_US)
    assert rules.at(NEXT_US) == replace(STRICT, tightened_us=NEXT_US)
    assert rules.at(NEXT_US - 1) == PROFILE
