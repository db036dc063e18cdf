"""RotateSecret in its two halves, on a real database: sent again, too soon, at once, and by whom it may not."""

import uuid
from collections.abc import Awaitable

import pytest

from gateway.errors import Refusal
from gateway.identity import secret_change
from gateway.identity.login import Grant
from gateway.identity.rules import DAY_US, HOUR_US
from gateway.identity.secret_change import Secrets
from tests.identity.office import BETTER, GOOD, START_US, Office, at_the_office

ACCOUNT = "hub-upload"
FIRST = "q5V0kTz-8mJx2LwR_yB7nE4sHdUa9cPfGiZ1oXtKvM"
SECOND = "Zt3_uYh8QeLp0WrKa6VbNx-1mGdSc9JfTi2oHyXqPkB"
THIRD = "nB7xQ2-wEz9LcVt_0aRkUyHs4mGj1PdFi8oTqXeKbZv"
REQUEST = str(uuid.uuid4())


async def refused(work: Awaitable[object]) -> str:
    """The reason that something is refused with; with violations, their rules."""
    with pytest.raises(Refusal) as raised:
        await work
    refusal = raised.value
    assert not any(secret in repr(refusal) for secret in (GOOD, FIRST, SECOND, THIRD))
    rules = " ".join(one.rule for one in refusal.violations)
    return f"{refusal.reason.value} {rules}".strip()


async def given(office: Office, grant: Grant, old: str, new: str, request_id: str = REQUEST) -> int:
    """Give the next secret as the service does; returns the end of the overlap."""
    who = await office.who(grant)
    prepared = await secret_change.prepare(office.desk, who, Secrets(request_id, old, new))
    assert new not in repr(prepared)
    async with office.database.transaction() as tx:
        return await secret_change.apply(office.desk, tx, prepared)


async def rows(office: Office) -> list[tuple]:
    async with office.database.transaction() as tx:
        return await tx.fetch("SELECT secret_hash, made_us, taken_us FROM gateway.other_secret")


async def two_days_in(office: Office) -> Grant:
    await office.settled()
    office.clock.us += 2 * DAY_US
    return await office.log_in(ACCOUNT, GOOD)


def test_the_same_request_again_changes_nothing_before_and_after_its_first_use(conninfo) -> None:
    """A lost answer; a server that was killed after its commit."""

    async def scene(office: Office) -> None:
        grant = await two_days_in(office)
        ends_us = await given(office, grant, GOOD, FIRST)
        assert ends_us == START_US + 2 * DAY_US + 72 * HOUR_US
        kept = await rows(office)
        office.clock.us += 60_000_000
        assert await given(office, grant, GOOD, FIRST) == ends_us
        assert await rows(office) == kept
        await office.log_in(ACCOUNT, FIRST)
        kept = await rows(office)
        assert await given(office, grant, GOOD, FIRST) == ends_us
        assert await rows(office) == kept
        for other in (SECOND, GOOD):
            assert await refused(given(office, grant, GOOD, other)) == "REQUEST_ID_REUSED"

    at_the_office(conninfo, scene)


