"""Each check refuses by itself, in the guard's order, with one leaf; and the next good call works."""

import asyncio
import socket
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import grpc
import pytest
from google.rpc import error_details_pb2

from gateway.audit.event import Event
from gateway.clock import US_PER_S, TurnedClock
from gateway.config.policies import CallLimits, RefusalLimits, StreamLimits
from gateway.link.connection import abstract_address
from gateway.pki.defect import RANKED
from gateway.services.call import Call
from gateway.services.limits import Limits
from gateway.store import roles
from gateway.v1 import admin_service_pb2 as admin_v1
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1 import upload_service_pb2 as upload_v1
from gateway.vpn.origin import Origin
from tests.coverage.rpcs import WHOAMI, Watch, a_batch, eventually, new_id, refused
from tests.papers import new_key, request_for
from tests.people import newcomer
from tests.world import CITY, COUNTY, OTHER_CITY, PASSWORD, SECOND_COUNTY, RefusedError, relay

DIAGNOSE = "/gateway.v1.IdentityService/Diagnose"
CHECK = "/grpc.health.v1.Health/Check"
CONFIRM = "/gateway.v1.IdentityService/Confirm"
REFRESH = "/gateway.v1.IdentityService/RefreshToken"
LOGOUT = "/gateway.v1.IdentityService/Logout"
QUARANTINE = "/gateway.v1.UploadService/ListQuarantine"
ACCOUNTS = "/gateway.v1.AdminService/ListAccounts"
SET_ROLES = "/gateway.v1.AdminService/SetAccountRoles"


async def whoami(world, token, **found):
    return await world.call(world.county, WHOAMI, identity.WhoAmIRequest(), token=token, **found)


async def expect(world, reason, call, code=None):
    """The call is refused for this reason, with one leaf; then a good call works."""
    watch = Watch(world)
    error = await refused(call)
    leaf = await watch.only_leaf()
    assert error.reason == reason
    assert leaf["reason"] == reason
    assert leaf["decision"] == "deny"
    if code is not None:
        assert error.code == code
    return leaf


def scenario(province, work):
    province.run(work(province.world))


def test_1_a_connection_past_the_front(province):
    async def work(world):
        watch = Watch(world)
        async with grpc.aio.insecure_channel(
            f"unix:{world.home.door_socket('identity')}"
        ) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary(CHECK)(b"", timeout=10)
        assert RefusedError(raised.value).reason == "CONNECTION_UNKNOWN"
        leaf = await watch.only_leaf()
        assert leaf["reason"] == "CONNECTION_UNKNOWN"
        assert "organisation" not in leaf
        await world.call(world.county, CHECK, b"", door="identity")

    scenario(province, work)


@pytest.mark.parametrize("name", ["0123456789abcdef" * 2, "known"], ids=["guessed", "known"])
def test_1_a_name_that_the_front_does_not_know(province, name):
    """Also a name that was good once: it is void when its connection ends."""

    async def work(world):
        used = name
        if name == "known":
            await world.call(world.county, CHECK, b"", door="identity", peer="127.0.0.1:1")
            used = world.leaves()[-1]["connection"]
            world.cut(world.county)
            await asyncio.sleep(0.05)
        watch = Watch(world)
        ours = socket.socket(socket.AF_UNIX)
        ours.setblocking(False)
        ours.bind(abstract_address(used))
        server = await asyncio.start_server(
            lambda r, w: _through(ours, str(world.home.door_socket("identity")), r, w),
            "127.0.0.1",
            0,
        )
        port = server.sockets[0].getsockname()[1]
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=(("grpc.use_local_subchannel_pool", 1),)
        ) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary(CHECK)(b"", timeout=10)
        server.close()
        assert RefusedError(raised.value).reason == "CONNECTION_UNKNOWN"
        assert (await watch.only_leaf())["reason"] == "CONNECTION_UNKNOWN"

    scenario(province, work)


