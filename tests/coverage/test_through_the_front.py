"""The whole way: TLS, the real front, a door; what the front refuses never reaches a door."""

import asyncio

import grpc
import pytest

from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import LOGIN, UPLOAD, Watch, a_batch, eventually
from tests.world import CITY, COUNTY, PASSWORD, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        stands.run(stands.world.open_front())
        yield stands.world, stands.run


async def login(world, person):
    async with world.secure_channel(person, "identity") as channel:
        request = identity.LoginRequest(account_name=person.account, password=PASSWORD)
        reply = await channel.unary_unary(LOGIN)(request.SerializeToString(), timeout=10)
    return identity.LoginResponse.FromString(reply).access_token


def test_from_login_to_receipt(province):
    world, run = province

    async def work():
        watch = Watch(world)
        token = await login(world, world.county)
        async with world.secure_channel(world.county, "intake") as channel:
            stream = channel.stream_stream(UPLOAD)(metadata=(("authorization", f"Bearer {token}"),))
            await stream.write(a_batch(world, world.county).SerializeToString())
            await stream.done_writing()
            assert len([reply async for reply in stream]) == 1
        leaves = await watch.leaves()
        assert [leaf["kind"] for leaf in leaves] == ["identity.login", "upload"]
        assert all(leaf["listener"].startswith(world.address_of(COUNTY) + ":") for leaf in leaves)
        assert all(leaf["strength"] == "weak" for leaf in leaves)

    run(work())


def test_another_organisations_tunnel(province):
    world, run = province

    async def work():
        watch = Watch(world)
        async with world.secure_channel(
            world.county, "identity", world.address_of(CITY)
        ) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary(LOGIN)(b"", timeout=20)
        await eventually(lambda: world.leaves(watch._begin))
        assert {leaf["reason"] for leaf in world.leaves(watch._begin)} == {"ORIGIN_MISMATCH"}
        assert {leaf["door"] for leaf in world.leaves(watch._begin)} != {"identity-service"}

    run(work())


def test_revoked_during_an_upload(province):
    """The stream is cut at once, with a leaf; the certificate does not come in again."""
    world, run = province

    async def work():
        person = world.other_county
        token = await login(world, person)
        async with world.secure_channel(person, "intake") as channel:
            stream = channel.stream_stream(UPLOAD)(metadata=(("authorization", f"Bearer {token}"),))
            await stream.write(a_batch(world, person).SerializeToString())
            assert await stream.read()
            watch = Watch(world)
            revoke = "UPDATE gateway.certificate SET state = 2, revoked_us = 1 WHERE serial = %s"
            world.sql(revoke, person.serial)
            with pytest.raises(grpc.aio.AioRpcError):
                await asyncio.wait_for(stream.read(), 20)
            await eventually(
                lambda: any(leaf.get("kind") == "upload" for leaf in world.leaves(watch._begin))
            )
            [leaf] = [leaf for leaf in world.leaves(watch._begin) if leaf["kind"] == "upload"]
            assert (leaf["decision"], leaf["reason"]) == ("error", "CANCELLED")
        async with world.secure_channel(person, "identity") as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary(LOGIN)(b"", timeout=20)
        assert "CERT_REVOKED" in {leaf.get("reason") for leaf in world.leaves(watch._begin)}

    run(work())
