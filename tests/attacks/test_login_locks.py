"""Attacks 92 to 96 of reference/identity.md at the live door: the lock of an account, who can bring it about and who cannot, what
ends it; a password past its grace.
"""

import pytest

from gateway.clock import US_PER_S
from gateway.identity.rules import DAY_US, HOUR_US
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.test_duties import about, second_admin
from tests.coverage.rpcs import WHOAMI, Watch, kept_token
from tests.services.test_register_service import ask
from tests.world import (
    CITY,
    COUNTY,
    OTHER_CITY,
    OTHER_COUNTY,
    PASSWORD,
    PROVINCE,
    SECOND_COUNTY,
    RefusedError,
    held,
)

LOGIN = "/gateway.v1.IdentityService/Login"
WRONG = "Never-The-Password-77"


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture(autouse=True)
def quiet(capfd):
    """No password on any process's output, whatever was tried."""
    yield
    said = "".join(capfd.readouterr())
    assert PASSWORD not in said
    assert WRONG not in said


@pytest.fixture(autouse=True)
def unlocked(province):
    """Nothing is counted yet, and the places for logins are free again."""
    province.world.sql("DELETE FROM gateway.throttle")


def run(province, work):
    province.run(work(province.world))


def failed(world, organisation, account, lineage, times):
    """So many failures of this lineage were counted in the last hours, and no block runs."""
    now_us = world.clock.now_us()
    recent = [now_us - 20 * HOUR_US + n for n in range(times)]
    world.sql(
        "INSERT INTO gateway.throttle"
        " (organisation, account, lineage, failures, blocked_until_us, last_us, recent_us)"
        " VALUES (%s, %s, %s, %s, 0, %s, %s)",
        *(organisation, account, lineage, times, now_us - 20 * HOUR_US, recent),
    )


async def attempt(world, person, account, password=WRONG):
    """Log in as this account over a person's certificate; return the reason, "" when let in, and its one leaf."""
    watch = Watch(world)
    request = identity.LoginRequest(account_name=account, password=password)
    try:
        await world.call(person, LOGIN, request)
        reason = ""
    except RefusedError as error:
        reason = error.reason
    leaf = await watch.only_leaf()
    assert leaf.get("reason", "") == reason
    assert leaf["decision"] == ("deny" if reason else "allow")
    return reason


@pytest.mark.parametrize(("before", "reason"), [(98, ""), (99, "LOGIN_LOCKED")])
def test_92_the_hundredth_failure_of_its_own_lineage_locks(province, before, reason):
    async def work(world):
        county = world.county
        failed(world, COUNTY, "uploader", "sys/uploader", before)
        assert await attempt(world, county, "uploader") == "LOGIN_FAILED"
        assert await attempt(world, county, "uploader", PASSWORD) == "LOGIN_THROTTLED"
        world.clock.turn(seconds=901)
        assert await attempt(world, county, "uploader", PASSWORD) == reason
        if reason:
            # Neither time nor the right password helps, an officer does.
            world.clock.turn(seconds=30 * 3600)
            assert await attempt(world, county, "uploader", PASSWORD) == reason
            await kept_token(world, world.city_admin)
            watch = Watch(world)
            unlock = about(admin.UnlockAccountRequest, COUNTY, "uploader", reason="a script")
            await ask(world, world.city_admin, "UnlockAccount", unlock, None)
            leaf = await watch.only_leaf()
            assert (leaf["kind"], leaf["decision"]) == ("admin.account.unlock", "allow")
            assert leaf["detail"]["target_account"] == "uploader"
            assert await attempt(world, county, "uploader", PASSWORD) == ""

    run(province, work)


