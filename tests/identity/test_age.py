"""A policy that becomes stricter counts from then; a looser one gives nobody a second warning."""

from dataclasses import replace

from gateway.identity import age, rules
from gateway.identity.principal import PasswordState
from gateway.identity.rules import DAY_US, Rules
from tests.identity.office import BETTER, GOOD, RULES, START_US, Office, at_the_office


def of_days(days: int) -> Rules:
    active = replace(RULES.active, maximum_age_days=days)
    return replace(RULES, profiles=replace(RULES.profiles, mlps3=active))


async def since(office: Office, loaded: rules.Rules) -> int:
    async with office.database.transaction() as tx:
        found = await age.in_force(tx, loaded, office.clock.now_us())
    assert found.active == replace(loaded.active, tightened_us=found.active.tightened_us)
    return found.active.tightened_us


def test_only_a_stricter_age_moves_the_time(conninfo) -> None:
    async def scene(office: Office) -> None:
        heard = []
        for days in (90, 90, 30, 30, 31, 90, 30, 0, 90):
            heard.append((await since(office, of_days(days)) - START_US) // DAY_US)
            office.clock.us += DAY_US
        assert heard == [0, 0, 2, 2, 2, 2, 6, 6, 8]

    at_the_office(conninfo, scene)


def test_every_door_may_ask(conninfo) -> None:
    async def scene(office: Office) -> None:
        assert await since(office, RULES) == START_US
        async with office.administration.transaction() as tx:
            found = await age.in_force(tx, RULES, START_US + 1)
        assert found.active.tightened_us == START_US

    at_the_office(conninfo, scene)


def test_nobody_who_followed_the_warnings_is_locked_out_by_a_stricter_policy(conninfo) -> None:
    """Keycloak #39208: 90 days become 30 when the password is 60 days old."""

    async def scene(office: Office) -> None:
        await office.settled()
        async with office.database.transaction() as tx:
            await age.in_force(tx, RULES, office.clock.now_us())
        office.clock.us += 60 * DAY_US
        async with office.database.transaction() as tx:
            stricter = await age.in_force(tx, of_days(30), office.clock.now_us())
        office.desk = replace(office.desk, rules=stricter)
        seen = []
        for day, state, step in (
            (0, PasswordState.WARNED, 14),
            (7, PasswordState.WARNED, 7),
            (13, PasswordState.WARNED, 1),
            (14, PasswordState.EXPIRED, None),
            (20, PasswordState.EXPIRED, None),
        ):
            office.clock.us = START_US + (60 + day) * DAY_US
            grant = await office.log_in("hub-upload", GOOD)
            seen.append((grant.password_state, grant.warning_days) == (state, step))
        assert all(seen), seen
        # On the last day of the grace the owner still helps himself.
        changed = await office.change(grant, GOOD, BETTER)
        assert changed.password_state is PasswordState.CURRENT
        assert changed.password_expires_us == office.clock.us + 30 * DAY_US

    at_the_office(conninfo, scene)


def test_who_is_blocked_is_not_let_in_by_a_change_of_policy() -> None:
    """Set on day 0 for 90 days; 30 since day 10, so blocked on day 37. Then 31 days: still blocked."""
    profile = replace(of_days(31).active, tightened_us=10 * DAY_US)
    assert profile.ends_us(0, 90 * DAY_US) == 31 * DAY_US
    assert profile.blocks_us(profile.ends_us(0, 90 * DAY_US)) == 38 * DAY_US
    # Of those that were as old already: 14 days of warnings from the change on.
    assert profile.ends_us(-50 * DAY_US, 40 * DAY_US) == 24 * DAY_US
    # What was promised earlier ends earlier.
    assert profile.ends_us(-85 * DAY_US, 5 * DAY_US) == 5 * DAY_US
