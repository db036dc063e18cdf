"""Two officers put policies in force, and every door takes them at the next call."""

import pytest

from gateway.policy.proposing import Change
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import export_service_pb2 as export
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import Watch, kept_token, new_id, refused
from tests.exports.cast import Cast
from tests.policies import (
    LOOSER,
    SERVICE,
    SHIPPED,
    TIGHTER,
    approve,
    changed,
    in_force,
    proposed,
    signature,
)  # fmt: skip
from tests.sealed import officer
from tests.world import held

WHOAMI = "/gateway.v1.IdentityService/WhoAmI"


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


async def two(world):
    return await officer(world, "officer-a"), await officer(world, "officer-b")


async def shown(world, person):
    token = await kept_token(world, person)
    reply = await world.call(
        person, SERVICE + "GetPolicies", admin.GetPoliciesRequest(), token=token
    )
    return admin.GetPoliciesResponse.FromString(reply)


async def whoami(world):
    token = await kept_token(world, world.county)
    return await world.call(world.county, WHOAMI, identity.WhoAmIRequest(), token=token)


def test_two_officers_put_a_bundle_in_force_without_a_restart(province):
    async def work(world):
        first, second = await two(world)
        await whoami(world)
        before = await shown(world, first)
        found = await proposed(
            world,
            changed(f"{TIGHTER}// {new_id()}\n"),
            Change(newly_denied=("WhoAmI",), replayed=3),
        )
        [waiting] = [
            one
            for one in (await shown(world, second)).proposals
            if one.bundle.sha256 == found.bundle.sha256
        ]
        assert (waiting.number, waiting.bundle.sha256) == (before.number + 1, found.bundle.sha256)
        assert {one.name for one in waiting.bundle.files} >= {
            "schema.cedarschema",
            "01-floor.cedar",
        }
        assert (list(waiting.newly_denied), waiting.replayed_count) == (["WhoAmI"], 3)
        watch = Watch(world)
        assert not await approve(world, first, found)
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["detail"]["state"]) == ("policies.approve", "signed")
        assert leaf["detail"]["target_bundle"] == found.bundle.sha256
        told = (leaf["detail"]["activation"], leaf["detail"]["roles"])
        assert told == (before.number + 1, "security_officer")
        assert leaf["bundle"] == before.active.sha256
        world.clock.turn(seconds=121)
        for person in (second, world.county):
            await kept_token(world, person)
        watch = Watch(world)
        assert await approve(world, second, found)
        assert (await watch.only_leaf())["detail"]["state"] == "active"
        watch = Watch(world)
        error = await refused(whoami(world))
        assert (error.reason, (await watch.only_leaf())["policies"]) == (
            "POLICY_DENIED",
            ["f90-quiet"],
        )
        after = await shown(world, first)
        assert (after.number, after.active.sha256) == (before.number + 1, found.bundle.sha256)
        assert not after.proposals
        await in_force(world, first, second, SHIPPED)
        await whoami(world)

    province.run(work(province.world))


def test_the_same_officer_twice_and_too_soon(province):
    async def work(world):
        first, second = await two(world)
        # Not what another test has proposed and half signed.
        found = await proposed(world, changed(f"{TIGHTER}// {new_id()}\n"))
        await approve(world, first, found)
        for by, reason in ((first, "APPROVAL_SAME_PERSON"), (second, "APPROVAL_TOO_SOON")):
            await kept_token(world, by)
            watch = Watch(world)
            assert (await refused(approve(world, by, found))).reason == reason
            leaf = await watch.only_leaf()
            assert (leaf["decision"], leaf["reason"]) == ("deny", reason)
        world.clock.turn(seconds=121)
        assert await approve(world, second, found)
        await in_force(world, first, second, SHIPPED)

    province.run(work(province.world))


