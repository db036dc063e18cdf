import hmac
import json

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.audit import subjects
from gateway.store import tag_keys
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


CHILD, SIBLING = "140105202600000012", "140105202600000013"
QUARTER_US = 95 * 86_400 * 1_000_000


def tag_of(world, code, quarter):
    return hmac.digest(tag_keys.load(world.home, quarter), code.encode(), "sha256")[:16].hex()


def test_leaves_about_a_child_are_found_by_its_tag_alone(province, capsys):
    """A search for a child is about it too, so that one can ask who asked; its code is nowhere."""

    async def work(world):
        await kept_token(world, world.auditor)
        watch = Watch(world)
        await search(world, world.auditor, child_code=SIBLING)
        before = await search(world, world.auditor, child_code=CHILD)
        again = await search(world, world.auditor, child_code=CHILD, kind="audit.search")
        leaves = await watch.leaves()
        this = tag_keys.quarter_of(leaves[0]["time_us"])
        tags = [tag_of(world, code, this) for code in (SIBLING, CHILD, CHILD)]
        assert [leaf["subject_tag"] for leaf in leaves] == tags
        assert [one.index for one in again.leaves][:1] == [leaves[1]["index"]]
        assert len(again.leaves) == len(before.leaves) + 1
        assert not (await search(world, world.auditor, child_code=CHILD, kind="x")).leaves
        rows = world.sql("SELECT leaf FROM gateway.audit_entry")
        key = tag_keys.load(world.home, this)
        for secret in (CHILD.encode(), key, key.hex().encode()):
            assert not [leaf for (leaf,) in rows if secret in bytes(leaf)]
        return key.hex()

    key = province.run(work(province.world))
    said = capsys.readouterr()
    assert CHILD not in said.out + said.err
    assert key not in said.out + said.err


def test_a_child_is_its_code_and_nothing_else(province):
    async def work(world):
        watch = Watch(world)
        for code in ("1", "14010520260000001X", "王小明", f"{CHILD} "):
            error = await refused(search(world, world.auditor, child_code=code))
            assert error.reason == "FIELD_INVALID"
        # Of a city's auditor the child is judged as any search of its: within its part of the log.
        person = world.city_auditor
        error = await refused(search(world, person, child_code=CHILD))
        assert error.reason == "POLICY_DENIED"
        assert not [leaf for leaf in await watch.leaves() if "subject_tag" in leaf]
        await search(world, person, child_code=CHILD, organisation_code=CITY)

    province.run(work(province.world))


def test_a_quarter_whose_key_is_lost_is_told(province, monkeypatch):
    """Not forgotten by anybody: what is found is not all, and is not said to be."""

    async def work(world):
        whole = await search(world, world.auditor, child_code=CHILD)
        now_us = world.clock.now_us()
        [(first_us,)] = world.sql("SELECT min(time_us) FROM gateway.audit_entry")
        early = first_us - QUARTER_US
        lost = [tag_keys.quarter_of(early), tag_keys.quarter_of(now_us)]
        monkeypatch.setattr(subjects, "_SPAN", f"SELECT {early}::bigint, {now_us}::bigint")
        again = await search(world, world.auditor, child_code=CHILD)
        assert lost[0] in again.unknown_quarters
        assert lost[1] not in again.unknown_quarters
        assert again.forgotten_quarters == whole.forgotten_quarters
        # Without a child nothing is lost.
        assert not (await search(world, world.auditor)).unknown_quarters

    province.run(work(province.world))


def test_a_quarter_that_is_forgotten_is_found_no_more_and_told(province):
    async def work(world):
        now_us, first = world.clock.now_us(), tag_keys.quarter_of(world.clock.now_us())
        await search(world, world.auditor, child_code=CHILD)
        found = await search(world, world.auditor, child_code=CHILD)
        assert (len(found.leaves) > 0, found.forgotten_quarters[:]) == (True, [])
        path = tag_keys.path(world.home, first)
        key = path.read_bytes()
        try:
            tag_keys.forget(world.home, first, now_us + QUARTER_US)
            watch = Watch(world)
            error = await refused(search(world, world.auditor, child_code=CHILD))
            # This quarter is not over: without its key nothing about a child can be recorded.
            assert error.code == "INTERNAL"
            leaf = await watch.only_leaf()
            assert (leaf["reason"], "subject_tag" in leaf) == ("INTERNAL", False)
        finally:
            path.write_bytes(key)
        gone = tag_keys.path(world.home, "2001Q3")
        gone.write_bytes(b"")
        try:
            again = await search(world, world.auditor, child_code=CHILD)
            assert again.forgotten_quarters == ["2001Q3"]
            assert again.unknown_quarters == found.unknown_quarters
            assert {one.index for one in found.leaves} < {one.index for one in again.leaves}
        finally:
            gone.unlink()

    province.run(work(province.world))


def test_the_door_has_the_keys_of_this_quarter_and_the_next(province):
    async def work(world):
        this = tag_keys.quarter_of(world.clock.now_us())
        assert {this, tag_keys.following(this)} <= {*tag_keys.kept(world.home)}

    province.run(work(province.world))
