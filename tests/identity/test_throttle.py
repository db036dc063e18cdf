"""Failed logins: counted by organisation, account and subject; blocks grow, end, and are lifted."""

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import ExhaustedError, Reason
from gateway.identity import throttle
from gateway.identity.rules import HOUR_US, MINUTE_US
from gateway.identity.throttle import Attempt, Queue
from tests.identity.office import RULES, Office, at_the_office

LIMITS = RULES.throttle
OWN = Attempt("140100", "hub-upload", "sys/hub")


async def fail(office: Office, attempt: Attempt, times: int = 1) -> None:
    for _ in range(times):
        async with office.database.transaction() as tx:
            await throttle.count(tx, attempt, LIMITS, office.clock.now_us())


async def wait_s(office: Office, attempt: Attempt) -> float:
    """Return how long this attempt must wait, 0 when it may be made."""
    try:
        async with office.database.transaction() as tx:
            await throttle.check(tx, attempt, office.clock.now_us())
    except ExhaustedError as refused:
        return refused.retry_after_s if refused.reason is Reason.LOGIN_THROTTLED else -1
    return 0


def test_blocks_begin_at_the_limit_and_double_up_to_the_longest() -> None:
    minutes = [LIMITS.block_us(beyond) // MINUTE_US for beyond in range(8)]
    assert minutes == [1, 2, 4, 8, 15, 15, 15, 15]
    assert LIMITS.block_us(10**9) == 15 * MINUTE_US
    assert replace(LIMITS, longest_block_minutes=1).block_us(9) == MINUTE_US


def test_the_fifth_failure_blocks_and_time_lets_in_again(conninfo) -> None:
    async def scene(office: Office) -> None:
        await fail(office, OWN, 4)
        assert await wait_s(office, OWN) == 0
        await fail(office, OWN)
        assert await wait_s(office, OWN) == 60
        office.clock.turn(seconds=59)
        assert await wait_s(office, OWN) == 1
        office.clock.turn(seconds=1)
        assert await wait_s(office, OWN) == 0
        await fail(office, OWN)
        assert await wait_s(office, OWN) == 120

    at_the_office(conninfo, scene)


def test_counts_do_not_touch_each_other(conninfo) -> None:
    """Another account, certificate subject or organisation is another count: nobody locks anybody else out."""

    async def scene(office: Office) -> None:
        await fail(office, OWN, 9)
        for other in (
            replace(OWN, account="hub-other"),
            replace(OWN, lineage="sys/spare"),
            replace(OWN, organisation="140200"),
        ):
            assert await wait_s(office, other) == 0

    at_the_office(conninfo, scene)


def test_what_cannot_be_a_name_is_counted_in_one_row(conninfo) -> None:
    async def scene(office: Office) -> None:
        for name in ("", "A", "x" * 3000, "a b", "名"):
            await fail(office, replace(OWN, account=name))
        assert await wait_s(office, replace(OWN, account="%%")) == 60
        async with office.database.transaction() as tx:
            assert await tx.fetch("SELECT account, failures FROM gateway.throttle") == [("", 5)]

    at_the_office(conninfo, scene)


def test_old_failures_are_forgotten(conninfo) -> None:
    async def scene(office: Office) -> None:
        await fail(office, OWN, 4)
        await fail(office, replace(OWN, account="hub-other"))
        office.clock.turn(seconds=LIMITS.forget_hours * HOUR_US / 1e6 + 1)
        await fail(office, OWN)
        async with office.database.transaction() as tx:
            assert await tx.fetch("SELECT account, failures FROM gateway.throttle") == [
                ("hub-upload", 1)
            ]

    at_the_office(conninfo, scene)


def test_a_login_clears_and_an_officer_lifts(conninfo) -> None:
    async def scene(office: Office) -> None:
        spare = replace(OWN, lineage="sys/spare")
        await fail(office, OWN, 5)
        await fail(office, spare, 5)
        async with office.database.transaction() as tx:
            await throttle.clear(tx, OWN)
        assert (await wait_s(office, OWN), await wait_s(office, spare)) == (0, 60)
        async with office.administration.transaction() as tx:
            await throttle.lift(tx, "140100", "hub-upload")
        assert await wait_s(office, spare) == 0
        await fail(office, spare, 4)
        assert await wait_s(office, spare) == 0

    at_the_office(conninfo, scene)


async def locked(office: Office, attempt: Attempt) -> bool:
    async with office.database.transaction() as tx:
        return await throttle.check(tx, attempt, office.clock.now_us())


async def fail_slowly(office: Office, times: int) -> None:
    """As fast as the blocks let: each failure when the one before has let go."""
    for _ in range(times):
        await fail(office, OWN)
        office.clock.turn(seconds=await wait_s(office, OWN))


def test_the_hundredth_failure_within_a_day_locks_until_it_is_lifted(conninfo) -> None:
    async def scene(office: Office) -> None:
        begin_us = office.clock.us
        await fail_slowly(office, 99)
        # A guesser without a pause gets there: the setting has an effect (Keycloak #28821).
        assert office.clock.us - begin_us == LIMITS.fastest_us < 24 * HOUR_US
        assert not await locked(office, OWN)
        await fail(office, OWN)
        office.clock.turn(seconds=900)
        assert await locked(office, OWN)
        for other in (replace(OWN, lineage="sys/spare"), replace(OWN, organisation="140200")):
            assert not await locked(office, other)
        office.clock.turn(seconds=30 * 24 * 3600)
        # Another failure of this subject forgets what is old, but no lock.
        await fail(office, replace(OWN, account="hub-other"))
        assert await locked(office, OWN)
        async with office.administration.transaction() as tx:
            await throttle.lift(tx, "140100", "hub-upload")
        assert not await locked(office, OWN)
        assert await wait_s(office, OWN) == 0
        # And the count begins anew.
        await fail_slowly(office, 5)
        assert not await locked(office, OWN)

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(("later_us", "locks"), [(-1, True), (0, False), (1, False)])
def test_a_failure_of_a_day_ago_does_not_count(conninfo, later_us: int, locks: bool) -> None:
    async def scene(office: Office) -> None:
        begin_us = office.clock.us
        await fail_slowly(office, 99)
        office.clock.us = begin_us + 24 * HOUR_US + later_us
        await fail(office, OWN)
        office.clock.turn(seconds=900)
        assert await locked(office, OWN) is locks

    at_the_office(conninfo, scene)


def test_a_login_or_an_officer_ends_a_lock_of_what_is_no_account_too(conninfo) -> None:
    async def scene(office: Office) -> None:
        nobody = replace(OWN, account="nobody")
        async with office.database.transaction() as tx:
            for one in (OWN, nobody):
                await throttle.count(tx, one, LIMITS, office.clock.now_us())
            await tx.execute("UPDATE gateway.throttle SET locked_us = 1")
        assert await locked(office, nobody)
        async with office.database.transaction() as tx:
            await throttle.clear(tx, OWN)
        assert not await locked(office, OWN)
        async with office.administration.transaction() as tx:
            await throttle.lift(tx, "140100", "nobody")
        assert not await locked(office, nobody)

    at_the_office(conninfo, scene)


def test_attempts_of_one_subject_wait_for_each_other_and_a_flood_is_sent_away() -> None:
    async def run() -> None:
        queue = Queue()
        inside, most, refused = 0, 0, 0

        async def attempt(lineage: str) -> None:
            nonlocal inside, most, refused
            try:
                async with queue.turn(replace(OWN, lineage=lineage)):
                    inside += 1
                    most = max(most, inside)
                    await asyncio.sleep(0)
                    inside -= 1
            except ExhaustedError:
                refused += 1

        await asyncio.gather(*(attempt("sys/hub") for _ in range(20)))
        assert (most, refused) == (1, 20 - throttle.WAITING)
        inside = most = refused = 0
        await asyncio.gather(*(attempt(f"sys/s{n}") for n in range(20)))
        assert (most, refused) == (20, 0)
        assert queue._waiting == {}

    asyncio.run(run())