async def _through(ours, path, reader, writer):
    await asyncio.get_running_loop().sock_connect(ours, path)
    inner = await asyncio.open_unix_connection(sock=ours)
    await relay(reader, writer, *inner)
    writer.close()


def test_1_a_connection_to_another_door(province):
    async def work(world):
        channel = await world.channel(world.county, "identity", peer="127.0.0.1:9")
        await channel.unary_unary(CHECK)(b"", timeout=10)
        [name] = [n for n, c in world.entrance.connections.items() if c.peer == "127.0.0.1:9"]
        world.entrance.connections[name] = replace(world.entrance.connections[name], door="intake")
        world.entrance.closed(name)
        watch = Watch(world)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(CHECK)(b"", timeout=10)
        assert RefusedError(raised.value).reason == "CONNECTION_UNKNOWN"
        assert (await watch.only_leaf())["reason"] == "CONNECTION_UNKNOWN"

    scenario(province, work)


def test_1_the_front_is_away(province):
    async def work(world):
        token = await world.login(world.county)
        await world.entrance.stop()
        leaf = await expect(
            world, "FRONT_AWAY", whoami(world, token, listener="127.0.0.1:1"), "UNAVAILABLE"
        )
        assert "organisation" not in leaf
        # Nor is a connection taken that was known before: the front that vouched for it is gone.
        await expect(world, "FRONT_AWAY", whoami(world, token), "UNAVAILABLE")
        await world.entrance.start()
        await whoami(world, token)

    scenario(province, work)


def test_2_an_expired_certificate(province):
    async def work(world):
        token = await world.login(world.county)
        ended = {"not_after_us": world.clock.now_us() - 1}
        await expect(world, "CERT_EXPIRED", whoami(world, token, **ended), "UNAUTHENTICATED")
        await whoami(world, token)

    scenario(province, work)


@pytest.mark.parametrize(
    "found", [{"serial": "1234"}, {"certificate_sha256": "00" * 32}], ids=["serial", "digest"]
)
def test_2_a_certificate_that_is_not_in_the_register(province, found):
    async def work(world):
        token = await world.login(world.county)
        await expect(world, "CERT_UNKNOWN", whoami(world, token, **found), "UNAUTHENTICATED")
        await whoami(world, token)

    scenario(province, work)


FALLEN = {
    "CERT_REVOKED": "certificate SET state = 2, revoked_us = %s WHERE serial = %s",
    "CERT_SUPERSEDED": "certificate SET state = 3, revoked_us = %s WHERE serial = %s",
    "LINEAGE_LOCKED": "lineage SET locked_us = %s WHERE id ="
    " (SELECT lineage FROM gateway.certificate WHERE serial = %s)",
}


async def again(world):
    """The county's system with another certificate of its own: what falls once never stands again."""
    owner = roles.conninfo(world.home, world.settings, "owner")
    return await newcomer(owner, world.authority, world.county.subject)


@pytest.mark.parametrize("reason", list(FALLEN))
def test_2_a_certificate_that_falls_while_its_connection_stands(province, reason):
    async def work(world):
        person = await again(world)
        token = await world.login(person)
        world.sql(f"UPDATE gateway.{FALLEN[reason]}", 1, person.serial)
        world.clock.turn(seconds=0.3)
        call = world.call(person, WHOAMI, identity.WhoAmIRequest(), token=token)
        leaf = await expect(world, reason, call)
        assert (leaf["serial"], leaf["kind"]) == (person.serial, "identity.whoami")
        # What it may still ask is what is wrong with it.
        watch = Watch(world)
        found = identity.DiagnoseResponse.FromString(await world.call(person, DIAGNOSE, b""))
        assert found.reason == reason
        assert (await watch.only_leaf())["decision"] == "allow"
        await whoami(world, await world.login(world.county))

    scenario(province, work)


