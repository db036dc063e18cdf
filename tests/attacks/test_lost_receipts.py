"""Attacks on the record of what a restore lost: nobody puts on it what was not acknowledged to himself and lost."""

import io

import pytest

from gateway import log
from gateway.tlog import note
from gateway.v1 import upload_service_pb2 as pb
from tests.attacks.tried import tried
from tests.coverage.rpcs import Watch, a_batch, new_id, refused
from tests.former import KEPT, Former, a_restore, flipped
from tests.services.test_loss_service import PRESENT, asking
from tests.world import COUNTY, SECOND_COUNTY, World, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


class Scene:
    """A world that says it was restored, and the log that it had before."""

    def __init__(self, world: World) -> None:
        self.world = world
        a_restore(world.home, world.clock.now_us())
        self.log = self.former()

    def former(self, organisation: str = COUNTY) -> Former:
        world = self.world
        return Former.of(world.home, organisation, world.county.unit, world.clock.now_us())

    async def present(self, *receipts: pb.BatchReceipt, token: str) -> int:
        reply = await self.world.call(self.world.county, PRESENT, asking(*receipts), token=token)
        return pb.PresentLostReceiptsResponse.FromString(reply).added

    async def refused(self, receipt: pb.BatchReceipt, reason: str, process_log) -> dict:
        """Hold an attack to the rule; the next good receipt is taken. Return the attack's leaf."""
        token = await self.world.login(self.world.county)

        async def good() -> None:
            assert await self.present(self.former().receipt(new_id()), token=token) == 1

        names = [each.record_id for each in receipt.items if each.record_id]
        attack = self.present(receipt, token=token)
        _, leaf = await tried(
            self.world, attack, reason, secrets=[token, *names], process_log=process_log, then=good
        )
        return leaf


def other_log(scene: Scene, name: str | None = None) -> Former:
    signer = note.Signer(name or scene.log.signer.verifier.name, bytes(range(32)))
    now_us = scene.world.clock.now_us()
    return Former(signer, COUNTY, scene.world.county.unit, now_us, [b"kept"] * KEPT)


def forged(scene: Scene) -> pb.BatchReceipt:
    """Good but for one bit of the signature."""
    receipt = scene.log.receipt(new_id())
    receipt.proof = flipped(receipt.proof)
    return receipt


def invented(scene: Scene) -> pb.BatchReceipt:
    """Another leaf under the proof of a good receipt."""
    good, other = scene.log.receipt(new_id()), other_log(scene).receipt(new_id())
    other.proof = good.proof
    return other


def swollen(scene: Scene) -> pb.BatchReceipt:
    """More records than its leaf counts."""
    receipt = scene.log.receipt(new_id())
    receipt.items.add(index=1, record_id=new_id(), state=pb.ITEM_STATE_ACCEPTED)
    return receipt


def personal(scene: Scene) -> pb.BatchReceipt:
    """An identity number as a record's id: it would stand on a list."""
    return scene.log.receipt("11010519491231002X")


def no_upload(scene: Scene) -> pb.BatchReceipt:
    """A true leaf of this gateway, of another kind."""
    return scene.log.receipt(new_id(), kind="upload.receipt")


def denied(scene: Scene) -> pb.BatchReceipt:
    """A true leaf of an upload that was refused."""
    return scene.log.receipt(new_id(), decision="deny")


@pytest.mark.parametrize(
    ("attack", "cause"),
    [
        (forged, "signature-invalid"),
        (lambda scene: other_log(scene).receipt(new_id()), "signature-missing"),
        (lambda scene: other_log(scene, "other.test/audit").receipt(new_id()), None),
        (invented, None),
        (swollen, "items"),
        (personal, "items"),
        (no_upload, "leaf"),
        (denied, "leaf"),
    ],
    ids=["forged", "other-key", "other-gateway", "invented", "swollen", "personal", "no-upload", "denied"],
)  # fmt: skip
def test_what_this_gateway_never_acknowledged(province, process_log, attack, cause):
    """[attack] Forged, of another key, of another gateway, of no upload, of more than was taken."""

    async def work(world):
        scene = Scene(world)
        leaf = await scene.refused(attack(scene), "RECEIPT_INVALID", process_log)
        assert cause is None or leaf["detail"]["cause"] == cause

    province.run(work(province.world))


def test_another_organisations_receipt(province, process_log):
    """[attack] A neighbour's receipt, taken from his disk."""

    async def work(world):
        scene = Scene(world)
        theirs = scene.former(SECOND_COUNTY).receipt(new_id())
        await scene.refused(theirs, "RECEIPT_FOREIGN", process_log)

    province.run(work(province.world))


def test_what_was_kept_is_not_lost(province, process_log):
    """[attack] Receipts of the part that the restore kept, and of what was taken since, listed as lost."""

    async def work(world):
        scene = Scene(world)
        scene.log.leaves.clear()
        await scene.refused(scene.log.receipt(new_id()), "RECEIPT_KEPT", process_log)
        token = await world.login(world.county)
        [reply] = await world.upload(
            world.county, token, a_batch(world, world.county).SerializeToString()
        )
        fresh = pb.UploadBatchesResponse.FromString(reply).receipt
        await scene.refused(fresh, "RECEIPT_KEPT", process_log)

    province.run(work(province.world))


def test_replayed_and_in_floods_they_count_once(province):
    """[attack] The same receipt again and again, in one set and in many: one row, and a leaf for each call."""

    async def work(world):
        scene = Scene(world)
        token = await world.login(world.county)
        receipt = scene.log.receipt(new_id())
        count = "SELECT count(*) FROM gateway.lost_batch WHERE request_id::text = %s"
        assert await scene.present(*[receipt] * 64, token=token) == 1
        watch = Watch(world)
        for _ in range(20):
            assert await scene.present(receipt, token=token) == 0
        leaves = await watch.leaves()
        assert [leaf["counts"] for leaf in leaves] == [{"batches": 0}] * 20
        assert world.sql(count, receipt.request_id) == [(1,)]
        watch = Watch(world)
        error = await refused(
            world.call(world.county, PRESENT, asking(*[receipt] * 65), token=token)
        )
        assert error.reason == "FIELD_INVALID"
        assert (await watch.only_leaf())["reason"] == "FIELD_INVALID"
        assert await scene.present(scene.log.receipt(""), token=token) == 1

    province.run(work(province.world))
