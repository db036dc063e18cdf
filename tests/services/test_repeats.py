from gateway.services import repeats
from gateway.v1 import admin_service_pb2 as admin
from tests.coverage.rpcs import Watch, new_id, refused

CREATE = "/gateway.v1.AdminService/CreateSystem"


def test_the_same_again_and_another_under_the_same_id(province):
    async def work(world):
        token = await world.login(world.province_admin)
        request = admin.CreateSystemRequest(
            request_id=new_id(), organisation_code="140105", system_name="again"
        )
        first = await world.call(world.province_admin, CREATE, request, token=token)
        watch = Watch(world)
        assert await world.call(world.province_admin, CREATE, request, token=token) == first
        leaf = await watch.only_leaf()
        assert leaf["decision"] == "allow"
        assert len(leaf["detail"]["digest"]) == 64
        request.system_name = "other"
        watch = Watch(world)
        error = await refused(world.call(world.province_admin, CREATE, request, token=token))
        assert (error.code, error.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        assert (await watch.only_leaf())["reason"] == "REQUEST_ID_REUSED"
        assert not world.sql("SELECT 1 FROM gateway.system WHERE name = 'other'")
        request.request_id = new_id()
        await world.call(world.province_admin, CREATE, request, token=token)

    province.run(work(province.world))


def test_a_refused_request_may_be_mended_under_its_id(province):
    """Only what was done keeps its id: a refused message changed nothing."""

    async def work(world):
        token = await world.login(world.province_admin)
        request = admin.CreateSystemRequest(
            request_id=new_id(), organisation_code="140105", system_name="NO"
        )
        assert (
            await refused(world.call(world.province_admin, CREATE, request, token=token))
        ).reason == "FIELD_INVALID"
        request.system_name = "yes"
        await world.call(world.province_admin, CREATE, request, token=token)

    province.run(work(province.world))


def test_a_leaf_says_what_it_counted():
    assert repeats.count({"counts": {"certificates": 3}}, "certificates") == 3
    assert repeats.count({"counts": {}}, "certificates") == 0
    assert repeats.count({}, "certificates") == 0
