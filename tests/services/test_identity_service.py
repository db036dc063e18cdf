import pytest

from gateway.clock import US_PER_S
from gateway.errors import REASONS, Reason
from gateway.pki import authorities, external, keys, rollover
from gateway.store import roles
from gateway.v1 import certificate_pb2 as certificates
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import Watch, new_id, refused, restore_password
from tests.people import newcomer
from tests.pki.foreign import Foreign
from tests.world import COUNTY, PASSWORD

DAY_S = 86_400

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
        assert window_days(found.renewal_window, world.county) == (5.6, 8.4)

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


def window_days(window, person):
    """Begin and end of a renewal window, in days since the certificate's own begin."""
    begin = person.certificate.not_valid_before_utc.timestamp()
    times = (window.start_time, window.end_time)
    return tuple(round((one.ToNanoseconds() / 1e9 - begin) / DAY_S, 3) for one in times)


async def diagnosed(world, person, **found):
    reply = await world.call(person, SERVICE + "Diagnose", identity.DiagnoseRequest(), **found)
    return identity.DiagnoseResponse.FromString(reply)


def test_diagnose_a_good_certificate(province):
    async def work():
        world, person = province.world, province.world.county
        watch = Watch(world)
        found = await diagnosed(world, person)
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["decision"], leaf["serial"]) == (
            "identity.diagnose",
            "allow",
            person.serial,
        )
        assert (found.spiffe_id, found.serial) == (str(person.subject), person.serial)
        assert (found.state, found.reason) == (certificates.CERTIFICATE_STATE_ACTIVE, "")
        assert (found.text_en, found.text_zh, found.renewable) == ("", "", True)
        assert (found.tunnel_organisation_code, found.origin_strength) == (COUNTY, "weak")
        assert abs(found.gateway_time.seconds - world.clock.now_us() / US_PER_S) < 5
        ends = person.certificate.not_valid_after_utc.timestamp()
        assert found.expire_time.seconds == ends
        assert window_days(found.renewal_window, person) == (5.6, 8.4)

    province.run(work())


def test_diagnose_one_that_was_never_used(province):
    async def work():
        world = province.world
        owner = roles.conninfo(world.home, world.settings, "owner")
        person = await newcomer(owner, world.authority, world.county.subject)
        world.sql(
            "UPDATE gateway.certificate SET first_used_us = NULL WHERE serial = %s", person.serial
        )
        found = await diagnosed(world, person)
        assert (found.state, found.renewable) == (certificates.CERTIFICATE_STATE_ISSUED, True)

    province.run(work())


def test_diagnose_what_another_authority_issued(province):
    """RenewCertificate answers RENEWAL_CLOSED: its client must not be told to ask, at any moment."""

    async def work():
        world, foreign = province.world, Foreign.make(province.world.clock.now_us())
        owner = roles.conninfo(world.home, world.settings, "owner")
        person = await newcomer(owner, world.authority, world.county.subject)
        external.trust(world.home, foreign.certificate, foreign.revocations())
        try:
            world.sql(
                "UPDATE gateway.certificate SET issuer_sha256 = %s WHERE serial = %s",
                keys.spki_sha256(foreign.certificate.public_key()),
                person.serial,
            )
            found = await diagnosed(world, person)
            assert not found.renewable
            assert not found.HasField("renewal_window")
        finally:
            rollover.retire(world.home, authorities.load(world.home)[-1], world.size())

    province.run(work())


@pytest.mark.parametrize(
    ("defect", "state"),
    [
        ("LINEAGE_LOCKED", certificates.CERTIFICATE_STATE_LOCKED),
        ("CERT_REVOKED", certificates.CERTIFICATE_STATE_REVOKED),
        ("CERT_SUPERSEDED", certificates.CERTIFICATE_STATE_SUPERSEDED),
        ("CERT_NOT_YET_VALID", certificates.CERTIFICATE_STATE_NOT_YET_VALID),
    ],
)
def test_diagnose_a_defect(province, defect, state):
    async def work():
        found = await diagnosed(province.world, province.world.county, defect=defect)
        assert (found.reason, found.state, found.renewable) == (defect, state, False)
        meaning = REASONS[Reason(defect)]
        assert (found.text_en, found.text_zh) == (meaning.english, meaning.chinese)

    province.run(work())


@pytest.mark.parametrize(("days", "renewable"), [(0, True), (6.9, True), (7.1, False)])
def test_diagnose_an_expired_one_that_may_be_renewed_for_a_week(province, days, renewable):
    async def work():
        world, person = province.world, province.world.county
        past_s = person.certificate.not_valid_after_utc.timestamp() + days * DAY_S
        turned = past_s - world.clock.now_us() / US_PER_S + 1
        world.clock.turn(seconds=turned)
        found = await diagnosed(world, person, defect="CERT_EXPIRED")
        world.clock.turn(seconds=-turned)
        assert (found.reason, found.state, found.renewable) == (
            "CERT_EXPIRED",
            certificates.CERTIFICATE_STATE_EXPIRED,
            renewable,
        )

    province.run(work())


def test_diagnose_while_the_authority_is_rolled_over(province):
    """Whose authority issues no more renews now."""

    async def work():
        world = province.world
        owner = roles.conninfo(world.home, world.settings, "owner")
        person = await newcomer(owner, world.authority, world.county.subject)
        world.sql(
            "UPDATE gateway.certificate SET issuer_sha256 = %s WHERE serial = %s",
            *(bytes(32), person.serial),
        )
        window = (await diagnosed(world, person)).renewal_window
        assert window.start_time == window.end_time
        assert abs(window.start_time.seconds - world.clock.now_us() / US_PER_S) < 5

    province.run(work())


def test_a_token_does_not_matter_to_diagnose(province):
    async def work():
        found = await world_call(province.world, "no token at all")
        assert found.reason == ""

    async def world_call(world, token):
        reply = await world.call(world.county, SERVICE + "Diagnose", b"", token=token)
        return identity.DiagnoseResponse.FromString(reply)

    province.run(work())