def test_2_a_superseded_certificate_finishes_within_its_grace(province):
    async def work(world):
        person = await again(world)
        token = await world.login(person)
        world.sql(
            f"UPDATE gateway.{FALLEN['CERT_SUPERSEDED']}", world.clock.now_us(), person.serial
        )
        world.clock.turn(seconds=0.3)
        await world.call(person, WHOAMI, b"", token=token)
        world.clock.turn(seconds=58)
        await world.call(person, WHOAMI, b"", token=token)
        world.clock.turn(seconds=2)
        call = world.call(person, WHOAMI, b"", token=token)
        await expect(world, "CERT_SUPERSEDED", call, "UNAUTHENTICATED")
        world.clock.turn(seconds=-60.3)

    scenario(province, work)


@pytest.mark.parametrize("reason", RANKED)
def test_2_a_defect_that_the_front_found(province, reason):
    """Every call is refused with it, also one that is not known; but not Diagnose."""

    async def work(world):
        token = await world.login(world.county)
        lame = {"defect": str(reason)}
        for method in (WHOAMI, CHECK, "/gateway.v1.IdentityService/Steal", "/x.Y/Z"):
            call = world.call(world.county, method, b"", token=token, door="identity", **lame)
            leaf = await expect(world, reason, call)
            assert leaf["certificate"], "whose it is was proven"
        found = identity.DiagnoseResponse.FromString(
            await world.call(world.county, DIAGNOSE, b"", **lame)
        )
        assert found.reason == reason
        await whoami(world, token)

    scenario(province, work)


def test_2_times_are_told_where_time_is_what_is_wrong(province):
    async def work(world):
        token = await world.login(world.county)
        for reason, key in (("CERT_EXPIRED", "notAfter"), ("CERT_NOT_YET_VALID", "notBefore")):
            error = await refused(whoami(world, token, defect=reason))
            told = error.detail(error_details_pb2.ErrorInfo).metadata
            assert set(told) == {key, "gatewayTime"}
            for text in told.values():
                assert abs((datetime.fromisoformat(text) - datetime.now(UTC)).days) < 400
        error = await refused(whoami(world, token, defect="CERT_REVOKED"))
        assert not error.detail(error_details_pb2.ErrorInfo).metadata

    scenario(province, work)


def test_2_a_suspended_bearer_is_not_even_told(province):
    async def work(world):
        change = "UPDATE gateway.organisation SET state = %s WHERE code = %s"
        world.sql(change, 2, COUNTY)
        world.clock.turn(seconds=0.3)
        call = world.call(world.county, DIAGNOSE, b"", defect="CERT_REVOKED")
        await expect(world, "ORGANISATION_SUSPENDED", call, "PERMISSION_DENIED")
        world.sql(change, 1, COUNTY)
        world.clock.turn(seconds=0.3)
        await world.call(world.county, DIAGNOSE, b"", defect="CERT_REVOKED")

    scenario(province, work)


@pytest.mark.parametrize(
    ("table", "column", "reason"),
    [
        ("organisation", "code", "ORGANISATION_SUSPENDED"),
        ("system", "organisation", "SYSTEM_SUSPENDED"),
    ],
)
def test_2_suspended(province, table, column, reason):
    async def work(world):
        token = await world.login(world.county)
        change = f"UPDATE gateway.{table} SET state = %s WHERE {column} = %s"
        world.sql(change, 2, COUNTY)
        world.clock.turn(seconds=0.3)
        await expect(world, reason, whoami(world, token), "PERMISSION_DENIED")
        await expect(world, reason, world.login(world.county), "PERMISSION_DENIED")
        world.sql(change, 1, COUNTY)
        world.clock.turn(seconds=0.3)
        await whoami(world, token)

    scenario(province, work)


def test_3_another_organisations_tunnel(province):
    async def work(world):
        token = await world.login(world.county)
        origin = Origin(OTHER_CITY, "listen:127.0.0.9", "static", "weak", "127.0.0.9")
        leaf = await expect(
            world, "ORIGIN_MISMATCH", whoami(world, token, origin=origin), "PERMISSION_DENIED"
        )
        assert leaf["organisation"] == COUNTY
        assert leaf["tunnel"] == "listen:127.0.0.9"
        assert leaf["detail"]["alert"] == "origin-mismatch"
        assert leaf["detail"]["target_organisation"] == OTHER_CITY
        await whoami(world, token)

    scenario(province, work)


