"""A disk that fills, by whoever: exports stop first, then uploads, each call refused with its leaf; the log goes on."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from gateway.config.disk import Disk, Room
from tests.coverage.rpcs import Watch, a_batch
from tests.world import PASSWORD, RefusedError, World, fresh_ground


def with_room(world, door, free):
    guard = world.guard(door)
    disk = Disk(Path("/"), guard._checks.disk.rules, lambda _: Room(free, 0))
    guard._checks = dataclasses.replace(guard._checks, disk=disk)


def test_uploads_stop_before_the_disk_is_full_and_go_on_by_themselves(cluster):
    async def go(ground):
        async with World.open(ground, ("identity", "intake")) as world:
            token = await world.login(world.county)
            stream = await world.open_upload(world.county, token)
            await stream.write(a_batch(world, world.county).SerializeToString())
            assert await stream.read()
            with_room(world, "intake", 4.9)
            before = world.sql("SELECT count(*) FROM gateway.batch")
            watch = Watch(world)
            # In a stream that stands, and in a new one.
            batch = a_batch(world, world.county).SerializeToString()
            await stream.write(batch)
            with pytest.raises(Exception, match="UNAVAILABLE"):
                await stream.read()
            leaf = await watch.only_leaf()
            assert (leaf["decision"], leaf["reason"]) == ("deny", "DISK_LOW")
            watch = Watch(world)
            with pytest.raises(RefusedError) as raised:
                await world.upload(world.county, token, batch)
            assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "DISK_LOW")
            leaf = await watch.only_leaf()
            assert (leaf["decision"], leaf["reason"]) == ("deny", "DISK_LOW")
            assert world.sql("SELECT count(*) FROM gateway.batch") == before
            # What stores nothing goes on: an officer must be able to act.
            assert await world.login(world.auditor)
            with_room(world, "intake", 5.1)
            assert len(await world.upload(world.county, token, batch)) == 1
            said = repr(world.leaves())
            assert PASSWORD not in said

    with fresh_ground(cluster) as ground:
        asyncio.run(go(ground))
