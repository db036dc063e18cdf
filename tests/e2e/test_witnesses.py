"""Witnesses against a whole gateway over TLS: two cities' clients vouch for one log, a quorum stands, and the tail is short."""

import asyncio
from pathlib import Path

import pytest

from gateway.audit import vouching
from gateway.client.checkpoints import LogError
from gateway.client.client import Client
from gateway.client.profile import Profile
from gateway.client.secret import Secret
from gateway.client.witness import Witness
from gateway.config.policies import load_policies
from gateway.errors import Reason, Refusal
from gateway.registry import witness_duty
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog import policy
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey
from gateway.v1 import audit_service_pb2 as audit
from tests.coverage.rpcs import new_id
from tests.vouching import profile
from tests.world import CITY, COUNTY, OTHER_COUNTY, PASSWORD, PROVINCE, World, fresh_ground


def opened(world: World, where: Profile) -> Client:
    return Client(where, clock=world.clock, password=lambda: Secret(PASSWORD))


async def registered(client: Client, organisation: str, own: Witness) -> None:
    for key in own.keys:
        request = audit.RegisterWitnessRequest(
            request_id=new_id(), organisation_code=organisation, vkey=str(key)
        )
        await client.call(client.audit.RegisterWitness, request)


async def tail_of(world: World) -> vouching.Tail:
    rules = load_policies(world.home.policies).witnesses
    owner = roles.conninfo(world.home, world.settings, "owner")
    database = await Database.open(owner, application="test", size=1)
    try:
        async with database.transaction() as tx:
            return await witness_duty.current(tx, rules, world.clock.now_us())
    finally:
        await database.close()


def test_cities_vouch_for_one_log_and_the_tail_is_what_came_since(cluster, tmp_path: Path) -> None:
    async def scenario() -> None:
        with fresh_ground(cluster) as ground:
            async with World.open(ground) as world:
                await world.open_front()
                persons = {
                    COUNTY: world.county,
                    OTHER_COUNTY: world.other_county,
                    PROVINCE: world.province_admin,
                }
                places = {
                    code: profile(world, one, tmp_path / code) for code, one in persons.items()
                }
                own = {code: Witness.create(places[code]) for code in (COUNTY, OTHER_COUNTY)}
                async with (
                    opened(world, places[COUNTY]) as county,
                    opened(world, places[OTHER_COUNTY]) as other,
                    opened(world, places[PROVINCE]) as admin,
                ):
                    with pytest.raises(Refusal) as early:
                        await county.cosign(own[COUNTY])
                    assert early.value.reason is Reason.WITNESS_UNKNOWN
                    assert (await tail_of(world)).confirmed_size == 0
                    for code, one in own.items():
                        await registered(admin, code, one)
                    found = await county.cosign(own[COUNTY])
                    again = await other.cosign(own[OTHER_COUNTY])
                    assert again.size == found.size == again.confirmed_size
                    tail = await tail_of(world)
                    assert tail.confirmed_size == found.size
                    assert 0 < tail.entries < 30
                    answer = await admin.ask_witness(0)
                    rules = policy.parse(answer.policy)
                    enough, lines = rules.judge(answer.confirmed)
                    assert enough
                    assert {one.key for one in lines} >= {
                        own[COUNTY].keys[0],
                        own[OTHER_COUNTY].keys[0],
                    }
                    keys = LogKeys.of(parse_vkey(county.profile.remote.log_key))
                    assert keys.open(answer.confirmed).size == found.size
                    # The next offer continues it, and both vouch again.
                    world.clock.turn(seconds=21)
                    assert (await county.cosign(own[COUNTY])).size > found.size

    asyncio.run(asyncio.wait_for(scenario(), 100))


def test_a_restored_database_gets_no_cosignature(cluster, tmp_path: Path) -> None:
    """The witness has seen more than there is: it is told of nothing it could sign, and stops with its code."""

    async def scenario() -> None:
        with fresh_ground(cluster) as ground:
            async with World.open(ground) as world:
                await world.open_front()
                place = profile(world, world.city, tmp_path / CITY)
                own = Witness.create(place)
                async with (
                    opened(world, place) as city,
                    opened(world, profile(world, world.province_admin, tmp_path / "p")) as admin,
                ):
                    await registered(admin, CITY, own)
                    before = await city.cosign(own)
                    for _ in range(5):
                        await city.settle()
                        await city.ask_witness(before.size)
                    world.clock.turn(seconds=21)
                    seen = await city.cosign(own)
                    assert seen.size > before.size
                    # What was offered since is gone, as from a backup of before.
                    world.sql("DELETE FROM gateway.cosignature WHERE size = %s", seen.size)
                    world.sql("DELETE FROM gateway.offered_checkpoint WHERE size = %s", seen.size)
                    world.sql("UPDATE gateway.offered_checkpoint SET offered_us = %s", 2**62)
                    with pytest.raises(LogError) as error:
                        await city.cosign(own)
                    assert error.value.code == "SIZE_SHRANK"
                    found = own.cosigned(city.checkpoints.keys)
                    assert found is not None
                    assert found.size == seen.size

    asyncio.run(asyncio.wait_for(scenario(), 100))