def test_3_a_registered_relation_lets_a_county_in_by_anothers_tunnel_until_it_ends(province):
    async def work(world):
        token = await world.login(world.county)
        origin = Origin(OTHER_CITY, "listen:127.0.0.9", "static", "weak", "127.0.0.9")
        relation = (COUNTY, OTHER_CITY)
        world.sql("INSERT INTO gateway.relation VALUES (%s, %s, 'uses_tunnel_of')", *relation)
        world.clock.turn(seconds=0.3)
        await whoami(world, token, origin=origin)
        world.sql(
            "DELETE FROM gateway.relation WHERE organisation = %s AND relative = %s", *relation
        )
        # A delegated duty to upload is no right of way.
        world.sql("INSERT INTO gateway.relation VALUES (%s, %s, 'uploads_for')", *relation)
        world.clock.turn(seconds=0.3)
        await expect(
            world, "ORIGIN_MISMATCH", whoami(world, token, origin=origin), "PERMISSION_DENIED"
        )
        world.sql(
            "DELETE FROM gateway.relation WHERE organisation = %s AND relative = %s", *relation
        )

    scenario(province, work)


def test_5_a_stolen_token(province):
    """With another certificate of another organisation, and with another certificate of the same one."""

    async def work(world):
        token = await world.login(world.county)
        thief = world.people[SECOND_COUNTY, "uploader"]
        call = world.call(thief, WHOAMI, b"", token=token)
        leaf = await expect(world, "TOKEN_INVALID", call, "UNAUTHENTICATED")
        assert leaf["organisation"] == SECOND_COUNTY
        assert "account" not in leaf
        auditor, admin = world.auditor, world.province_admin
        token = await world.login(auditor)
        await expect(world, "TOKEN_INVALID", world.call(admin, WHOAMI, b"", token=token))
        await world.call(auditor, WHOAMI, b"", token=token)

    scenario(province, work)


def test_5_a_token_after_logout(province):
    async def work(world):
        token = await world.login(world.county)
        await world.call(world.county, "/gateway.v1.IdentityService/Logout", b"", token=token)
        await expect(world, "SESSION_UNKNOWN", whoami(world, token), "UNAUTHENTICATED")
        await whoami(world, await world.login(world.county))

    scenario(province, work)


def test_5_a_token_after_its_ten_minutes(province):
    async def work(world):
        token = await world.login(world.county)
        world.clock.turn(seconds=600)
        await expect(world, "TOKEN_EXPIRED", whoami(world, token), "UNAUTHENTICATED")
        world.clock.turn(seconds=-600)
        await whoami(world, token)

    scenario(province, work)


@pytest.mark.parametrize("column", ["role_epoch", "password_epoch"])
def test_5_a_token_of_an_earlier_epoch(province, column):
    async def work(world):
        token = await world.login(world.county)
        change = f"UPDATE gateway.account SET {column} = {column} + %s WHERE organisation = %s"
        world.sql(change, 1, COUNTY)
        world.clock.turn(seconds=0.3)
        await expect(world, "SESSION_UNKNOWN", whoami(world, token))
        world.sql(change, -1, COUNTY)
        world.clock.turn(seconds=0.3)
        await whoami(world, token)

    scenario(province, work)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("must_change = true", "PASSWORD_MUST_CHANGE"),
        ("password_expires_us = password_set_us - 864000000000", "PASSWORD_BLOCKED"),
    ],
    ids=["must-change", "blocked"],
)
def test_6_a_password_that_must_be_changed(province, change, reason):
    async def work(world):
        token = await world.login(world.county)
        world.sql(f"UPDATE gateway.account SET {change} WHERE organisation = %s", COUNTY)
        world.clock.turn(seconds=0.3)
        upload = world.upload(world.county, token, a_batch(world, world.county).SerializeToString())
        leaf = await expect(world, reason, upload, "FAILED_PRECONDITION")
        assert leaf["account"] == "uploader"
        answer = identity.WhoAmIResponse.FromString(await whoami(world, token))
        assert answer.password_state in (4, 5)
        world.sql(
            "UPDATE gateway.account SET must_change = false, password_expires_us = created_us + %s"
            " WHERE organisation = %s",
            88 * 86400 * US_PER_S,
            COUNTY,
        )
        world.clock.turn(seconds=0.3)
        await whoami(world, token)

    scenario(province, work)


