from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import UPLOAD, Watch, a_batch, kept_token, new_id, refused
from tests.services.test_register_service import ask
from tests.world import COUNTY, OTHER_COUNTY, PROVINCE

LOGIN = "/gateway.v1.IdentityService/Login"
CHANGE = "/gateway.v1.IdentityService/ChangePassword"


def account(name="clerk", organisation=COUNTY, roles=(1,), system="uploader"):
    return admin.CreateAccountRequest(
        request_id=new_id(),
        organisation_code=organisation,
        account_name=name,
        roles=roles,
        system_name=system,
    )


def test_from_a_one_time_password_to_an_upload(province):
    async def work(world):
        person = world.province_admin
        await kept_token(world, person)
        watch = Watch(world)
        made = await ask(world, person, "CreateAccount", account(), admin.CreateAccountResponse)
        leaf = (await watch.leaves())[-1]
        assert leaf["detail"].items() >= {
            ("target_organisation", COUNTY),
            ("target_account", "clerk"),
        }
        assert made.one_time_password not in str(leaf)
        login = identity.LoginRequest(account_name="clerk", password=made.one_time_password)
        opened = identity.LoginResponse.FromString(await world.call(world.county, LOGIN, login))
        assert opened.password_state == identity.PASSWORD_STATE_MUST_CHANGE
        batch = a_batch(world, world.county).SerializeToString()
        error = await refused(world.upload(world.county, opened.access_token, batch))
        assert error.reason == "PASSWORD_MUST_CHANGE"
        new = "Copper-Lantern-Drifts-61"
        change = identity.ChangePasswordRequest(
            request_id=new_id(), old_password=made.one_time_password, new_password=new
        )
        reply = await world.call(world.county, CHANGE, change, token=opened.access_token)
        changed = identity.ChangePasswordResponse.FromString(reply)
        assert await world.upload(world.county, changed.access_token, batch)
        world.clock.turn(seconds=0.3)
        error = await refused(world.upload(world.county, opened.access_token, batch))
        assert error.reason == "SESSION_UNKNOWN"

    province.run(work(province.world))


def test_a_lost_answer_is_answered_with_a_fresh_password(province):
    async def work(world):
        person, request = world.province_admin, account("lost")
        first = await ask(world, person, "CreateAccount", request, admin.CreateAccountResponse)
        again = await ask(world, person, "CreateAccount", request, admin.CreateAccountResponse)
        assert again.one_time_password != first.one_time_password
        for password, good in ((first.one_time_password, False), (again.one_time_password, True)):
            call = world.call(
                world.county, LOGIN, identity.LoginRequest(account_name="lost", password=password)
            )
            if good:
                await call
            else:
                assert (await refused(call)).reason == "LOGIN_FAILED"
        other = account("lost")
        assert (
            await refused(ask(world, person, "CreateAccount", other, None))
        ).reason == "ALREADY_EXISTS"

    province.run(work(province.world))


def test_what_is_no_account(province):
    async def work(world):
        person = world.province_admin
        await kept_token(world, person)
        for wrong in (
            account("X"),
            account(roles=()),
            account(roles=(0,)),
            account(roles=(99,)),
            account(roles=(1, 2)),
            account(system="nobody"),
            account("boss", roles=(3,)),
        ):
            error = await refused(ask(world, person, "CreateAccount", wrong, None))
            assert error.reason == "FIELD_INVALID", wrong
        foreign = account("x-y-z", OTHER_COUNTY)
        assert (
            await refused(ask(world, world.city_admin, "CreateAccount", foreign, None))
        ).reason == "POLICY_DENIED"

    province.run(work(province.world))


def test_a_reset_ends_the_sessions(province):
    async def work(world):
        person = world.province_admin
        await kept_token(world, person)
        token = await world.login(world.other_county)
        request = admin.ResetPasswordRequest(
            request_id=new_id(),
            organisation_code=OTHER_COUNTY,
            account_name="uploader",
            reason="forgotten",
        )
        watch = Watch(world)
        answer = await ask(world, person, "ResetPassword", request, admin.ResetPasswordResponse)
        assert (await watch.leaves())[-1]["detail"]["target_account"] == "uploader"
        assert answer.one_time_password
        call = world.call(
            world.other_county, "/gateway.v1.IdentityService/WhoAmI", b"", token=token
        )
        assert (await refused(call)).reason == "SESSION_UNKNOWN"
        assert (await refused(world.login(world.other_county))).reason == "LOGIN_FAILED"
        request.account_name, request.request_id = "nobody", new_id()
        error = await refused(ask(world, person, "ResetPassword", request, None))
        assert (error.code, error.reason) == ("NOT_FOUND", "NOT_FOUND")
        request.reason = ""
        assert (
            await refused(ask(world, person, "ResetPassword", request, None))
        ).reason == "FIELD_INVALID"

    province.run(work(province.world))


def test_accounts_are_listed_within_reach(province):
    async def work(world):
        async def all_of(person, **filters):
            found, token = [], ""
            while True:
                request = admin.ListAccountsRequest(page_size=2, page_token=token, **filters)
                page = await ask(world, person, "ListAccounts", request, admin.ListAccountsResponse)
                found += [(one.organisation_code, one.account_name) for one in page.accounts]
                token = page.next_page_token
                if not token:
                    return found

        stored = world.sql(
            'SELECT organisation, name FROM gateway.account ORDER BY organisation COLLATE "C", name COLLATE "C"'
        )
        assert await all_of(world.province_admin) == stored
        assert {code[:4] for code, _ in await all_of(world.city_admin)} == {"1401"}
        assert {code for code, _ in await all_of(world.city_admin, organisation_code=COUNTY)} == {
            COUNTY
        }
        call = all_of(world.city_admin, organisation_code=PROVINCE)
        assert (await refused(call)).reason == "POLICY_DENIED"
        request = admin.ListAccountsRequest(organisation_code=COUNTY)
        page = await ask(
            world, world.province_admin, "ListAccounts", request, admin.ListAccountsResponse
        )
        assert "argon2" not in str(page)
        assert page.accounts[0].password_expire_time.seconds

    province.run(work(province.world))


def test_administrators_upload_nothing(province):
    async def work(world):
        token = await world.login(world.city_admin)
        channel = await world.channel(world.city_admin, "intake")
        stream = channel.stream_stream(UPLOAD)(
            metadata=(("authorization", f"Bearer {token}"),), timeout=10
        )
        batch = a_batch(world, world.county)
        watch = Watch(world)
        await stream.write(batch.SerializeToString())
        error = await refused(world.upload(world.city_admin, token, batch.SerializeToString()))
        assert error.reason == "ROLE_NOT_ALLOWED"
        assert {leaf["reason"] for leaf in await watch.leaves()} == {"ROLE_NOT_ALLOWED"}

    province.run(work(province.world))
