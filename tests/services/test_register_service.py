from gateway.v1 import admin_service_pb2 as admin
from gateway.v1.types_pb2 import Date, Unit
from tests.coverage.rpcs import Watch, kept_token, new_id, refused
from tests.world import CITY, COUNTY, OTHER_CITY, OTHER_COUNTY, PROVINCE, SECOND_COUNTY, UNITS

SERVICE = "/gateway.v1.AdminService/"


async def ask(world, person, name, request, response):
    token = await kept_token(world, person)
    reply = await world.call(person, SERVICE + name, request, token=token)
    return reply if response is None else response.FromString(reply)


def organisation(code, parent, **changes):
    fields = {
        "organisation_code": code,
        "name": "name",
        "kind": 3,
        "parent_organisation_code": parent,
        **changes,
    }
    return admin.CreateOrganisationRequest(
        request_id=new_id(), organisation=admin.Organisation(**fields)
    )


def test_organisations(province):
    async def work(world):
        person = world.province_admin
        await kept_token(world, person)
        watch = Watch(world)
        made = await ask(
            world,
            person,
            "CreateOrganisation",
            organisation("140121", CITY),
            admin.CreateOrganisationResponse,
        )
        assert made.organisation.state == admin.Organisation.STATE_ACTIVE
        [leaf] = [
            leaf for leaf in await watch.leaves() if leaf["kind"] == "admin.organisation.create"
        ]
        assert leaf["detail"]["target_organisation"] == "140121"
        assert leaf["policies"] == ["p10-administer"]
        listed = await ask(
            world,
            person,
            "ListOrganisations",
            admin.ListOrganisationsRequest(),
            admin.ListOrganisationsResponse,
        )
        codes = [one.organisation_code for one in listed.organisations]
        assert codes == sorted(codes)
        assert {PROVINCE, CITY, OTHER_CITY, COUNTY, OTHER_COUNTY, "140121"} <= set(codes)
        error = await refused(
            ask(world, person, "CreateOrganisation", organisation("140121", OTHER_CITY), None)
        )
        assert (error.code, error.reason) == ("ALREADY_EXISTS", "ALREADY_EXISTS")
        error = await refused(
            ask(world, person, "CreateOrganisation", organisation("14012", CITY), None)
        )
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
        # Below a parent that is not registered nobody may put anything.
        error = await refused(
            ask(world, person, "CreateOrganisation", organisation("140122", "149999"), None)
        )
        assert error.reason == "POLICY_DENIED"

    province.run(work(province.world))


def test_a_city_administers_itself_and_what_is_below(province):
    async def work(world):
        person = world.city_admin
        await kept_token(world, person)
        listed = await ask(
            world,
            person,
            "ListOrganisations",
            admin.ListOrganisationsRequest(),
            admin.ListOrganisationsResponse,
        )
        assert all(one.organisation_code.startswith("1401") for one in listed.organisations)
        await ask(
            world,
            person,
            "CreateOrganisation",
            organisation("140123", CITY),
            admin.CreateOrganisationResponse,
        )
        watch = Watch(world)
        for request, name in (
            (organisation("140213", OTHER_CITY), "CreateOrganisation"),
            (organisation("140300", PROVINCE, kind=2), "CreateOrganisation"),
            (
                admin.CreateSystemRequest(
                    request_id=new_id(), organisation_code=OTHER_COUNTY, system_name="x"
                ),
                "CreateSystem",
            ),
            (admin.ListUnitsRequest(organisation_code=OTHER_CITY), "ListUnits"),
            (
                admin.RegisterUnitsRequest(
                    request_id=new_id(), units=[unit("1402120002", OTHER_COUNTY)]
                ),
                "RegisterUnits",
            ),
            # A unit of another city's cannot be drawn over to one's own.
            (
                admin.RegisterUnitsRequest(
                    request_id=new_id(), units=[unit(UNITS[OTHER_COUNTY], COUNTY)]
                ),
                "RegisterUnits",
            ),
        ):
            assert (
                await refused(ask(world, person, name, request, None))
            ).reason == "POLICY_DENIED"
        assert {leaf["reason"] for leaf in await watch.leaves()} == {"POLICY_DENIED"}

    province.run(work(province.world))


