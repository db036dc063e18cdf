"""A disk that fills, by whoever: exports stop first, then uploads, each call refused with its leaf; the log goes on."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from gateway.config.disk import Disk, Room
from tests.coverage.rpcs import Watch, a_batch, kept_token, refused, send
from tests.exports import fetching
from tests.exports.cast import SERVICE, Cast
from tests.world import PASSWORD, RefusedError, World, fresh_ground, held


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


def test_downloads_stop_while_uploads_still_go_on_and_come_back_by_themselves(cluster):
    """Below the exports' share: refused at the disclosure door with its leaf, nothing begun; above it the same call is served."""

    async def go(world):
        await world.keep_lists()
        world.cast = await Cast.open(world)
        person, door = world.cast["wang"], "disclosure"
        asked = fetching.a_download(world.cast)
        call = (door, f"{SERVICE}/DownloadExport", person, [asked.SerializeToString()])
        token = await kept_token(world, person)
        with_room(world, door, 9.9)
        watch = Watch(world)
        error = await refused(send(world, *call, token=token))
        assert (error.code, error.reason) == ("UNAVAILABLE", "DISK_LOW")
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"], leaf["door"]) == ("deny", "DISK_LOW", door)
        assert [one["kind"] for one in await watch.leaves()] == [leaf["kind"]]
        # The same room is enough for a city's records.
        with_room(world, "intake", 9.9)
        uploading = await kept_token(world, world.county)
        batch = a_batch(world, world.county).SerializeToString()
        assert len(await world.upload(world.county, uploading, batch)) == 1
        with_room(world, door, 10.1)
        watch = Watch(world)
        assert await send(world, *call, token=token)
        assert (await watch.calls())[0]["decision"] == "allow"
        assert PASSWORD not in repr(world.leaves())

    with held(cluster) as stands:
        stands.run(go(stands.world))
