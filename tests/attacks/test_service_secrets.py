"""Attack 100 of reference/identity.md, and its kin, at the live door: the two secrets of a service account, two clones that rotate at
once, a replaced secret, a person who would come in by a system's account.
"""

import io
import json
import uuid

import pytest

from gateway import log
from gateway.clock import US_PER_S
from gateway.identity.rules import HOUR_US
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.tried import logged_in, login, tried
from tests.coverage.rpcs import LOGIN, WHOAMI, Watch, refused, restore_password
from tests.world import PASSWORD, SECOND_COUNTY, held

ROTATE = "/gateway.v1.IdentityService/RotateSecret"
FIRST = "q5V0kTz-8mJx2LwR_yB7nE4sHdUa9cPfGiZ1oXtKvM"
SECOND = "Zt3_uYh8QeLp0WrKa6VbNx-1mGdSc9JfTi2oHyXqPkB"
SECRETS = (PASSWORD, FIRST, SECOND)


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture(autouse=True)
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


def run(province, work):
    """Play a scene with the account of a system whose secret is PASSWORD, two days old."""

    async def scene(world):
        restore_password(world, world.people[SECOND_COUNTY, "uploader"])
        world.sql("DELETE FROM gateway.throttle")
        await work(world, world.people[SECOND_COUNTY, "uploader"])

    province.run(scene(province.world))


def rotation(old, new, request_id=""):
    return identity.RotateSecretRequest(
        request_id=request_id or str(uuid.uuid4()), old_secret=old, new_secret=new
    )


async def rotated(world, person, old=PASSWORD, new=FIRST, request_id=""):
    """Give the next secret over a session of the old one; the answer."""
    token = (await logged_in(world, person, old)).access_token
    raw = await world.call(person, ROTATE, rotation(old, new, request_id), token=token)
    return identity.RotateSecretResponse.FromString(raw)


def good(world, person, secret):
    """The next good call: a login with what is in force."""
    return lambda: logged_in(world, person, secret)


def test_each_step_of_a_rotation_is_one_leaf_and_none_tells_a_secret(province, process_log):
    async def work(world, ours):
        token = (await logged_in(world, ours)).access_token
        steps = []
        request = rotation(PASSWORD, FIRST)
        for call, message, held_token in (
            (ROTATE, request, token),
            (ROTATE, request, token),
            (LOGIN, login(ours.account, FIRST), ""),
            (LOGIN, login(ours.account, PASSWORD), ""),
            (LOGIN, login(ours.account, FIRST), ""),
        ):
            watch = Watch(world)
            await world.call(ours, call, message, token=held_token)
            leaf = await watch.only_leaf()
            steps.append((leaf["kind"], leaf.get("detail", {}).get("secret", "")))
            assert leaf["decision"] == "allow"
            assert leaf["account"] == ours.account
            assert not any(secret in json.dumps(leaf) for secret in SECRETS)
        assert steps == [
            ("identity.secret", "next"),
            ("identity.secret", "repeated"),
            ("identity.login", "taken"),
            ("identity.login", "former"),
            ("identity.login", ""),
        ]
        # A session of before goes on: streams too.
        await world.call(ours, WHOAMI, identity.WhoAmIRequest(), token=token)
        assert not any(secret in process_log.getvalue() for secret in SECRETS)

    run(province, work)


