"""What was proven lost is listed with what is missing still: what came back, as a batch or by its id, is not missing."""

import pytest

from gateway.backups import losses
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import upload_service_pb2 as pb
from tests.coverage.rpcs import a_batch, new_id
from tests.former import Former, a_restore
from tests.services.test_loss_service import PRESENT, asking
from tests.world import COUNTY, SECOND_COUNTY, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


async def listed(world, request_id: str) -> losses.LostBatch:
    owner = roles.conninfo(world.home, world.settings, "owner")
    database = await Database.open(owner, application="gateway-test", size=1)
    try:
        async with database.transaction() as tx:
            every = await losses.read(tx)
            assert await losses.told(tx) == len(every)
    finally:
        await database.close()
    [found] = [one for one in every if one.request_id == request_id]
    return found


def test_what_came_back_is_not_missing(province):
    """First a document of it in another batch, then the batch itself."""

    async def work(world):
        person = world.county
        # Past every restore of another test.
        world.clock.turn(seconds=60)
        token = await world.login(person)
        restored_us = a_restore(world.home, world.clock.now_us()).restored_us
        log = Former.of(world.home, COUNTY, person.unit, world.clock.now_us())
        batch = a_batch(world, person)
        device = batch.items[0].device.device_id
        names = (new_id(), device, "")
        receipt = log.receipt(*names, request_id=batch.request_id)
        receipt.request_id = batch.request_id
        await world.call(person, PRESENT, asking(receipt), token=token)
        found = await listed(world, batch.request_id)
        assert (found.organisation, found.unit_code, found.restored_us) == (COUNTY, person.unit, restored_us)  # fmt: skip
        assert (found.records, found.missing, found.unnamed, found.still) == (3, names[:2], 1, 3)
        world.clock.turn(seconds=1)
        again = pb.UploadBatchesRequest.FromString(batch.SerializeToString())
        again.request_id = new_id()
        assert await world.upload(person, token, again.SerializeToString())
        found = await listed(world, batch.request_id)
        assert (found.records, found.missing, found.unnamed) == (3, names[:1], 1)
        assert await world.upload(person, token, batch.SerializeToString())
        found = await listed(world, batch.request_id)
        assert (found.records, found.missing, found.unnamed, found.still) == (3, (), 0, 0)

    province.run(work(province.world))


def test_what_others_have_or_was_there_before_is_no_return(province):
    async def work(world):
        person, other = world.county, world.people[SECOND_COUNTY, "uploader"]
        token = await world.login(person)
        old = a_batch(world, person)
        assert await world.upload(person, token, old.SerializeToString())
        world.clock.turn(seconds=2)
        a_restore(world.home, world.clock.now_us())
        log = Former.of(world.home, COUNTY, person.unit, world.clock.now_us())
        receipt = log.receipt(old.items[0].device.device_id)
        await world.call(person, PRESENT, asking(receipt), token=token)
        # The same request id of another organisation is another batch.
        theirs = a_batch(world, other, request_id=receipt.request_id)
        assert await world.upload(other, await world.login(other), theirs.SerializeToString())
        assert (await listed(world, receipt.request_id)).still == 1

    province.run(work(province.world))