def test_organisations_by_pages(province):
    async def work(world):
        person, codes, token = world.province_admin, [], ""
        for _ in range(20):
            request = admin.ListOrganisationsRequest(page_size=2, page_token=token)
            page = await ask(
                world, person, "ListOrganisations", request, admin.ListOrganisationsResponse
            )
            assert len(page.organisations) <= 2
            codes += [one.organisation_code for one in page.organisations]
            token = page.next_page_token
            if not token:
                break
        assert codes == sorted(set(codes))
        assert len(codes) == len(world.sql("SELECT code FROM gateway.organisation"))

    province.run(work(province.world))


def test_a_suspended_organisation_and_back(province):
    async def work(world):
        person = world.province_admin
        await kept_token(world, person)

        def request(state, code=OTHER_COUNTY, reason="a reason"):
            return admin.SetOrganisationStateRequest(
                request_id=new_id(), organisation_code=code, state=state, reason=reason
            )

        watch = Watch(world)
        found = await ask(
            world, person, "SetOrganisationState", request(2), admin.SetOrganisationStateResponse
        )
        assert found.organisation.state == 2
        leaf = await watch.only_leaf()
        assert leaf["detail"]["state"] == "suspended"
        assert leaf["detail"]["target_organisation"] == OTHER_COUNTY
        assert "a reason" not in str(leaf)
        await ask(
            world, person, "SetOrganisationState", request(1), admin.SetOrganisationStateResponse
        )
        for wrong in (request(0), request(3), request(2, PROVINCE), request(2, reason="")):
            error = await refused(ask(world, person, "SetOrganisationState", wrong, None))
            assert error.reason == "FIELD_INVALID"
        # An organisation that does not exist stands nowhere: whether it exists is not told.
        error = await refused(
            ask(world, person, "SetOrganisationState", request(1, "149999"), None)
        )
        assert error.reason == "POLICY_DENIED"

    province.run(work(province.world))


def unit(code, organisation_code, **changes):
    fields = {
        "unit_code": code,
        "name": "a unit",
        "division_code": code[:6],
        "level": Unit.LEVEL_VACCINATION_UNIT,
        "organisation_code": organisation_code,
        "active_from_date": Date(year=2024, month=1, day=1),
        **changes,
    }
    return Unit(**fields)


def test_units(province):
    async def work(world):
        person = world.city_admin
        await kept_token(world, person)
        until = Date(year=2030, month=12, day=31)
        given = [
            unit("1401050007", COUNTY, active_until_date=until),
            unit("1401060007", SECOND_COUNTY, parent_unit_code=UNITS[CITY]),
        ]
        request = admin.RegisterUnitsRequest(request_id=new_id(), units=given)
        watch = Watch(world)
        answer = await ask(world, person, "RegisterUnits", request, admin.RegisterUnitsResponse)
        assert answer.registered_count == 2
        assert (await watch.only_leaf())["counts"] == {"units": 2}
        listed = await ask(
            world, person, "ListUnits", admin.ListUnitsRequest(), admin.ListUnitsResponse
        )
        assert [one for one in listed.units if one.unit_code.endswith("7")] == given
        below = admin.ListUnitsRequest(organisation_code=COUNTY, page_size=1)
        page = await ask(world, person, "ListUnits", below, admin.ListUnitsResponse)
        assert [one.unit_code for one in page.units] == [UNITS[COUNTY]]
        below.page_token = page.next_page_token
        page = await ask(world, person, "ListUnits", below, admin.ListUnitsResponse)
        assert [one.unit_code for one in page.units] == ["1401050007"]
        assert not page.next_page_token
        wrong = admin.RegisterUnitsRequest(
            request_id=new_id(), units=[unit("1401050008", COUNTY, active_from_date=Date())]
        )
        error = await refused(ask(world, person, "RegisterUnits", wrong, None))
        assert error.reason == "FIELD_INVALID"
        none = admin.RegisterUnitsRequest(request_id=new_id())
        assert (
            await refused(ask(world, person, "RegisterUnits", none, None))
        ).reason == "FIELD_INVALID"

    province.run(work(province.world))


def test_systems(province):
    async def work(world):
        person = world.province_admin
        await kept_token(world, person)
        request = admin.CreateSystemRequest(
            request_id=new_id(), organisation_code=COUNTY, system_name="lab", officer=True
        )
        watch = Watch(world)
        answer = await ask(world, person, "CreateSystem", request, admin.CreateSystemResponse)
        assert answer.spiffe_id == "spiffe://gateway.invalid/org/140105/officer/lab"
        assert (await watch.only_leaf())["detail"].items() >= {
            ("target_organisation", COUNTY),
            ("target_subject_kind", "officer"),
            ("target_subject_name", "lab"),
        }

    province.run(work(province.world))
