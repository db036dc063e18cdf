"""A password that the policy of tomorrow forbids, set tomorrow: the doors that run take up a dated profile by themselves, and
the log told of it before and says what rules.
"""

import asyncio
import hashlib
import io
from datetime import timedelta

import pytest
from google.rpc import error_details_pb2

from gateway import log
from gateway.clock import US_PER_S, from_datetime, to_datetime
from gateway.services import server
from gateway.services.server import open_door
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.tried import tried
from tests.coverage.rpcs import eventually, new_id
from tests.world import PASSWORD, World, fresh_ground

CHANGE = "/gateway.v1.IdentityService/ChangePassword"
SHORT, SHORTER, LONG = (
    "Violet-Anchor-Hums-93",
    "Tin-Drum-Walnut-58-q",
    "Copper-Willow-Sings-Late-27",
)
HOUR_S = 3600


@pytest.fixture(autouse=True)
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


def put_in_place(world):
    """A stricter profile that rules in an hour; its moment in microseconds and its digest."""
    folder = world.home.policies / "passwords"
    since = to_datetime(world.clock.now_us()).replace(microsecond=0) + timedelta(seconds=HOUR_S)
    text = (folder / "mlps3-2019-12-01.toml").read_text()
    text = text.replace("2019-12-01T00:00:00+08:00", since.isoformat())
    text = text.replace("minimum_length = 12", "minimum_length = 24")
    (folder / f"mlps3-{since.date().isoformat()}.toml").write_text(text)
    return from_datetime(since), hashlib.sha256(text.encode()).hexdigest()


def change(world, token, old, new):
    request = identity.ChangePasswordRequest(
        request_id=new_id(), old_password=old, new_password=new
    )
    return world.call(world.county, CHANGE, request, token=token)


def told(world, kind):
    return [one["detail"] for one in world.leaves() if one["kind"] == kind]


def test_95_a_dated_profile_rules_from_its_moment_on(cluster, process_log, monkeypatch):
    monkeypatch.setattr(server, "CHORES_EVERY_S", 0.05)

    async def work(world):
        since_us, digest = put_in_place(world)
        for door in ("identity", "administration"):
            world.doors[door] = await open_door(world.home, door, world.clock)
        expected = {"profile": "mlps3", "digest": digest, "valid_from_us": since_us}
        await eventually(lambda: told(world, "policies.coming"))
        # Until then what rules is what ruled.
        world.sql("UPDATE gateway.account SET password_set_us = 1")
        await change(world, await world.login(world.county), PASSWORD, SHORT)
        world.sql("UPDATE gateway.account SET password_set_us = 1")
        world.clock.turn(seconds=(since_us - world.clock.now_us()) / US_PER_S + 1)
        await eventually(lambda: told(world, "policies.succeed"))
        token = await world.login(world.county, SHORT)
        error, _ = await tried(
            world,
            change(world, token, SHORT, SHORTER),
            "PASSWORD_WEAK",
            secrets=(token, SHORT, SHORTER),
            process_log=process_log,
            then=lambda: change(world, token, SHORT, LONG),
        )
        broken = error.detail(error_details_pb2.BadRequest).field_violations
        assert [one.reason for one in broken] == ["PW-LENGTH"]
        await world.login(world.county, LONG)
        assert told(world, "policies.coming") == told(world, "policies.succeed") == [expected]

    async def run(ground):
        async with World.open(ground, ()) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))
