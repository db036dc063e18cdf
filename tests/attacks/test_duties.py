"""Attacks 111, 119 and 120 of reference/identity.md: rights that changed under a token, an officer who serves himself, the last
officer locked out. Each through the live doors: one leaf, no password in what is said, and the next good call works.
"""

import grpc
import pytest

from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.store import roles
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import audit_service_pb2 as audit
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1 import options_pb2 as options
from tests.coverage.rpcs import WHOAMI, Watch, a_batch, kept_token, new_id, refused
from tests.people import newcomer
from tests.services.test_register_service import ask
from tests.world import CITY, COUNTY, PASSWORD, PROVINCE, RefusedError, held

SEARCH = "/gateway.v1.AuditService/SearchLeaves"


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture(autouse=True)
def quiet(capfd):
    """No password on any process's output, whatever was tried."""
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


def run(province, work):
    province.run(work(province.world))


async def second_admin(world, name="qian"):
    """Another administrator of the province, with a certificate and PASSWORD."""
    if (PROVINCE, name) in world.people:
        return world.people[PROVINCE, name]
    world.sql(
        "INSERT INTO gateway.system (organisation, kind, name, state, created_us)"
        " VALUES (%s, 'officer', %s, 1, 1)",
        *(PROVINCE, name),
    )
    world.sql(
        "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name,"
        " password_hash, password_set_us, password_expires_us, must_change, history, created_us)"
        " SELECT organisation, %s, roles, subject_kind, %s, password_hash, password_set_us,"
        " password_expires_us, must_change, history, created_us FROM gateway.account"
        " WHERE organisation = %s AND name = 'admin'",
        *(name, name, PROVINCE),
    )
    subject = Subject(DEFAULT_TRUST_DOMAIN, PROVINCE, "officer", name)
    owner = roles.conninfo(world.home, world.settings, "owner")
    world.people[PROVINCE, name] = await newcomer(owner, world.authority, subject)
    return world.people[PROVINCE, name]


def about(kind, organisation, name, **more):
    return kind(request_id=new_id(), organisation_code=organisation, account_name=name, **more)


def roles_of(organisation, name, *given):
    numbers = [options.Role.Value(f"ROLE_{one}") for one in given]
    return about(
        admin.SetAccountRolesRequest, organisation, name, roles=numbers, reason="another duty"
    )


def state_of(organisation, name, state):
    return about(admin.SetAccountStateRequest, organisation, name, state=state, reason="on leave")


def self_served(organisation, name):
    """All that an officer could do for himself."""
    again = admin.CreateAccountRequest(
        request_id=new_id(),
        organisation_code=organisation,
        account_name="second-self",
        roles=[options.ROLE_REQUESTER],
        system_name=name,
    )
    active = state_of(organisation, name, admin.Account.STATE_ACTIVE)
    return {
        "SetAccountRoles": roles_of(organisation, name, "APPROVER"),
        "SetAccountState": active,
        "UnlockAccount": about(admin.UnlockAccountRequest, organisation, name, reason="mine"),
        "ResetPassword": about(admin.ResetPasswordRequest, organisation, name, reason="mine"),
        "CreateAccount": again,
    }


@pytest.mark.parametrize("rpc", list(self_served(CITY, "admin")))
def test_119_an_officer_does_nothing_for_himself(province, rpc):
    async def work(world):
        own = world.city_admin
        await kept_token(world, own)
        before = world.sql("SELECT * FROM gateway.account ORDER BY 1, 2")
        watch = Watch(world)
        request = self_served(CITY, own.account)[rpc]
        error = await refused(ask(world, own, rpc, request, None))
        leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "OWN_ACCOUNT")
        assert (leaf["decision"], leaf["reason"]) == ("deny", "OWN_ACCOUNT")
        assert (leaf["account"], leaf["organisation"]) == (own.account, CITY)
        assert world.sql("SELECT * FROM gateway.account ORDER BY 1, 2") == before
        # The same for somebody else is his work.
        other = self_served(COUNTY, "uploader")["UnlockAccount"]
        await ask(world, own, "UnlockAccount", other, None)

    run(province, work)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("AUDITOR", "ADMIN"), "account-roles-apart"),
        (("APPROVER", "REQUESTER"), "account-roles-apart"),
        (("UPLOADER",), "account-roles-bearer"),
    ],
)
def test_119_no_account_gets_what_excludes_one_another(province, given, why):
    async def work(world):
        own = world.province_admin
        await kept_token(world, own)
        watch = Watch(world)
        request = roles_of(CITY, "auditor", *given)
        error = await refused(ask(world, own, "SetAccountRoles", request, None))
        leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
        assert why in str(error.status)
        assert leaf["reason"] == "FIELD_INVALID"
        await ask(world, own, "SetAccountRoles", roles_of(CITY, "auditor", "AUDITOR"), None)

    run(province, work)


def test_119_one_person_does_not_audit_what_he_administers(province):
    """By a second account of the same certificate subject, made by another administrator."""

    async def work(world):
        own = world.province_admin
        await kept_token(world, own)
        for role in ("AUDITOR", "APPROVER", "SECURITY_OFFICER"):
            watch = Watch(world)
            second = admin.CreateAccountRequest(
                request_id=new_id(),
                organisation_code=CITY,
                account_name="other-hat",
                roles=[options.Role.Value(f"ROLE_{role}")],
                system_name="admin",
            )
            error = await refused(ask(world, own, "CreateAccount", second, None))
            assert error.reason == "FIELD_INVALID"
            assert "account-roles-person" in str(error.status)
            assert (await watch.only_leaf())["reason"] == "FIELD_INVALID"

    run(province, work)


