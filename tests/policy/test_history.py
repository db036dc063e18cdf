"""A real log's decisions, asked again of a changed bundle."""

import pytest

from gateway.policy import bundle, cases, history
from gateway.policy.engine import Engine
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import a_receipt, kept_token, refused
from tests.policies import CEDAR, LOOSER, TIGHTER, changed
from tests.world import held

NO_UPLOADS = '\n@id("F91") @says("x") @says_zh("y") forbid (principal, action == Action::"UploadBatches", resource);\n'


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


def test_the_log_is_asked_again_in_pages(province, monkeypatch):
    async def work(world):
        monkeypatch.setattr(history, "PAGE", 2)
        token = await kept_token(world, world.county)
        for _ in range(3):
            await world.call(
                world.county,
                "/gateway.v1.IdentityService/WhoAmI",
                identity.WhoAmIRequest(),
                token=token,
            )
        await a_receipt(world)
        auditor = await kept_token(world, world.auditor)
        denied = world.call(
            world.auditor,
            "/gateway.v1.AdminService/ListOrganisations",
            admin.ListOrganisationsRequest(),
            token=auditor,
        )
        assert (await refused(denied)).reason == "ROLE_NOT_ALLOWED"
        conninfo = roles.conninfo(world.home, world.settings, "administration")
        database = await Database.open(conninfo, application="simulate", size=1)
        told = []
        new = Engine(bundle.of_files(changed(TIGHTER + LOOSER + NO_UPLOADS)))
        found = await history.simulate(
            database,
            new,
            [cases.load(CEDAR)],
            weak=world.settings.origin.allow_weak_origin,
            tell=lambda done, size: told.append((done, size)),
        )
        await database.close()
        line = "WhoAmI by uploader of 140105 on Session 140105: F90-quiet (3)"
        assert line in found.change.newly_denied
        # An upload is about its unit, which the leaf names.
        uploads = [one for one in found.change.newly_denied if one.startswith("UploadBatches ")]
        assert uploads == ["UploadBatches by uploader of 140105 on UnitRecords 1401050001: F91 (1)"]
        assert found.change.replayed >= 3
        assert found.change.not_replayed == sum(found.not_replayed.values())
        assert any(one.startswith("case: ") for one in found.change.newly_allowed)
        assert told[-1][0] == told[-1][1] > 2
        assert [done for done, _ in told] == sorted({done for done, _ in told})

    province.run(work(province.world))