def test_6_within_its_grace_a_system_uploads_and_a_person_only_changes(province):
    async def work(world):
        county, admin = world.county, world.city_admin
        ended = "UPDATE gateway.account SET password_expires_us = %s WHERE organisation IN (%s, %s)"
        world.sql(ended, world.clock.now_us() - 1, COUNTY, CITY)
        world.clock.turn(seconds=0.3)
        try:
            token = await world.login(county)
            assert await world.upload(county, token, a_batch(world, county).SerializeToString())
            listed = world.call(county, QUARANTINE, upload_v1.ListQuarantineRequest(), token=token)
            await expect(world, "PASSWORD_EXPIRED", listed, "FAILED_PRECONDITION")
            token = await world.login(admin)
            call = world.call(admin, ACCOUNTS, admin_v1.ListAccountsRequest(), token=token)
            await expect(world, "PASSWORD_EXPIRED", call, "FAILED_PRECONDITION")
            for allowed in (WHOAMI, REFRESH, LOGOUT):
                await world.call(admin, allowed, b"", token=token)
        finally:
            back = "UPDATE gateway.account SET password_expires_us = created_us + 7603200000000"
            world.sql(back)
            world.clock.turn(seconds=0.3)
        await world.call(admin, ACCOUNTS, b"", token=await world.login(admin))

    scenario(province, work)


def test_8_what_weighs_needs_the_password_of_the_last_five_minutes(province):
    """At the microsecond; and the moment it is confirmed at one door, the other knows."""

    async def work(world):
        admin = world.city_admin
        token = await world.login(admin)
        request = admin_v1.SetAccountRolesRequest(
            request_id=new_id(),
            organisation_code=COUNTY,
            account_name="uploader",
            roles=[1],
            reason="as before",
        )

        def weigh():
            return world.call(admin, SET_ROLES, request, token=token)

        await weigh()
        world.clock.turn(seconds=301)
        leaf = await expect(world, "CONFIRMATION_NEEDED", weigh(), "FAILED_PRECONDITION")
        assert leaf["kind"] == "admin.account.roles"
        # What does not weigh is not asked.
        await world.call(admin, ACCOUNTS, admin_v1.ListAccountsRequest(), token=token)
        wrong = identity.ConfirmRequest(password=PASSWORD + "x")
        await expect(world, "LOGIN_FAILED", world.call(admin, CONFIRM, wrong, token=token))
        await expect(world, "CONFIRMATION_NEEDED", weigh())
        await world.call(admin, CONFIRM, identity.ConfirmRequest(password=PASSWORD), token=token)
        await weigh()
        world.clock.turn(seconds=-301)

    scenario(province, work)


def test_7_too_many_calls_of_an_account(province, monkeypatch):
    async def work(world):
        token = await world.login(world.county)
        await whoami(world, token)
        limits = world.doors["identity"].guard._checks.limits
        monkeypatch.setattr(limits._accounts, "_rate", 0.001)
        for level in limits._accounts._levels.values():
            level.tokens = 1
        await whoami(world, token)
        watch = Watch(world)
        error = await refused(whoami(world, token))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert (await watch.only_leaf())["account"] == "uploader"
        limits._accounts._levels.clear()
        await whoami(world, token)

    scenario(province, work)