def test_93_no_outsider_brings_a_lock_about(province):
    """With certificates of the same city, of another, and of a person: each locks himself out, and nobody else."""

    async def work(world):
        county = world.county
        for thief, organisation, lineage in (
            (world.city_admin, CITY, "officer/admin"),
            (world.other_county, OTHER_COUNTY, "sys/uploader"),
        ):
            name = "uploader" if thief is world.city_admin else "somebody"
            failed(world, organisation, name, lineage, 99)
            assert await attempt(world, thief, name) == "LOGIN_FAILED"
            world.clock.turn(seconds=901)
            # The thief hears the same for an account that is not there.
            assert await attempt(world, thief, name, PASSWORD) == "LOGIN_LOCKED"
            assert await attempt(world, world.city, "uploader", PASSWORD) == ""
            assert await attempt(world, county, "uploader", PASSWORD) == ""
            assert await attempt(world, thief, thief.account, PASSWORD) == ""

    run(province, work)


def test_94_a_reset_ends_the_lock(province):
    async def work(world):
        county = world.people[OTHER_CITY, "uploader"]
        world.sql(
            "INSERT INTO gateway.throttle (organisation, account, lineage, failures,"
            " blocked_until_us, last_us, locked_us) VALUES (%s, 'uploader', 'sys/uploader', 100, 0, 1, 1)",
            OTHER_CITY,
        )
        assert await attempt(world, county, "uploader", PASSWORD) == "LOGIN_LOCKED"
        request = about(admin.ResetPasswordRequest, OTHER_CITY, "uploader", reason="guessed at")
        given = await ask(
            world, world.province_admin, "ResetPassword", request, admin.ResetPasswordResponse
        )
        assert await attempt(world, county, "uploader", given.one_time_password) == ""
        assert await attempt(world, county, "uploader", PASSWORD) == "LOGIN_FAILED"

    run(province, work)


def test_120_the_last_administrator_is_slowed_and_not_locked(province):
    """By a hundred failures from his own lineage; another's lineage gains nothing by it."""

    async def work(world):
        own = world.province_admin
        failed(world, PROVINCE, "admin", "officer/admin", 99)
        failed(world, PROVINCE, "admin", "officer/auditor", 99)
        assert await attempt(world, own, "admin") == "LOGIN_FAILED"
        assert await attempt(world, own, "admin", PASSWORD) == "LOGIN_THROTTLED"
        assert await attempt(world, world.auditor, "admin") == "LOGIN_FAILED"
        world.clock.turn(seconds=901)
        assert await attempt(world, world.auditor, "admin", PASSWORD) == "LOGIN_LOCKED"
        # Slowed on: a wrong one blocks again.
        assert await attempt(world, own, "admin") == "LOGIN_FAILED"
        assert await attempt(world, own, "admin", PASSWORD) == "LOGIN_THROTTLED"
        world.clock.turn(seconds=901)
        # With a second administrator he is locked like everybody; without, he comes in.
        second = await second_admin(world)
        assert await attempt(world, own, "admin", PASSWORD) == "LOGIN_LOCKED"
        world.sql("UPDATE gateway.account SET state = 2 WHERE name = %s", second.account)
        assert await attempt(world, own, "admin", PASSWORD) == ""

    run(province, work)


@pytest.mark.parametrize(
    ("late_s", "reason"), [(-600, ""), (0, "PASSWORD_BLOCKED"), (600, "PASSWORD_BLOCKED")]
)
def test_95_past_its_grace_the_right_password_opens_nothing(province, late_s, reason):
    """And tells nobody anything who does not know it. At the microsecond: tests/identity/test_principal.py."""

    async def work(world):
        county = world.people[SECOND_COUNTY, "uploader"]
        ended_us = world.clock.now_us() - 7 * DAY_US - late_s * US_PER_S
        world.sql(
            "UPDATE gateway.account SET password_expires_us = %s WHERE organisation = %s",
            *(ended_us, SECOND_COUNTY),
        )
        assert await attempt(world, county, "uploader") == "LOGIN_FAILED"
        assert await attempt(world, county, "uploader", PASSWORD) == reason
        if reason:
            assert await attempt(world, county, "nobody", PASSWORD) == "LOGIN_FAILED"
        world.sql(
            "UPDATE gateway.account SET password_expires_us = created_us + %s"
            " WHERE organisation = %s",
            *(88 * DAY_US, SECOND_COUNTY),
        )
        world.clock.turn(seconds=0.3)
        token = await world.login(county)
        await world.call(county, WHOAMI, b"", token=token)

    run(province, work)
