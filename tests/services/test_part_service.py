"""A side part is shown to whom its leaf may be shown, with a leaf of its own, and only as it was written."""

import pytest

from gateway.v1 import audit_service_pb2 as audit
from tests.coverage.rpcs import Watch, refused
from tests.parted import WORDS, a_part
from tests.services.test_audit_service import ask
from tests.world import CITY, OTHER_CITY


async def read(world, person, index):
    request = audit.GetSealedPartRequest(index=index)
    return await ask(world, person, "GetSealedPart", request, audit.GetSealedPartResponse)


def test_an_auditor_reads_what_was_typed(province, capsys):
    async def work(world):
        index, digest = a_part(world)
        await ask(world, world.auditor, "GetCheckpoint", audit.GetCheckpointRequest(), None)
        watch = Watch(world)
        assert (await read(world, world.auditor, index)).text == WORDS
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["decision"]) == ("audit.part", "allow")
        assert leaf["detail"] == {"part_index": index, "part_sha256": digest.hex()}
        # Whoever read it has no part of his own.
        assert "sealed" not in leaf
        assert "王小明" not in str(leaf)

    province.run(work(province.world))
    said = capsys.readouterr()
    assert "王小明" not in said.out + said.err


def test_a_citys_auditor_reads_its_own_part(province):
    async def work(world):
        own, _ = a_part(world, organisation=CITY)
        others, _ = a_part(world, organisation=OTHER_CITY)
        assert (await read(world, world.city_auditor, own)).text == WORDS
        assert (await refused(read(world, world.city_auditor, others))).reason == "POLICY_DENIED"

    province.run(work(province.world))


@pytest.mark.parametrize("index", [0, 10**9, 2**64 - 1])
def test_a_leaf_without_words_and_none(province, index):
    async def work(world):
        assert (await refused(read(world, world.auditor, index))).reason == "NOT_FOUND"

    province.run(work(province.world))