def test_111_a_token_is_void_at_every_door_when_the_roles_change(province):
    async def work(world):
        own, auditor = world.province_admin, world.city_auditor
        await kept_token(world, own)
        token = await world.login(auditor)
        search = audit.SearchLeavesRequest(organisation_code=CITY)
        await world.call(auditor, SEARCH, search, token=token)
        watch = Watch(world)
        await ask(world, own, "SetAccountRoles", roles_of(CITY, "auditor", "REQUESTER"), None)
        leaf = await watch.only_leaf()
        assert leaf["detail"]["roles"] == "requester"
        assert leaf["detail"]["target_account"] == "auditor"
        for method, request in ((SEARCH, search), (WHOAMI, identity.WhoAmIRequest())):
            watch = Watch(world)
            error = await refused(world.call(auditor, method, request, token=token))
            leaf = await watch.only_leaf()
            assert (error.code, error.reason) == ("UNAUTHENTICATED", "SESSION_UNKNOWN")
            assert leaf["reason"] == "SESSION_UNKNOWN"
            assert "account" not in leaf
            world.clock.turn(seconds=0.3)
        fresh = await world.login(auditor)
        await world.call(auditor, WHOAMI, identity.WhoAmIRequest(), token=fresh)
        error = await refused(world.call(auditor, SEARCH, search, token=fresh))
        assert error.reason == "ROLE_NOT_ALLOWED"
        await ask(world, own, "SetAccountRoles", roles_of(CITY, "auditor", "AUDITOR"), None)
        await world.call(auditor, SEARCH, search, token=await world.login(auditor))

    run(province, work)


def test_111_an_upload_under_way_ends_when_its_account_is_suspended(province):
    async def work(world):
        own, county = world.province_admin, world.county
        await kept_token(world, own)
        token = await world.login(county)
        stream = await world.open_upload(county, token)
        await stream.write(a_batch(world, county).SerializeToString())
        assert await stream.read()
        suspended = state_of(COUNTY, "uploader", admin.Account.STATE_SUSPENDED)
        await ask(world, own, "SetAccountState", suspended, None)
        world.clock.turn(seconds=0.3)
        watch = Watch(world)
        await stream.write(a_batch(world, county).SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stream.read()
        assert RefusedError(raised.value).reason == "SESSION_UNKNOWN"
        assert (await watch.only_leaf())["reason"] == "SESSION_UNKNOWN"
        watch = Watch(world)
        assert (await refused(world.login(county))).reason == "LOGIN_FAILED"
        assert (await watch.only_leaf())["reason"] == "LOGIN_FAILED"
        active = state_of(COUNTY, "uploader", admin.Account.STATE_ACTIVE)
        await ask(world, own, "SetAccountState", active, None)
        assert await world.upload(
            county, await world.login(county), a_batch(world, county).SerializeToString()
        )

    run(province, work)


def test_120_the_last_administrator_is_not_put_out(province):
    """Neither by himself, nor by one who is locked himself, nor by a stolen second account."""

    async def work(world):
        first, second = world.province_admin, await second_admin(world)
        await kept_token(world, second)
        await kept_token(world, first)
        for by, reason in ((first, "LAST_ADMIN"), (second, "")):
            # The second has a session; but what counts is who could come in again.
            locked = 1 if reason else None
            world.sql("DELETE FROM gateway.throttle")
            world.sql(
                "INSERT INTO gateway.throttle (organisation, account, lineage, failures,"
                " blocked_until_us, last_us, locked_us) VALUES (%s, 'qian', 'officer/qian', 1, 0, 1, %s)",
                *(PROVINCE, locked),
            )
            watch = Watch(world)
            request = state_of(PROVINCE, "admin", admin.Account.STATE_SUSPENDED)
            call = ask(world, by, "SetAccountState", request, None)
            if reason:
                error = await refused(call)
                assert (error.code, error.reason) == ("FAILED_PRECONDITION", reason)
                assert (await watch.only_leaf())["reason"] == reason
                continue
            await call
            assert (await watch.only_leaf())["decision"] == "allow"
        # Now the second is the last, and stays whatever he tries on himself.
        for rpc, request in (
            ("SetAccountState", state_of(PROVINCE, "qian", admin.Account.STATE_SUSPENDED)),
            ("SetAccountRoles", roles_of(PROVINCE, "qian", "REQUESTER")),
        ):
            watch = Watch(world)
            error = await refused(ask(world, second, rpc, request, None))
            expected = "LAST_ADMIN" if rpc == "SetAccountState" else "OWN_ACCOUNT"
            assert error.reason == expected
            assert (await watch.only_leaf())["reason"] == expected
        active = state_of(PROVINCE, "admin", admin.Account.STATE_ACTIVE)
        await ask(world, second, "SetAccountState", active, None)
        world.clock.turn(seconds=0.3)
        # What was suspended has no session any more: the next test logs in again.
        world.tokens.clear()
        await world.call(first, WHOAMI, b"", token=await world.login(first))
        world.sql("UPDATE gateway.account SET state = 2 WHERE name = 'qian'")

    run(province, work)