def test_a_server_killed_before_its_commit_has_changed_nothing(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await two_days_in(office)
        who = await office.who(grant)
        prepared = await secret_change.prepare(office.desk, who, Secrets(REQUEST, GOOD, FIRST))

        async def killed() -> None:
            async with office.database.transaction() as tx:
                await secret_change.apply(office.desk, tx, prepared)
                raise ConnectionError

        with pytest.raises(ConnectionError):
            await killed()
        assert await rows(office) == []
        await given(office, grant, GOOD, FIRST)
        assert (await office.log_in(ACCOUNT, FIRST)).shown == "taken"

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(("late_us", "allowed"), [(-1, False), (0, True), (1, True)])
def test_never_a_second_rotation_within_24_hours(conninfo, late_us: int, *, allowed: bool) -> None:
    async def scene(office: Office) -> None:
        await given(office, await two_days_in(office), GOOD, FIRST)
        await office.log_in(ACCOUNT, FIRST)
        office.clock.us += 24 * HOUR_US + late_us
        work = given(office, await office.log_in(ACCOUNT, FIRST), FIRST, SECOND, str(uuid.uuid4()))
        if allowed:
            await work
            assert (await office.log_in(ACCOUNT, SECOND)).account.secret_rotations == 2
            assert await refused(office.log_in(ACCOUNT, GOOD)) == "LOGIN_FAILED"
        else:
            assert await refused(work) == "PASSWORD_WEAK PW-AGE"
        assert (await office.log_in(ACCOUNT, FIRST)).account.name == ACCOUNT

    at_the_office(conninfo, scene)


def test_what_served_before_does_not_serve_again(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await two_days_in(office)
        assert await refused(given(office, grant, GOOD, "x" * 5)) == "PASSWORD_WEAK SECRET-FORM"
        await given(office, grant, GOOD, FIRST)
        await office.log_in(ACCOUNT, FIRST)
        office.clock.us += DAY_US
        grant = await office.log_in(ACCOUNT, FIRST)
        fresh = str(uuid.uuid4())
        assert (
            await refused(given(office, grant, FIRST, FIRST, fresh)) == "PASSWORD_WEAK PW-HISTORY"
        )
        await given(office, grant, FIRST, SECOND, fresh)
        await office.log_in(ACCOUNT, SECOND)
        office.clock.us += DAY_US
        grant = await office.log_in(ACCOUNT, SECOND)
        again = given(office, grant, SECOND, FIRST, str(uuid.uuid4()))
        assert await refused(again) == "PASSWORD_WEAK PW-HISTORY"

    at_the_office(conninfo, scene)


def test_a_wrong_present_secret_is_counted_and_changes_nothing(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await two_days_in(office)
        for _ in range(5):
            assert await refused(given(office, grant, BETTER, FIRST)) == "LOGIN_FAILED"
        assert await refused(given(office, grant, GOOD, FIRST)) == "LOGIN_THROTTLED"
        assert await rows(office) == []
        office.clock.us += 120_000_000
        await given(office, grant, GOOD, FIRST)

    at_the_office(conninfo, scene)


def test_of_two_clones_that_rotate_at_once_one_does_and_the_other_is_told(conninfo) -> None:
    """Attack 100. Both go on for the overlap; then the second clone's secret opens nothing, and it is told why."""

    async def scene(office: Office) -> None:
        grant = await two_days_in(office)
        who = await office.who(grant)
        ours, theirs = [
            await secret_change.prepare(office.desk, who, Secrets(str(uuid.uuid4()), GOOD, new))
            for new in (FIRST, SECOND)
        ]
        async with office.database.transaction() as tx:
            await secret_change.apply(office.desk, tx, ours)
        async with office.database.transaction() as tx:
            assert await refused(secret_change.apply(office.desk, tx, theirs)) == "REVISION_STALE"
        await office.log_in(ACCOUNT, FIRST)
        clone = await office.log_in(ACCOUNT, GOOD)
        assert clone.shown == "former"
        late = given(office, clone, GOOD, SECOND, str(uuid.uuid4()))
        assert await refused(late) == "SECRET_REPLACED"
        office.clock.us += 72 * HOUR_US
        assert await refused(office.log_in(ACCOUNT, GOOD)) == "SECRET_REPLACED"
        assert (await office.log_in(ACCOUNT, FIRST)).shown == ""

    at_the_office(conninfo, scene)


def test_a_next_one_that_its_client_lost_is_replaced_after_a_day(conninfo) -> None:
    """The journal was lost with its disk: the current secret still opens, and another next one can be given."""

    async def scene(office: Office) -> None:
        await given(office, await two_days_in(office), GOOD, FIRST)
        office.clock.us += DAY_US
        grant = await office.log_in(ACCOUNT, GOOD)
        await given(office, grant, GOOD, SECOND, str(uuid.uuid4()))
        assert await refused(office.log_in(ACCOUNT, FIRST)) == "LOGIN_FAILED"
        assert (await office.log_in(ACCOUNT, SECOND)).shown == "taken"

    at_the_office(conninfo, scene)


def test_a_password_that_a_person_sets_ends_both_secrets(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await two_days_in(office)
        await given(office, grant, GOOD, FIRST)
        await office.change(grant, GOOD, BETTER)
        assert await rows(office) == []
        for dead in (GOOD, FIRST):
            assert await refused(office.log_in(ACCOUNT, dead)) == "LOGIN_FAILED"
        await office.log_in(ACCOUNT, BETTER)

    at_the_office(conninfo, scene)
