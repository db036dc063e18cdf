"""What an officer is shown of break-glass: how it stands, and everything that an opening's session touched."""

import pytest

from gateway.v1 import admin_service_pb2 as admin
from tests.coverage.rpcs import kept_token, new_id, refused
from tests.sealed import OFFICERS, seal
from tests.services.test_register_service import ask
from tests.world import COUNTY, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


async def shown(world, person=None):
    request = admin.GetBreakGlassRequest()
    by = person or world.province_admin
    return await ask(world, by, "GetBreakGlass", request, admin.GetBreakGlassResponse)


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
        assert one.reason == "both administrators are locked out"
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


def test_it_is_the_provinces_alone(province):
    async def work(world):
        await kept_token(world, world.city_admin)
        assert (await refused(shown(world, world.city_admin))).reason == "POLICY_DENIED"

    province.run(work(province.world))
