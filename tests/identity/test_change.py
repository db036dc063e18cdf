"""ChangePassword: the old one is asked for, the new one judged, all other sessions end."""

from dataclasses import replace

import pytest

from gateway.clock import US_PER_S
from gateway.errors import (
    ExhaustedError,
    InvalidError,
    PreconditionError,
    Reason,
    StaleError,
    UnauthenticatedError,
)
from gateway.identity import change
from gateway.identity.principal import PasswordState
from gateway.identity.rules import DAY_US
from tests.identity.office import BETTER, GOOD, RULES, START_US, Office, at_the_office

NAME = "hub-upload"


def test_a_change_ends_all_sessions_and_opens_a_fresh_one(conninfo) -> None:
    async def scene(office: Office) -> None:
        first = await office.settled()
        office.clock.us += DAY_US
        second, third = await office.log_in(NAME, GOOD), await office.log_in(NAME, GOOD)
        grant = await office.change(third, GOOD, BETTER)
        assert grant.password_state is PasswordState.CURRENT
        assert grant.password_expires_us == office.clock.us + 90 * DAY_US
        assert grant.session not in (first.session, second.session, third.session)
        assert (await office.who(grant)).account == NAME
        for dead in (second, third):
            with pytest.raises(UnauthenticatedError) as refused:
                await office.who(dead)
            assert refused.value.reason is Reason.SESSION_UNKNOWN
        with pytest.raises(UnauthenticatedError):
            await office.log_in(NAME, GOOD)
        await office.log_in(NAME, BETTER)

    at_the_office(conninfo, scene)


def test_a_wrong_old_password_is_counted_like_a_login(conninfo) -> None:
    """A stolen session guesses no password."""

    async def scene(office: Office) -> None:
        grant = await office.settled()
        for _ in range(RULES.throttle.failures):
            with pytest.raises(UnauthenticatedError) as refused:
                await office.change(grant, "wrong", BETTER)
            assert refused.value.reason is Reason.LOGIN_FAILED
        with pytest.raises(ExhaustedError) as blocked:
            await office.change(grant, GOOD, BETTER)
        assert blocked.value.reason is Reason.LOGIN_THROTTLED
        office.clock.turn(seconds=60)
        office.clock.us = START_US + DAY_US
        await office.change(await office.log_in(NAME, GOOD), GOOD, BETTER)

    at_the_office(conninfo, scene)


def test_a_weak_password_changes_nothing(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        office.clock.us += DAY_US
        grant = await office.log_in(NAME, GOOD)
        with pytest.raises(InvalidError) as refused:
            await office.change(grant, GOOD, "Password1!")
        assert refused.value.reason is Reason.PASSWORD_WEAK
        assert {one.rule for one in refused.value.violations} >= {"PW-LENGTH", "PW-WORDS"}
        await office.who(grant)
        await office.log_in(NAME, GOOD)

    at_the_office(conninfo, scene)


def test_the_last_twelve_are_not_taken_again(conninfo) -> None:
    """Attack 88: the history cannot be run through, not even one change a day."""

    async def scene(office: Office) -> None:
        grant = await office.settled()
        current = GOOD
        others = [
            f"{word}-Lampion-{n}4-Zq"
            for n, word in enumerate(
                [
                    "Ash",
                    "Birch",
                    "Cedar",
                    "Elm",
                    "Fir",
                    "Gum",
                    "Hazel",
                    "Ivy",
                    "Juniper",
                    "Kauri",
                    "Larch",
                ]
            )
        ]
        for new in others:
            office.clock.us += DAY_US
            grant = await office.log_in(NAME, current)
            with pytest.raises(InvalidError) as refused:
                await office.change(grant, current, GOOD)
            assert {one.rule for one in refused.value.violations} <= {"PW-HISTORY", "PW-SIMILAR"}
            grant = await office.change(grant, current, new)
            current = new
        # Twelve are kept, GOOD being the oldest: one more, and it may come again.
        office.clock.us += DAY_US
        grant = await office.change(
            await office.log_in(NAME, current), current, "Maple-Lampion-94-Zq"
        )
        office.clock.us += DAY_US
        await office.change(
            await office.log_in(NAME, "Maple-Lampion-94-Zq"), "Maple-Lampion-94-Zq", GOOD
        )

    at_the_office(conninfo, scene)


def test_not_twice_within_a_day_but_at_once_after_a_reset(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()  # the first change, minutes after the one-time password
        office.clock.us += DAY_US - US_PER_S * 300
        grant = await office.log_in(NAME, GOOD)
        with pytest.raises(InvalidError) as refused:
            await office.change(grant, GOOD, BETTER)
        assert [one.rule for one in refused.value.violations] == ["PW-AGE"]
        assert "24" in refused.value.violations[0].english
        office.clock.us += US_PER_S * 300
        await office.change(await office.log_in(NAME, GOOD), GOOD, BETTER)

    at_the_office(conninfo, scene)


def test_of_two_changes_at_once_one_wins(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        office.clock.us += DAY_US
        who = await office.who(await office.log_in(NAME, GOOD))
        first = await change.prepare(office.desk, who, "某机构", GOOD, BETTER)
        second = await change.prepare(office.desk, who, "某机构", GOOD, BETTER + "-Vesper")
        async with office.database.transaction() as tx:
            await change.apply(office.desk, tx, first)
        with pytest.raises(StaleError):
            async with office.database.transaction() as tx:
                await change.apply(office.desk, tx, second)
        assert BETTER not in repr(first)
        assert first.new_hash not in repr(first)
        await office.log_in(NAME, BETTER)
        assert grant

    at_the_office(conninfo, scene)


def test_an_expired_password_can_still_be_changed_until_its_grace_ends(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        office.clock.us += 97 * DAY_US - 1
        grant = await office.log_in(NAME, GOOD)
        assert grant.password_state is PasswordState.EXPIRED
        # In the session that was opened before, too: the right password does not help afterwards.
        office.clock.us += 1
        with pytest.raises(PreconditionError) as refused:
            await office.change(grant, GOOD, BETTER)
        assert refused.value.reason is Reason.PASSWORD_BLOCKED
        office.clock.us -= 1
        assert (await office.change(grant, GOOD, BETTER)).password_state is PasswordState.CURRENT

    at_the_office(conninfo, scene)


def test_without_periodic_change_nothing_expires(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        office.clock.us += 4000 * DAY_US
        assert (await office.log_in(NAME, GOOD)).password_state is PasswordState.CURRENT

    at_the_office(conninfo, scene, rules_in_force=replace(RULES, profile="nist"))
