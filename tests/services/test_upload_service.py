import hashlib
import json

import pytest

from gateway.services.upload_service import receipt_field
from gateway.tlog import checkpoint, merkle, note, proof
from gateway.v1 import upload_service_pb2 as pb
from gateway.v1.types_pb2 import Device
from tests.coverage.rpcs import Watch, a_batch, new_id, refused
from tests.world import COUNTY

RECEIPT = "/gateway.v1.UploadService/GetReceipt"
QUARANTINE = "/gateway.v1.UploadService/ListQuarantine"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_a_receipt_is_framed_without_being_parsed(size):
    receipt = pb.BatchReceipt(leaf=bytes(size))
    framed = receipt_field(receipt.SerializeToString())
    assert framed == pb.UploadBatchesResponse(receipt=receipt).SerializeToString()
    assert pb.GetReceiptResponse.FromString(framed).receipt == receipt


def test_a_receipt_proves_the_batch(province):
    async def work(world):
        token = await world.login(world.county)
        raw = a_batch(world, world.county).SerializeToString()
        [reply] = await world.upload(world.county, token, raw)
        receipt = pb.UploadBatchesResponse.FromString(reply).receipt
        leaf = json.loads(receipt.leaf)
        assert leaf["commitment"] == hashlib.sha256(receipt.salt + raw).hexdigest()
        assert leaf["organisation"] == COUNTY
        assert leaf["account"] == "uploader"
        assert leaf["strength"] == "weak"
        assert leaf["policies"] == ["p01-upload"]
        found = proof.parse(receipt.proof)
        verifier = note.parse_vkey(world.home.log_key.read_text().strip())
        signed = checkpoint.open_checkpoint(found.checkpoint, [verifier], verifier.name)
        leaf_hash = merkle.leaf_hash(receipt.leaf)
        merkle.verify_inclusion(leaf_hash, found.index, signed.size, found.hashes, signed.root)
        assert [item.state for item in receipt.items] == [pb.ITEM_STATE_ACCEPTED]

    province.run(work(province.world))


def test_an_answer_says_when_the_certificate_ends_soon_and_the_receipt_stays_the_same(province):
    """The step of the ladder stands beside the receipt, never in it: the same batch gets the same receipt again."""

    async def work(world):
        person = world.other_county
        token = await world.login(person)
        raw = a_batch(world, person).SerializeToString()

        async def ends(days):
            ends_us = world.clock.now_us() + round(days * 86_400_000_000)
            world.sql(
                "UPDATE gateway.certificate SET not_before_us = %s, not_after_us = %s WHERE serial = %s",
                *(ends_us - 14 * 86_400_000_000, ends_us, person.serial),
            )
            world.sql("UPDATE gateway.epoch SET value = value + 1 WHERE name = 'revocation'")
            world.clock.turn(seconds=0.3)
            [reply] = await world.upload(person, token, raw)
            return pb.UploadBatchesResponse.FromString(reply)

        found = [await ends(days) for days in (13.9, 7.1, 6.9, 0.9, 13.9)]
        assert [one.certificate_warning_days for one in found] == [0, 0, 7, 1, 0]
        assert len({one.receipt.salt for one in found}) == 1
        assert all(one.receipt.items == found[0].receipt.items for one in found)

    province.run(work(province.world))


def test_a_receipt_again(province):
    async def work(world):
        token = await world.login(world.county)
        batch = a_batch(world, world.county)
        [reply] = await world.upload(world.county, token, batch.SerializeToString())
        first = pb.UploadBatchesResponse.FromString(reply).receipt
        request = pb.GetReceiptRequest(request_id=batch.request_id)
        watch = Watch(world)
        again = pb.GetReceiptResponse.FromString(
            await world.call(world.county, RECEIPT, request, token=token)
        ).receipt
        assert (again.leaf, again.salt, again.items) == (first.leaf, first.salt, first.items)
        assert (await watch.only_leaf())["request_id"] == batch.request_id
        [reply] = await world.upload(world.county, token, batch.SerializeToString())
        assert pb.UploadBatchesResponse.FromString(reply).receipt.leaf == first.leaf
        batch.client_version = "other"
        error = await refused(world.upload(world.county, token, batch.SerializeToString()))
        assert (error.code, error.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        stranger = await world.login(world.other_county)
        error = await refused(world.call(world.other_county, RECEIPT, request, token=stranger))
        assert (error.code, error.reason) == ("NOT_FOUND", "NOT_FOUND")
        request.request_id = new_id()
        assert (
            await refused(world.call(world.county, RECEIPT, request, token=token))
        ).reason == "NOT_FOUND"

    province.run(work(province.world))


def test_what_was_not_accepted_is_listed_without_its_content(province):
    async def work(world):
        token = await world.login(world.county)
        # A scanner of a unit that is not the sender's.
        items = [
            pb.Item(device=Device(device_id=f"x-{n}", unit_code="1402120001", type=1))
            for n in range(5)
        ]
        batch = a_batch(world, world.county, *items)
        [reply] = await world.upload(world.county, token, batch.SerializeToString())
        receipt = pb.UploadBatchesResponse.FromString(reply).receipt
        held = [
            item.index
            for item in receipt.items
            if item.state in (pb.ITEM_STATE_QUARANTINED, pb.ITEM_STATE_REJECTED)
        ]
        assert held == list(range(5))
        found, page_token = [], ""
        while True:
            request = pb.ListQuarantineRequest(
                page_size=2, page_token=page_token, unit_code=world.county.unit
            )
            page = pb.ListQuarantineResponse.FromString(
                await world.call(world.county, QUARANTINE, request, token=token)
            )
            found += [one.index for one in page.items if one.request_id == batch.request_id]
            page_token = page.next_page_token
            if not page_token:
                break
        assert found == held
        stranger = await world.login(world.other_county)
        page = pb.ListQuarantineResponse.FromString(
            await world.call(
                world.other_county, QUARANTINE, pb.ListQuarantineRequest(), token=stranger
            )
        )
        assert len(page.items) == 0

    province.run(work(province.world))