def test_100_of_two_clones_that_rotate_one_does_and_the_other_goes_on_for_72_hours(
    province, process_log
):
    async def work(world, ours):
        answer = await rotated(world, ours)
        ends_us = answer.overlap_end_time.ToMicroseconds()
        assert abs(ends_us - world.clock.now_us() - 72 * HOUR_US) < 600 * US_PER_S
        rule = {"secrets": SECRETS, "process_log": process_log}
        await logged_in(world, ours, FIRST)
        told = await logged_in(world, ours)
        assert told.password_state == identity.PASSWORD_STATE_WARNED
        assert told.password_expire_time.ToMicroseconds() == ends_us
        assert not told.HasField("secret_window")
        clone = world.call(ours, ROTATE, rotation(PASSWORD, SECOND), token=told.access_token)
        await tried(world, clone, "SECRET_REPLACED", **rule, then=good(world, ours, FIRST))
        world.clock.turn(seconds=(ends_us - world.clock.now_us()) / US_PER_S + 1)
        clone = world.call(ours, LOGIN, login(ours.account))
        await tried(world, clone, "SECRET_REPLACED", **rule, then=good(world, ours, FIRST))

    run(province, work)


def test_a_second_rotation_within_a_day_is_refused_and_one_later_is_not(province, process_log):
    async def work(world, ours):
        await rotated(world, ours)
        token = (await logged_in(world, ours, FIRST)).access_token
        again = world.call(ours, ROTATE, rotation(FIRST, SECOND), token=token)
        error, _ = await tried(
            world,
            again,
            "PASSWORD_WEAK",
            secrets=SECRETS,
            process_log=process_log,
            then=good(world, ours, FIRST),
        )
        assert "PW-AGE" in error.raw.decode(errors="replace")
        world.clock.turn(seconds=24 * 3600 + 1)
        await rotated(world, ours, FIRST, SECOND)
        assert (await logged_in(world, ours, SECOND)).HasField("secret_window")

    run(province, work)


@pytest.mark.parametrize("chosen", ["correct-Horse-9-battery", "a" * 43, "Shanxi.CDC.0351-" * 3])
def test_a_secret_that_a_person_made_up_is_refused(province, process_log, chosen):
    async def work(world, ours):
        token = (await logged_in(world, ours)).access_token
        weak = world.call(ours, ROTATE, rotation(PASSWORD, chosen), token=token)
        await tried(
            world,
            weak,
            "PASSWORD_WEAK",
            secrets=(*SECRETS, chosen),
            process_log=process_log,
            then=good(world, ours, PASSWORD),
        )

    run(province, work)


def test_the_same_id_with_another_secret_is_refused(province, process_log):
    async def work(world, ours):
        request_id = str(uuid.uuid4())
        await rotated(world, ours, request_id=request_id)
        token = (await logged_in(world, ours)).access_token
        other = world.call(ours, ROTATE, rotation(PASSWORD, SECOND, request_id), token=token)
        await tried(
            world,
            other,
            "REQUEST_ID_REUSED",
            secrets=SECRETS,
            process_log=process_log,
            then=good(world, ours, FIRST),
        )

    run(province, work)


def test_a_stolen_token_alone_gives_no_secret(province, process_log):
    async def work(world, ours):
        token = (await logged_in(world, ours)).access_token
        thief = world.call(ours, ROTATE, rotation(SECOND, FIRST), token=token)
        await tried(
            world,
            thief,
            "LOGIN_FAILED",
            secrets=SECRETS,
            process_log=process_log,
            then=good(world, ours, PASSWORD),
        )

    run(province, work)


def test_no_person_comes_in_by_a_systems_account_nor_has_two_secrets(province, process_log):
    """The certificate says who bears it: an officer's opens no system's account, whatever he knows."""

    async def work(world, ours):
        await rotated(world, ours)
        for secret in (PASSWORD, FIRST):
            for person in (world.auditor, world.city_admin):
                error = await refused(world.call(person, LOGIN, login(ours.account, secret)))
                assert error.reason in ("LOGIN_FAILED", "LOGIN_THROTTLED")
        officer = world.auditor
        token = (await logged_in(world, officer)).access_token
        own = world.call(officer, ROTATE, rotation(PASSWORD, FIRST), token=token)
        await tried(
            world,
            own,
            "ROLE_NOT_ALLOWED",
            secrets=SECRETS,
            process_log=process_log,
            then=good(world, ours, FIRST),
        )

    run(province, work)
