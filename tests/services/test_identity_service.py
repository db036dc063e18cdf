from gateway.clock import US_PER_S
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import Watch, new_id, refused, restore_password
from tests.world import COUNTY, PASSWORD

SERVICE = "/gateway.v1.IdentityService/"


async def ask(world, name, request, response, token=""):
    reply = await world.call(world.county, SERVICE + name, request, token=token)
    return reply if response is None else response.FromString(reply)


async def login(world):
    request = identity.LoginRequest(account_name="uploader", password=PASSWORD)
    return await ask(world, "Login", request, identity.LoginResponse)


def test_login(province):
    async def work(world):
        watch = Watch(world)
        opened = await login(world)
        leaf = await watch.only_leaf()
        assert leaf["account"] == "uploader"
        assert len(leaf["session"]) == 32
        assert opened.password_state == identity.PASSWORD_STATE_CURRENT
        assert 590 < opened.expire_time.seconds - world.clock.now_us() / US_PER_S <= 600
        assert opened.access_token not in str(leaf)

    province.run(work(province.world))


def test_refresh_and_logout(province):
    async def work(world):
        opened = await login(world)
        world.clock.turn(seconds=300)
        fresh = await ask(
            world, "RefreshToken", b"", identity.RefreshTokenResponse, opened.access_token
        )
        assert fresh.expire_time.seconds >= opened.expire_time.seconds + 299
        world.clock.turn(seconds=301)
        error = await refused(ask(world, "RefreshToken", b"", None, opened.access_token))
        assert error.reason == "TOKEN_EXPIRED"
        await ask(world, "Logout", b"", identity.LogoutResponse, fresh.access_token)
        error = await refused(ask(world, "Logout", b"", None, fresh.access_token))
        assert error.reason == "SESSION_UNKNOWN"
        world.clock.turn(seconds=-601)

    province.run(work(province.world))


def test_a_session_left_alone_is_not_renewed(province):
    async def work(world):
        opened = await login(world)
        world.sql(
            "UPDATE gateway.session SET last_seen_us = last_seen_us - %s WHERE ended_us IS NULL",
            31 * 60 * US_PER_S,
        )
        error = await refused(ask(world, "RefreshToken", b"", None, opened.access_token))
        assert error.reason == "SESSION_UNKNOWN"

    province.run(work(province.world))


def test_change_password(province):
    async def work(world):
        opened = await login(world)

        def change(new, old=PASSWORD):
            request = identity.ChangePasswordRequest(
                request_id=new_id(), old_password=old, new_password=new
            )
            return ask(
                world,
                "ChangePassword",
                request,
                identity.ChangePasswordResponse,
                opened.access_token,
            )

        watch = Watch(world)
        error = await refused(change("short"))
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "PASSWORD_WEAK")
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["reason"]) == ("identity.password", "PASSWORD_WEAK")
        assert (await refused(change(PASSWORD))).reason == "PASSWORD_WEAK"
        assert (await refused(change("Violet-Anchor-Hums-93", "wrong"))).reason == "LOGIN_FAILED"
        watch = Watch(world)
        changed = await change("Violet-Anchor-Hums-93")
        leaf = await watch.only_leaf()
        assert leaf["decision"] == "allow"
        assert "Violet" not in str(leaf)
        assert changed.password_expire_time.seconds > changed.expire_time.seconds
        await ask(world, "WhoAmI", b"", identity.WhoAmIResponse, changed.access_token)
        assert (
            await refused(ask(world, "WhoAmI", b"", None, opened.access_token))
        ).reason == "SESSION_UNKNOWN"
        restore_password(world, world.county)

    province.run(work(province.world))


def test_who_am_i(province):
    async def work(world):
        opened = await login(world)
        found = await ask(world, "WhoAmI", b"", identity.WhoAmIResponse, opened.access_token)
        assert found.organisation_code == COUNTY
        assert found.organisation_name == f"organisation {COUNTY}"
        assert found.spiffe_id == str(world.county.subject)
        assert found.account_name == "uploader"
        assert list(found.roles) == [1]
        assert found.origin_strength == "weak"
        assert found.password_state == identity.PASSWORD_STATE_CURRENT
        assert found.session_expire_time.seconds > opened.expire_time.seconds

    province.run(work(province.world))


def test_a_failed_login_is_counted_though_it_is_refused(province):
    async def work(world):
        for _ in range(5):
            assert (
                await refused(world.login(world.other_county, "wrong"))
            ).reason == "LOGIN_FAILED"
        watch = Watch(world)
        error = await refused(world.login(world.other_county))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "LOGIN_THROTTLED")
        assert (await watch.only_leaf())["reason"] == "LOGIN_THROTTLED"
        world.clock.turn(seconds=61)
        await world.login(world.other_county)
        world.clock.turn(seconds=-61)

    province.run(work(province.world))
