"""A real log's decisions, asked again of a changed bundle; and the cases, whatever they are called."""

import pytest

from gateway.policy import bundle, cases, history
from gateway.policy.bundle import EXPORTS_FILE
from gateway.policy.engine import Engine
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import a_receipt, kept_token, refused
from tests.policies import CEDAR, LOOSER, SHIPPED, TIGHTER, changed
from tests.policy.test_activation import trust
from tests.world import held

NO_UPLOADS = '\n@id("F91") @says("x") @says_zh("y") forbid (principal, action == Action::"UploadBatches", resource);\n'


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


async def nothing(_leaf):
    """Nobody who knows tickets: what is about one is not found again."""
    return


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
            trust(world),
            new,
            cases.load(CEDAR),
            nothing,
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


def reusing(files):
    """A bundle that allows more, whose cases of the old names all ask for what nobody is denied."""
    names = [case.name for case in cases.of_files(files).case]
    lines = [
        f'[[case]]\nname = "{name}"\naction = "WhoAmI"\norganisation = "140105"\nroles = []\n'
        'resource = "Session"\nof = "140105"\nallowed = true\npolicies = ["P13-own-session"]\n'
        for name in names
    ]
    told = {name: text for name, text in files.items() if not name.startswith("cases/")}
    kept = {"cases/00-province.toml": files["cases/00-province.toml"]}
    return {**told, **kept, "cases/01.toml": "\n".join(lines)}


async def simulated(world, files):
    conninfo = roles.conninfo(world.home, world.settings, "administration")
    database = await Database.open(conninfo, application="simulate", size=1)
    try:
        return await history.simulate(
            database,
            trust(world),
            Engine(bundle.of_files(files)),
            cases.of_files(files),
            nothing,
            weak=world.settings.origin.allow_weak_origin,
            tell=lambda _done, _size: None,
        )
    finally:
        await database.close()


def test_a_bundle_that_reuses_the_cases_names_hides_no_loosening(province):
    """Each of its own cases comes out as before; those of the bundle in force are asked all the same."""

    async def work(world):
        files = reusing(changed(LOOSER))
        plain = await simulated(world, changed(LOOSER))
        hidden = await simulated(world, files)
        opened = [one for one in plain.change.newly_allowed if one.startswith("case: ")]
        assert opened
        assert set(opened) <= set(hidden.change.newly_allowed)

    province.run(work(province.world))


def test_a_number_of_exports_that_opens_is_newly_allowed(province):
    async def work(world):
        files = {
            **SHIPPED,
            EXPORTS_FILE: SHIPPED[EXPORTS_FILE]
            .replace("child_cap = 20000", "child_cap = 20001")
            .replace("window_days = 7", "window_days = 6"),
        }
        found = await simulated(world, files)
        assert found.change.newly_allowed == ("exports.toml: plan.child_cap: 20000 -> 20001",)
        assert found.change.newly_denied == ("exports.toml: plan.window_days: 7 -> 6",)

    province.run(work(province.world))