def test_7_too_many_logins_of_a_connection(province, monkeypatch):
    async def work(world):
        await world.login(world.county)
        limits = world.doors["identity"].guard._checks.limits
        monkeypatch.setattr(limits._connections, "_rate", 0.001)
        for level in limits._connections._levels.values():
            level.tokens = 0
        await expect(world, "RATE_LIMITED", world.login(world.county), "RESOURCE_EXHAUSTED")
        limits._connections._levels.clear()
        await world.login(world.county)

    scenario(province, work)


def test_7_too_many_streams_of_a_connection(province):
    async def work(world):
        token = await world.login(world.county)
        streams = world.doors["intake"].guard._checks.limits.streams
        held = [await world.open_upload(world.county, token) for _ in range(16)]
        await eventually(lambda: sum(streams._open.values()) == 16)
        begin = world.size()
        upload = world.upload(world.county, token, a_batch(world, world.county).SerializeToString())
        error = await refused(upload)
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert [leaf["reason"] for leaf in world.leaves(begin)] == ["RATE_LIMITED"]
        for stream in held:
            await stream.done_writing()
            assert [reply async for reply in stream] == []
        assert streams._open == {}
        [reply] = await world.upload(
            world.county, token, a_batch(world, world.county).SerializeToString()
        )
        assert reply

    scenario(province, work)


def test_8_a_foreign_unit(province):
    async def work(world):
        token = await world.login(world.county)
        for unit in ("1402120001", "1401000001", "9999999999", ""):
            batch = a_batch(world, world.county, unit_code=unit, request_id=str(uuid.uuid4()))
            watch = Watch(world)
            error = await refused(world.upload(world.county, token, batch.SerializeToString()))
            leaf = await watch.only_leaf()
            assert (error.code, error.reason) == ("PERMISSION_DENIED", "POLICY_DENIED")
            assert (leaf["decision"], leaf["reason"], leaf["kind"]) == (
                "deny",
                "POLICY_DENIED",
                "upload",
            )
            assert leaf["request_id"] == batch.request_id
            assert leaf["policies"] == ["default-deny"]
        [reply] = await world.upload(
            world.county, token, a_batch(world, world.county).SerializeToString()
        )
        assert reply

    scenario(province, work)


def test_8_a_city_uploads_for_a_county_below_it(province):
    async def work(world):
        token = await world.login(world.city)
        batch = a_batch(world, world.county)
        watch = Watch(world)
        await world.upload(world.city, token, batch.SerializeToString())
        leaf = await watch.only_leaf()
        assert leaf["policies"] == ["p01-upload"]
        assert leaf["unit"] == world.county.unit
        assert leaf["organisation"] == world.city.organisation
        foreign = a_batch(world, world.other_county)
        assert (
            await refused(world.upload(world.city, token, foreign.SerializeToString()))
        ).reason == "POLICY_DENIED"

    scenario(province, work)


def test_again_before_each_batch(province):
    """A session that ends, or a token that expires, ends the stream after the batches before it."""

    async def work(world):
        for end in ("logout", "expiry", "revoked", "suspended"):
            person = await again(world)
            token = await world.login(person)
            stream = await world.open_upload(person, token)
            await stream.write(a_batch(world, person).SerializeToString())
            assert await stream.read()
            if end == "logout":
                await world.call(person, "/gateway.v1.IdentityService/Logout", b"", token=token)
            elif end == "expiry":
                world.clock.turn(seconds=601)
            elif end == "revoked":
                world.sql(
                    "UPDATE gateway.certificate SET state = 2, revoked_us = 1 WHERE serial = %s",
                    person.serial,
                )
            else:
                world.sql("UPDATE gateway.organisation SET state = 2 WHERE code = %s", COUNTY)
            world.clock.turn(seconds=0.3)
            watch = Watch(world)
            await stream.write(a_batch(world, person).SerializeToString())
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stream.read()
            expected = {
                "logout": "SESSION_UNKNOWN",
                "expiry": "TOKEN_EXPIRED",
                "revoked": "CERT_REVOKED",
                "suspended": "ORGANISATION_SUSPENDED",
            }[end]
            assert RefusedError(raised.value).reason == expected
            assert (await watch.only_leaf())["reason"] == expected
            if end == "expiry":
                world.clock.turn(seconds=-601)
            world.sql("UPDATE gateway.organisation SET state = 1 WHERE state = 2")
            world.clock.turn(seconds=0.3)

    scenario(province, work)


