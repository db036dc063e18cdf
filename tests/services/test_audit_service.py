import json

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.tlog import checkpoint, merkle, note, proof
from gateway.v1 import audit_service_pb2 as audit
from gateway.v1 import identity_service_pb2 as identity
from gateway.vpn.origin import Origin
from tests.coverage.rpcs import WHOAMI, Watch, kept_token, refused
from tests.world import CITY, COUNTY, OTHER_CITY, OTHER_COUNTY

SERVICE = "/gateway.v1.AuditService/"


async def ask(world, person, name, request, response):
    token = await kept_token(world, person)
    reply = await world.call(person, SERVICE + name, request, token=token)
    return reply if response is None else response.FromString(reply)


async def search(world, person, **filters):
    request = audit.SearchLeavesRequest(**filters)
    return await ask(world, person, "SearchLeaves", request, audit.SearchLeavesResponse)


def verifier(world):
    return note.parse_vkey(world.home.log_key.read_text().strip())


def test_search(province):
    async def work(world):
        await world.login(world.county)
        await refused(world.login(world.county, "wrong"))
        found = await search(world, world.auditor, reason="LOGIN_FAILED", organisation_code=COUNTY)
        leaf = json.loads(found.leaves[0].leaf)
        assert leaf["kind"] == "identity.login"
        assert world.leaves(found.leaves[0].index)[0]["time_us"] == leaf["time_us"]
        moment = Timestamp()
        moment.FromMicroseconds(leaf["time_us"])
        later = await search(
            world, world.auditor, from_time=moment, kind="identity.login", decision="deny"
        )
        assert found.leaves[0] in later.leaves
        before = await search(world, world.auditor, until_time=moment, decision="deny")
        assert all(json.loads(one.leaf)["time_us"] < leaf["time_us"] for one in before.leaves)
        one = await search(world, world.auditor, request_id=leaf["request_id"])
        assert len(one.leaves) == 1
        watch = Watch(world)
        await search(world, world.auditor)
        own = await watch.only_leaf()
        assert own["kind"] == "audit.search"
        assert own["counts"] == {"leaves": min(own["index"], 50)}

    province.run(work(province.world))


def test_pages_of_the_log_are_not_shifted_by_what_comes_in(province):
    async def work(world):
        seen, token = [], ""
        size = world.size()
        while True:
            page = await search(
                world, world.auditor, page_size=3, page_token=token, until_time=None
            )
            seen += [one.index for one in page.leaves]
            token = page.next_page_token
            if not token:
                break
        assert seen == list(range(seen[0], -1, -1))
        assert seen[0] >= size - 1

    province.run(work(province.world))


def test_a_citys_auditor_sees_its_part(province):
    async def work(world):
        person = world.city_auditor
        await kept_token(world, person)
        await search(world, person, organisation_code=COUNTY)
        for filters in ({}, {"organisation_code": OTHER_CITY}, {"organisation_code": "999999"}):
            assert (await refused(search(world, person, **filters))).reason == "POLICY_DENIED"
        await world.login(world.county)
        [mine] = [leaf["index"] for leaf in world.leaves() if leaf.get("organisation") == COUNTY][
            -1:
        ]
        await ask(world, person, "GetLeaf", audit.GetLeafRequest(index=mine), audit.GetLeafResponse)
        watch = Watch(world)
        for index in (0, 10**9, 2**64 - 1):
            request = audit.GetLeafRequest(index=index)
            assert (
                await refused(ask(world, person, "GetLeaf", request, None))
            ).reason == "POLICY_DENIED"
        assert {leaf["reason"] for leaf in await watch.leaves()} == {"POLICY_DENIED"}
        assert [leaf for leaf in world.leaves() if leaf.get("organisation") == CITY]

    province.run(work(province.world))


def test_who_came_through_a_citys_tunnel_is_found_by_its_auditor_too(province):
    async def work(world):
        stranger, person = world.people[OTHER_COUNTY, "uploader"], world.city_auditor
        token = await kept_token(world, stranger)
        await kept_token(world, person)
        origin = Origin(CITY, "listen/127.0.0.9", "static", "weak", "127.0.0.9")
        call = world.call(stranger, WHOAMI, identity.WhoAmIRequest(), token=token, origin=origin)
        assert (await refused(call)).reason == "ORIGIN_MISMATCH"
        found = await search(world, person, organisation_code=CITY, reason="ORIGIN_MISMATCH")
        [leaf] = found.leaves
        told = json.loads(leaf.leaf)
        assert (told["organisation"], told["detail"]["target_organisation"]) == (OTHER_COUNTY, CITY)
        request = audit.GetLeafRequest(index=leaf.index)
        answer = await ask(world, person, "GetLeaf", request, audit.GetLeafResponse)
        assert answer.leaf.leaf == leaf.leaf
        # Nothing else of the stranger's is shown.
        others = [one["index"] for one in world.leaves() if one.get("organisation") == OTHER_COUNTY]
        for index in set(others) - {leaf.index}:
            request = audit.GetLeafRequest(index=index)
            error = await refused(ask(world, person, "GetLeaf", request, None))
            assert error.reason == "POLICY_DENIED"
        assert len(others) > 1

    province.run(work(province.world))


def test_a_leaf_and_its_proof(province):
    async def work(world):
        for index in (0, 1, world.size() - 1):
            request = audit.GetLeafRequest(index=index)
            answer = await ask(world, world.auditor, "GetLeaf", request, audit.GetLeafResponse)
            found = proof.parse(answer.proof)
            assert found.index == answer.leaf.index == index
            signed = checkpoint.open_checkpoint(
                found.checkpoint, [verifier(world)], verifier(world).name
            )
            leaf_hash = merkle.leaf_hash(answer.leaf.leaf)
            merkle.verify_inclusion(leaf_hash, index, signed.size, found.hashes, signed.root)
        error = await refused(
            ask(world, world.auditor, "GetLeaf", audit.GetLeafRequest(index=10**9), None)
        )
        assert (error.code, error.reason) == ("NOT_FOUND", "NOT_FOUND")

    province.run(work(province.world))


def test_checkpoints_and_consistency_are_for_everyone(province):
    async def work(world):
        old = await ask(
            world,
            world.county,
            "GetCheckpoint",
            audit.GetCheckpointRequest(),
            audit.GetCheckpointResponse,
        )
        first = checkpoint.open_checkpoint(old.checkpoint, [verifier(world)], verifier(world).name)
        await world.login(world.county)
        request = audit.GetConsistencyProofRequest(old_size=first.size)
        answer = await ask(
            world, world.county, "GetConsistencyProof", request, audit.GetConsistencyProofResponse
        )
        second = checkpoint.open_checkpoint(
            answer.checkpoint, [verifier(world)], verifier(world).name
        )
        assert second.size == answer.new_size > first.size
        merkle.verify_consistency(first.size, second.size, answer.hashes, first.root, second.root)
        between = audit.GetConsistencyProofRequest(old_size=1, new_size=first.size)
        answer = await ask(
            world, world.county, "GetConsistencyProof", between, audit.GetConsistencyProofResponse
        )
        assert answer.checkpoint == ""
        for wrong in ((2, 1), (1, 10**12), (10**12, 0)):
            request = audit.GetConsistencyProofRequest(old_size=wrong[0], new_size=wrong[1])
            assert (
                await refused(ask(world, world.county, "GetConsistencyProof", request, None))
            ).reason == "FIELD_INVALID"

    province.run(work(province.world))
