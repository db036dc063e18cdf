"""A policy that becomes stricter counts from then; a looser one gives nobody a second warning."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.audit.event import Event
from gateway.errors import Reason, UnavailableError, refuse
from gateway.identity import age
from gateway.identity.principal import PasswordState
from gateway.identity.rules import DAY_US, Rules
from gateway.store.database import Database
from tests.identity.office import (
    BETTER,
    GOOD,
    PROFILE,
    RULES,
    START_US,
    Office,
    at_the_office,
    ruled,
)
from tests.identity.test_unused import Log

NEXT_US = START_US + 60 * DAY_US
STRICT = replace(PROFILE, maximum_age_days=30)
BASE = Event(door="administration")


def of_days(days: int) -> Rules:
    return ruled(replace(PROFILE, maximum_age_days=days))


async def since(office: Office, loaded: Rules) -> int:
    now_us = office.clock.now_us()
    async with office.database.transaction() as tx:
        found = (await age.in_force(tx, loaded, now_us)).at(now_us)
    assert found == replace(loaded.at(now_us), tightened_us=found.tightened_us)
    return found.tightened_us


async def looked(owner: str, rules: Rules, now_us: int) -> tuple[Rules, bool]:
    """What the host finds, which only looks, and whether the store is as it was."""
    stored = "SELECT days, since_us FROM gateway.password_age"
    database = await Database.open(owner, application="test", size=1)
    try:
        async with database.transaction() as tx:
            before = await tx.fetch(stored)
            found = await age.as_stored(tx, rules, now_us)
            return found, await tx.fetch(stored) == before
    finally:
        await database.close()


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
        assert found.at(START_US).tightened_us == START_US

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
    profile = replace(PROFILE, maximum_age_days=31, tightened_us=10 * DAY_US)
    assert profile.ends_us(0, 90 * DAY_US) == 31 * DAY_US
    assert profile.blocks_us(profile.ends_us(0, 90 * DAY_US)) == 38 * DAY_US
    # Of those that were as old already: 14 days of warnings from the change on.
    assert profile.ends_us(-50 * DAY_US, 40 * DAY_US) == 24 * DAY_US
    # What was promised earlier ends earlier.
    assert profile.ends_us(-85 * DAY_US, 5 * DAY_US) == 5 * DAY_US


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_dated_profile_takes_its_turn_by_itself(conninfo, offset) -> None:
    """Keycloak #39208 again, by a file that waited: nothing is restarted, and nobody ends unwarned."""

    async def scene(office: Office) -> None:
        await office.settled()
        async with office.database.transaction() as tx:
            rules = await age.in_force(tx, ruled(PROFILE, (NEXT_US, STRICT)), START_US)
        office.desk = replace(office.desk, rules=rules)
        office.clock.us = NEXT_US + offset
        grant = await office.log_in("hub-upload", GOOD)
        ends_us = START_US + 90 * DAY_US if offset < 0 else NEXT_US + 14 * DAY_US
        state = PasswordState.CURRENT if offset < 0 else PasswordState.WARNED
        assert (grant.password_expires_us, grant.password_state) == (ends_us, state)
        # The host judges the same before a door has noted the change, and notes nothing.
        found, unchanged = await looked(
            conninfo("owner"), ruled(PROFILE, (NEXT_US, STRICT)), office.clock.us
        )
        assert found.at(office.clock.us) == rules.at(office.clock.us)
        assert unchanged

    at_the_office(conninfo, scene)


def kinds(leaves: Sequence[Event]) -> list[str]:
    return [one.kind for one in leaves]


def test_what_comes_is_told_and_on_its_day_what_rules(conninfo) -> None:
    async def scene(office: Office) -> None:
        rules = ruled(PROFILE, (NEXT_US, STRICT))
        assert await since(office, rules) == START_US
        log = Log(office.administration)
        duty = age.Succession(cast("Any", log), rules, office.clock)
        assert [await duty.look(BASE), await duty.look(BASE)] == [1, 0]
        office.clock.us = NEXT_US - 1
        assert await duty.look(BASE) == 0
        assert kinds(log.leaves) == [age.COMING]
        # A minute late, as duties are: it counts from the day of the file.
        office.clock.us = NEXT_US + DAY_US // 1440
        assert [await duty.look(BASE), await duty.look(BASE)] == [1, 0]
        assert kinds(log.leaves) == [age.COMING, age.RULES_NOW]
        told = {"profile": "mlps3", "digest": "0" * 64, "valid_from_us": NEXT_US}
        assert [one.detail for one in log.leaves] == [told, told]
        office.clock.us += 3 * DAY_US
        # A door that starts later hears the same; one that looks sees it.
        assert await since(office, rules) == NEXT_US
        found, _ = await looked(conninfo("owner"), rules, office.clock.us)
        assert found.at(office.clock.us).tightened_us == NEXT_US
        assert await age.Succession(cast("Any", log), rules, office.clock).look(BASE) == 0

    at_the_office(conninfo, scene)


def test_a_profile_of_a_day_gone_by_warns_first(conninfo) -> None:
    """Put in place when its day was past: what counts is when the doors took it up."""

    async def scene(office: Office) -> None:
        assert await since(office, RULES) == START_US
        office.clock.us += 40 * DAY_US
        assert await since(office, ruled(PROFILE, (START_US + DAY_US, STRICT))) == office.clock.us

    at_the_office(conninfo, scene)


def test_a_door_that_starts_again_tells_nothing_twice(conninfo) -> None:
    append = "SELECT gateway.audit_append(%s, (SELECT size FROM gateway.audit_head))"

    class Written(Log):
        """A log that is written."""

        async def append(self, event: Event, work: Any = None) -> None:
            await super().append(event, work)
            async with self.database.transaction() as tx:
                await tx.execute(append, ([event.to_leaf(START_US)],))

    async def scene(office: Office) -> None:
        log = Written(office.administration)
        rules, other = ruled(PROFILE, (NEXT_US, STRICT)), ruled(PROFILE, (NEXT_US + 1, STRICT))
        for each, told in ((rules, 1), (rules, 0), (other, 1), (other, 0), (rules, 0)):
            duty = age.Succession(cast("Any", log), each, office.clock)
            assert await duty.look(BASE) == told
        assert kinds(log.leaves) == [age.COMING] * 2

    at_the_office(conninfo, scene)


def test_what_cannot_be_told_is_told_the_next_time(conninfo) -> None:
    class Away(Log):
        """A log that takes nothing while it is away."""

        away = True

        async def append(self, event: Event, work: Any = None) -> None:
            if self.away:
                raise refuse(Reason.AUDIT_DEGRADED)
            await super().append(event, work)

    async def scene(office: Office) -> None:
        log = Away(office.administration)
        duty = age.Succession(cast("Any", log), ruled(PROFILE, (NEXT_US, STRICT)), office.clock)
        with pytest.raises(UnavailableError):
            await duty.look(BASE)
        log.away = False
        assert await duty.look(BASE) == 1
        office.clock.us, log.away = NEXT_US, True
        with pytest.raises(UnavailableError):
            await duty.look(BASE)
        log.away = False
        assert await duty.look(BASE) == 1
        assert kinds(log.leaves) == [age.COMING, age.RULES_NOW]

    at_the_office(conninfo, scene)