RENEW = "/gateway.v1.IdentityService/RenewCertificate"


def renewal():
    csr = request_for(new_key())
    return identity.RenewCertificateRequest(request_id=new_id(), csr=csr)


def test_5_a_token_that_is_welcome_is_judged_like_any_other(province):
    """Not needed, but where one is sent it must be good: a bad one is refused, not overlooked."""

    async def work(world):
        thief = await world.login(world.people[SECOND_COUNTY, "uploader"])
        for token, reason in ((thief, "TOKEN_INVALID"), ("x", "TOKEN_INVALID")):
            call = world.call(world.county, RENEW, renewal(), token=token)
            leaf = await expect(world, reason, call, "UNAUTHENTICATED")
            assert "account" not in leaf
        token = await world.login(world.county)
        await world.call(world.county, "/gateway.v1.IdentityService/Logout", b"", token=token)
        call = world.call(world.county, RENEW, renewal(), token=token)
        await expect(world, "SESSION_UNKNOWN", call, "UNAUTHENTICATED")
        twice = (("authorization", "Bearer x"), ("authorization", "Bearer y"))
        call = world.call(world.county, RENEW, renewal(), metadata=twice)
        await expect(world, "TOKEN_INVALID", call, "UNAUTHENTICATED")

    scenario(province, work)


def test_5_with_a_token_the_account_is_known_and_without_it_is_not(province):
    async def work(world):
        person = await again(world)
        for token in ("", await world.login(person)):
            watch = Watch(world)
            await world.call(person, RENEW, renewal(), token=token)
            leaf = await watch.only_leaf()
            assert ("account" in leaf, "policies" in leaf) == (bool(token), bool(token))

    scenario(province, work)


def test_5_with_a_defect_nobody_is_anybody(province):
    """A token that comes along with a defective certificate is not looked at, good or bad."""

    async def work(world):
        person = await again(world)
        for token in (await world.login(person), "garbage"):
            watch = Watch(world)
            reply = await world.call(person, RENEW, renewal(), token=token, defect="CERT_EXPIRED")
            assert identity.RenewCertificateResponse.FromString(reply).access_token == ""
            leaf = await watch.only_leaf()
            assert "account" not in leaf

    scenario(province, work)


@pytest.mark.parametrize(
    ("charged", "left"), [(None, [1, 1]), ("connection", [2, 1]), ("account", [2, 2])]
)
def test_7_a_refusal_costs_those_who_have_not_paid_for_the_call(province, charged, left):
    """Left of the connection's and of the source's measure of two."""

    async def work(world):
        guard = world.doors["identity"].guard
        limits = Limits(
            CallLimits(1.0, 2, 1.0, 2, 100), StreamLimits(1, 8, 300.0), RefusalLimits(1.0, 2), TurnedClock(0)
        )  # fmt: skip
        checks = replace(guard._checks, limits=limits)
        call = Call(world.doors["identity"].recorder, Event(kind="x", door="identity"), None)
        call._connection = SimpleNamespace(name="n", peer="10.8.0.7:1")
        call.charged = charged
        assert checks.told(call)
        key = (call.source, "")
        assert [limits._connections._level("n").tokens, limits._refusals._level(key).tokens] == left
        checks.told(call)
        assert checks.told(call) == (charged == "account")
        call.note(detail={"alert": "break-glass"})
        assert checks.told(call) == (charged is not None)

    scenario(province, work)
