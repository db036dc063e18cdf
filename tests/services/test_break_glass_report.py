"""What an officer is shown of break-glass: how it stands, and everything that an opening's session touched."""

import pytest

from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import audit_service_pb2 as audit
from tests import sealed_rows
from tests.coverage.rpcs import kept_token, new_id, refused
from tests.sealed import OFFICERS, seal
from tests.sealed import ask as asked
from tests.services.test_register_service import ask
from tests.world import COUNTY, held


@pytest.fixture
def province(cluster):
    with held(cluster) as stands:
        yield stands


async def shown(world, person=None):
    request = admin.GetBreakGlassRequest()
    by = person or world.province_admin
    return await ask(world, by, "GetBreakGlass", request, admin.GetBreakGlassResponse)


async def words_of(world, one, opening):
    """What an auditor reads beside the leaf that an opening's report names."""
    assert not one.reason
    leaf = world.leaves(0)[one.reason_leaf_index]
    assert (leaf["kind"], leaf["request_id"]) == ("breakglass.open", opening)
    request = audit.GetSealedPartRequest(index=one.reason_leaf_index)
    service = "/gateway.v1.AuditService/GetSealedPart"
    token = await kept_token(world, world.auditor)
    answer = await world.call(world.auditor, service, request, token=token)
    return audit.GetSealedPartResponse.FromString(answer).text


def test_from_never_sealed_to_a_drill(province):
    async def work(world):
        assert (await shown(world)).state == "never-sealed"
        sealed = await seal(world, codes=OFFICERS[:2])
        found = await shown(world)
        assert (found.state, found.unspent_envelopes) == ("sealed", 2)
        assert [(one.name, one.registered) for one in found.officers] == [
            *zip(OFFICERS, (True, True, False), strict=True)
        ]
        sealed = await seal(world)
        opening = await sealed.open()
        assert ((await shown(world)).state, (await shown(world)).unspent_envelopes) == (
            "waiting",
            1,
        )
        for name in OFFICERS[1:]:
            await sealed.confirm(opening, name)
        token = await sealed.enter(opening)
        assert (await shown(world)).state == "open"
        request = admin.UnlockAccountRequest(
            request_id=new_id(), organisation_code=COUNTY, account_name="uploader", reason="locked"
        )
        service = "/gateway.v1.AdminService/"
        await world.call(sealed.opener, service + "UnlockAccount", request, token=token)
        refusal = world.call(
            sealed.opener, service + "ListAccounts", admin.ListAccountsRequest(), token=token
        )
        assert (await refused(refusal)).reason == "ROLE_NOT_ALLOWED"
        # Somebody else's work of the same minute is not told.
        await ask(world, world.province_admin, "ListAccounts", admin.ListAccountsRequest(), None)
        await sealed.close(opening, token)
        found = await shown(world)
        assert found.state == "void"
        [one] = found.openings
        assert (one.opening_id, one.opener_name, one.ticket) == (opening, "opener", "OPS-17")
        assert await words_of(world, one, opening) == sealed.asking().reason
        assert list(one.confirmer_names) == list(OFFICERS[1:])
        assert [(act.kind, act.decision, act.reason) for act in one.acts] == [
            ("breakglass.enter", "allow", ""),
            ("admin.account.unlock", "allow", ""),
            ("admin.account.list", "deny", "ROLE_NOT_ALLOWED"),
            ("breakglass.close", "allow", ""),
        ]
        assert one.acts[1].target == f"{COUNTY} uploader"
        assert not found.HasField("last_drill_time")
        sealed = await seal(world)
        opening, token = await sealed.entered(drill=True)
        await sealed.close(opening, token)
        found = await shown(world)
        assert found.openings[0].drill
        assert found.last_drill_time == found.openings[0].open_time

    province.run(work(province.world))


def test_the_reason_stands_in_no_row_and_an_older_gateways_is_still_shown(province):
    async def work(world):
        sealed = await seal(world)
        opening = await sealed.open()
        rows = "SELECT reason FROM gateway.break_glass_opening WHERE id = %s"
        assert world.sql(rows, opening) == [(None,)]
        old = sealed_rows.opening(world, "second")
        [one] = (await shown(world)).openings
        assert (one.opening_id, one.reason) == (old, "locked out")
        assert not one.HasField("reason_leaf_index")

    province.run(work(province.world))


def test_whose_answer_was_lost_asks_again_and_the_first_leaf_is_told(province):
    async def work(world):
        sealed = await seal(world)
        request, begin = sealed.asking(), world.size()
        for _ in range(2):
            await asked(world, sealed.opener, "OpenBreakGlass", request)
        first, again = (one for one in world.leaves(begin) if one["kind"] == "breakglass.open")
        assert first["sealed"] != again["sealed"]
        [one] = (await shown(world)).openings
        assert world.leaves(0)[one.reason_leaf_index] == first

    province.run(work(province.world))


def test_it_is_the_provinces_alone(province):
    async def work(world):
        await kept_token(world, world.city_admin)
        assert (await refused(shown(world, world.city_admin))).reason == "POLICY_DENIED"

    province.run(work(province.world))