def test_a_loosening_waits_a_day(province):
    async def work(world):
        first, second = await two(world)
        found = await proposed(world, changed(LOOSER), Change(newly_allowed=("ListOrganisations",)))
        await approve(world, first, found)
        world.clock.turn(seconds=3600)
        assert (await refused(approve(world, second, found))).reason == "APPROVAL_TOO_SOON"
        world.clock.turn(seconds=23 * 3600)
        assert await approve(world, second, found)
        await in_force(world, first, second, SHIPPED)

    province.run(work(province.world))


def test_a_signature_counts_for_its_number_and_bundle_alone(province):
    async def work(world):
        first, second = await two(world)
        found = await proposed(world, changed())
        number, sha256 = found.number, found.bundle.sha256
        wrong = {
            "another number": signature(first, number + 1, sha256),
            "another bundle": signature(first, number, "00" * 32),
            "another's": signature(second, number, sha256),
            "nothing": b"",
            "noise": b"\x30" * 70,
            "too long": signature(first, number, sha256) + b"\0" * 20,
        }
        await kept_token(world, first)
        for what, signed in wrong.items():
            watch = Watch(world)
            error = await refused(approve(world, first, found, signed))
            assert error.reason == "APPROVAL_SIGNATURE", what
            assert (await watch.only_leaf())["reason"] == "APPROVAL_SIGNATURE", what
        assert not await approve(world, first, found)

    province.run(work(province.world))


def test_the_same_request_again_signs_once(province):
    async def work(world):
        first, second = await two(world)
        found = await proposed(world, changed(TIGHTER + "\n"))
        one, other = new_id(), new_id()
        signed = signature(first, found.number, found.bundle.sha256)
        assert not await approve(world, first, found, signed, request_id=one)
        watch = Watch(world)
        assert not await approve(world, first, found, signed, request_id=one)
        assert "activation" not in (await watch.only_leaf())["detail"], "it signs nothing more"
        world.clock.turn(seconds=121)
        signed = signature(second, found.number, found.bundle.sha256)
        assert await approve(world, second, found, signed, request_id=other)
        assert await approve(world, second, found, signed, request_id=other)
        await in_force(world, first, second, SHIPPED)

    province.run(work(province.world))


def test_unknown_or_no_digest(province):
    async def work(world):
        first, _ = await two(world)
        found = await proposed(world, changed(TIGHTER + "\n\n"))
        for sha256, reason in (
            ("00" * 32, "NOT_FOUND"),
            ("x", "FIELD_INVALID"),
            ("AA" * 32, "FIELD_INVALID"),
        ):
            assert (await refused(approve(world, first, found, sha256=sha256))).reason == reason

    province.run(work(province.world))


def test_the_rules_of_exports_come_into_force_by_two_signatures_and_by_no_file(cluster):
    """Caps, purposes and budgets are part of the bundle: what somebody writes into HOME is none."""

    async def work(world):
        cast = await Cast.open(world)
        first, second = await two(world)
        numbers = SHIPPED["exports.toml"].replace("child_cap = 20000", "child_cap = 400")
        path = world.home.policies / "cedar" / "exports.toml"
        before = path.read_text()
        path.write_text(numbers)
        try:
            assert (await cast.draft()).state == export.EXPORT_STATE_DRAFT
        finally:
            path.write_text(before)
        found = await proposed(world, {**SHIPPED, "exports.toml": numbers})
        assert not await approve(world, first, found)
        assert (await cast.draft()).state == export.EXPORT_STATE_DRAFT
        world.clock.turn(seconds=121)
        assert await approve(world, second, found)
        watch = Watch(world)
        error = await refused(cast.draft())
        assert (error.reason, cast.rules(error)) == ("FIELD_INVALID", {"EX-CHILDREN"})
        [leaf] = [one for one in await watch.leaves() if one["kind"] == "export.draft"]
        assert leaf["reason"] == "FIELD_INVALID"
        made = await cast.draft(child_cap_count=400)
        assert (await watch.leaves())[-1]["bundle"] == found.bundle.sha256
        assert made.state == export.EXPORT_STATE_DRAFT

    with held(cluster) as stands:
        stands.run(work(stands.world))
