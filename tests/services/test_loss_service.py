"""What a restore lost is on record by its receipts: once, all of a set or none, with one leaf."""

from gateway.v1 import upload_service_pb2 as pb
from tests.coverage.rpcs import Watch, a_batch, new_id, refused
from tests.former import Former, a_restore
from tests.world import COUNTY

PRESENT = "/gateway.v1.UploadService/PresentLostReceipts"


def asking(*receipts: pb.BatchReceipt, request_id: str = "") -> pb.PresentLostReceiptsRequest:
    return pb.PresentLostReceiptsRequest(request_id=request_id or new_id(), receipts=receipts)


def test_lost_batches_are_on_record_once(province):
    async def work(world):
        token = await world.login(world.county)
        a_restore(world.home, world.clock.now_us())
        log = Former.of(world.home, COUNTY, world.county.unit, world.clock.now_us())
        ids = [new_id() for _ in range(5)]
        receipts = [log.receipt(*ids[:2]), log.receipt(*ids[2:], "")]
        request = asking(*receipts)

        async def present(asked) -> tuple[int, dict]:
            watch = Watch(world)
            reply = await world.call(world.county, PRESENT, asked, token=token)
            return pb.PresentLostReceiptsResponse.FromString(reply).added, await watch.only_leaf()

        added, leaf = await present(request)
        assert added == 2
        assert (leaf["kind"], leaf["decision"]) == ("restore.loss", "allow")
        assert leaf["counts"] == {"batches": 2, "accepted": 6}
        assert set(leaf["detail"]) == {"digest", "statement_sha256"}
        assert not any(each in str(leaf) for each in ids)
        rows = world.sql(
            "SELECT request_id::text, records, unnamed FROM gateway.lost_batch"
            " WHERE organisation = %s AND request_id::text = ANY(%s) ORDER BY leaf_index",
            *(COUNTY, [each.request_id for each in receipts]),
        )
        assert rows == [
            (receipts[0].request_id, ids[:2], 0),
            (receipts[1].request_id, ids[2:], 1),
        ]
        # The same again, and with one more.
        assert (await present(request))[0] == 0
        added, leaf = await present(asking(*receipts, log.receipt("")))
        assert (added, leaf["counts"]) == (1, {"batches": 1, "accepted": 1})
        error = await refused(
            world.call(
                world.county, PRESENT, asking(log.receipt(""), request_id=request.request_id), token=token
            )
        )  # fmt: skip
        assert error.reason == "REQUEST_ID_REUSED"

    province.run(work(province.world))


def test_one_bad_receipt_spoils_its_set(province):
    async def work(world):
        token = await world.login(world.county)
        a_restore(world.home, world.clock.now_us())
        log = Former.of(world.home, COUNTY, world.county.unit, world.clock.now_us())
        good, bad = log.receipt(""), log.receipt("")
        bad.salt, bad.sequence = bytes(16), 1
        before = world.sql("SELECT count(*) FROM gateway.lost_batch")
        watch = Watch(world)
        error = await refused(world.call(world.county, PRESENT, asking(good, bad), token=token))
        assert error.reason == "RECEIPT_INVALID"
        leaf = await watch.only_leaf()
        assert (leaf["reason"], leaf["detail"]["cause"]) == ("RECEIPT_INVALID", "leaf")
        assert world.sql("SELECT count(*) FROM gateway.lost_batch") == before
        await world.call(world.county, PRESENT, asking(good), token=token)

    province.run(work(province.world))


def test_none_and_too_many_are_refused(province):
    async def work(world):
        token = await world.login(world.county)
        for count in (0, 65):
            asked = asking(*[pb.BatchReceipt()] * count)
            error = await refused(world.call(world.county, PRESENT, asked, token=token))
            assert error.reason == "FIELD_INVALID"
        [reply] = await world.upload(
            world.county, token, a_batch(world, world.county).SerializeToString()
        )
        assert reply

    province.run(work(province.world))
