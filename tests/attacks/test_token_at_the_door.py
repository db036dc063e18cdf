"""Attacks 101-114 of reference/identity.md at doors that serve: each by the rule of attack tests (`tried`).

Every forgery of `forged_tokens` that a gRPC client can send is sent, and every token of somebody else's connection, ended session,
earlier password, former role, set clock or removed key; also in the middle of a stream.
"""

import contextlib
import io
import json
from dataclasses import replace

import grpc
import pytest

from gateway import log
from gateway.identity import keys
from gateway.identity.token import Verifier
from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.store import roles
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.forged_tokens import FORGERIES, Forgery, Workshop, sendable, twin
from tests.attacks.tried import logged_in, tried
from tests.coverage.rpcs import WHOAMI, Watch, a_batch, new_id, refused, restore_password
from tests.people import newcomer
from tests.world import COUNTY, PASSWORD, RefusedError, held

SERVICE = "/gateway.v1.IdentityService/"
SECOND = "Violet-Anchor-Hums-93"
SENT = [
    one
    for one in FORGERIES
    # Made for a token of any kind: what cannot be sent does not depend on it.
    if "newline" not in str(one) and "not ascii" not in str(one) and "3000000" not in str(one)
]


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster, ("identity", "intake")) as stands:
        yield stands


@pytest.fixture(autouse=True)
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


def private_jwk(world) -> str:
    """The key of this gateway, as nobody else has it."""
    return (world.home.secrets("identity") / keys.PRIVATE_FILE).read_text()


async def who_am_i(world, token, person=None):
    reply = await world.call(person or world.county, WHOAMI, b"", token=token)
    return identity.WhoAmIResponse.FromString(reply)


def presented(world, made, *, person=None, method=WHOAMI):
    """Call with a token as it is, an empty one too."""
    metadata = (("authorization", f"Bearer {made}"),)
    return world.call(person or world.county, method, b"", metadata=metadata)


async def to_the_end(stream):
    while await stream.read() is not grpc.aio.EOF:
        pass


async def kept(world):
    """One token for the good calls of this file's tests, fresh where the clock was turned too far."""
    token = world.tokens.get("good", "")
    with contextlib.suppress(RefusedError):
        await who_am_i(world, token)
        return token
    world.tokens["good"] = await world.login(world.county)
    return world.tokens["good"]


@pytest.mark.parametrize("forgery", SENT, ids=str)
def test_a_forgery_opens_nothing(province, process_log, forgery: Forgery):
    async def scenario(world):
        token = await kept(world)
        made = forgery.make(Workshop(private_jwk(world), token))
        assert sendable(made)
        secrets = [part for part in made.split(".") if len(part) > 20]
        _, leaf = await tried(
            world,
            presented(world, made),
            "TOKEN_INVALID",
            secrets=secrets,
            process_log=process_log,
            then=lambda: who_am_i(world, token),
        )
        assert "account" not in leaf
        assert "session" not in leaf
        assert leaf["subject"] == str(world.county.subject)

    province.run(scenario(province.world))


def test_what_is_longer_than_any_header_is_refused_too(province):
    """109: three million characters; gRPC's own limit, below ours in the stack, and the door stays open for others."""

    async def scenario(world):
        token = await kept(world)
        channel = await world.channel(world.county, "identity", serial=world.county.serial)
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await channel.unary_unary(WHOAMI)(
                b"", timeout=20, metadata=(("authorization", "Bearer " + "A" * 3_000_000),)
            )
        assert found.value.code() in (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.INTERNAL,
        )
        watch = Watch(world)
        await who_am_i(world, token)
        assert (await watch.only_leaf())["decision"] == "allow"

    province.run(scenario(province.world))


def test_the_twin_of_a_signature_is_the_same_token(province):
    """108: taken, as the token that it is; and it dies with the session like the other."""

    async def scenario(world):
        token = await world.login(world.county)
        other = twin(Workshop(private_jwk(world), token))
        watch = Watch(world)
        assert await who_am_i(world, other) == await who_am_i(world, token)
        sessions = {leaf["session"] for leaf in await watch.leaves()}
        assert len(sessions) == 1
        await world.call(world.county, SERVICE + "Logout", b"", token=token)
        assert (await refused(who_am_i(world, other))).reason == "SESSION_UNKNOWN"

    province.run(scenario(province.world))


@pytest.mark.parametrize("whose", ["other county", "city", "officer", "next certificate"])
def test_a_stolen_token_is_void_on_every_other_connection(province, process_log, whose):
    """110: of another organisation, of the one above, of an officer, and of the same system's next certificate."""

    async def scenario(world):
        token = await kept(world)
        owner = roles.conninfo(world.home, world.settings, "owner")
        person = {
            "other county": world.other_county,
            "city": world.city,
            "officer": world.city_admin,
        }.get(whose) or await newcomer(owner, world.authority, world.county.subject)
        _, leaf = await tried(
            world,
            presented(world, token, person=person),
            "TOKEN_INVALID",
            secrets=[token, token.split(".")[1]],
            process_log=process_log,
            then=lambda: who_am_i(world, token),
        )
        assert leaf["serial"] == person.serial
        assert "account" not in leaf
        # An expired one does not tell the thief that it was good once.
        world.clock.turn(seconds=601)
        assert (await refused(presented(world, token, person=person))).reason == "TOKEN_INVALID"
        assert (await refused(presented(world, token))).reason == "TOKEN_EXPIRED"
        world.clock.turn(seconds=-601)

    province.run(scenario(province.world))


async def ended_by_logout(world, token):
    await world.call(world.county, SERVICE + "Logout", b"", token=token)


async def ended_by_a_new_password(world, _token):
    """Another session of the account changes the password."""
    owner = await world.login(world.county)
    request = identity.ChangePasswordRequest(
        request_id=new_id(), old_password=PASSWORD, new_password=SECOND
    )
    await world.call(world.county, SERVICE + "ChangePassword", request, token=owner)
    restore_password(world, world.county)


async def ended_by_a_role(world, _token):
    world.sql(
        "UPDATE gateway.account SET role_epoch = role_epoch + 1 WHERE organisation = %s", COUNTY
    )


async def ended_by_disabling(world, _token):
    world.sql("UPDATE gateway.account SET state = 2 WHERE organisation = %s", COUNTY)


ENDS = [ended_by_logout, ended_by_a_new_password, ended_by_a_role, ended_by_disabling]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_what_ended_stays_ended(province, process_log, end):
    """111: at the identity door, at the intake, and for the next batch of a stream that was open before."""

    async def scenario(world):
        token = await world.login(world.county)
        stream = await world.open_upload(world.county, token)
        await stream.write(a_batch(world, world.county).SerializeToString())
        assert await stream.read()
        await end(world, token)
        # What other processes do is known here after a quarter of a second at the latest.
        world.clock.turn(seconds=0.3)
        watch = Watch(world)
        await stream.write(a_batch(world, world.county).SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await to_the_end(stream)
        assert RefusedError(cut.value).reason == "SESSION_UNKNOWN"
        assert (await watch.only_leaf())["reason"] == "SESSION_UNKNOWN"

        batch = a_batch(world, world.county).SerializeToString()
        assert (await refused(world.upload(world.county, token, batch))).reason == "SESSION_UNKNOWN"
        assert (
            await refused(presented(world, token, method=SERVICE + "RefreshToken"))
        ).reason == "SESSION_UNKNOWN"

        async def good_again():
            world.sql("UPDATE gateway.account SET state = 1 WHERE organisation = %s", COUNTY)
            world.clock.turn(seconds=0.3)
            await who_am_i(world, await world.login(world.county))

        await tried(
            world,
            presented(world, token),
            "SESSION_UNKNOWN",
            secrets=[token, PASSWORD, SECOND],
            process_log=process_log,
            then=good_again,
        )

    province.run(scenario(province.world))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["Bearer {}", "Bearer {}"], "TOKEN_INVALID"),
        (["Bearer {}", "Bearer x"], "TOKEN_INVALID"),
        (["Bearer {}, Bearer {}"], "TOKEN_INVALID"),
        (["bearer {}"], "TOKEN_INVALID"),
        (["BEARER {}"], "TOKEN_INVALID"),
        (["Basic {}"], "TOKEN_INVALID"),
        (["{}"], "TOKEN_INVALID"),
        (["Bearer"], "TOKEN_INVALID"),
        ([], "TOKEN_MISSING"),
    ],
    ids=["twice", "a second one", "in one value", "lower", "upper", "Basic", "bare", "none", "no"],
)
def test_one_value_in_one_form(province, process_log, values, reason):
    """112."""

    async def scenario(world):
        token = await kept(world)
        metadata = tuple(("authorization", one.replace("{}", token)) for one in values)
        await tried(
            world,
            world.call(world.county, WHOAMI, b"", metadata=metadata),
            reason,
            secrets=[token],
            process_log=process_log,
            then=lambda: who_am_i(world, token),
        )

    province.run(scenario(province.world))


@pytest.mark.parametrize("key", ["authorization-bin", "x-authorization", "cookie", "token"])
def test_another_header_is_no_header_of_ours(province, process_log, key):
    """112: binary, or by another name."""

    async def scenario(world):
        token = await kept(world)
        value = f"Bearer {token}"
        metadata = ((key, value.encode() if key.endswith("-bin") else value),)
        await tried(
            world,
            world.call(world.county, WHOAMI, b"", metadata=metadata),
            "TOKEN_MISSING",
            secrets=[token],
            process_log=process_log,
            then=lambda: who_am_i(world, token),
        )

    province.run(scenario(province.world))


def test_a_minute_of_clock_is_borne_and_no_more(province, process_log):
    """113: a clock set back after the token was minted."""

    async def scenario(world):
        token = await world.login(world.county)
        # The clock goes on between the two calls: thirty seconds either way are far from it.
        world.clock.turn(seconds=-30)
        await who_am_i(world, token)
        world.clock.turn(seconds=-60)
        await tried(
            world,
            presented(world, token),
            "TOKEN_INVALID",
            secrets=[token],
            process_log=process_log,
            then=lambda: world.login(world.county),
        )
        world.clock.turn(seconds=90)
        await who_am_i(world, token)

    province.run(scenario(province.world))


def test_no_token_outlives_its_ten_minutes(province, process_log):
    """113: an expiry has no leeway."""

    async def scenario(world):
        opened = await logged_in(world, world.county)
        left_s = opened.expire_time.ToMicroseconds() / 1e6 - world.clock.now_us() / 1e6
        assert left_s <= 600
        world.clock.turn(seconds=left_s - 5)
        await who_am_i(world, opened.access_token)
        world.clock.turn(seconds=5)
        await tried(
            world,
            presented(world, opened.access_token),
            "TOKEN_EXPIRED",
            secrets=[opened.access_token],
            process_log=process_log,
            then=lambda: world.login(world.county),
        )
        world.clock.turn(seconds=-left_s)

    province.run(scenario(province.world))


def test_a_key_that_left_the_set_signs_nothing(province, process_log, monkeypatch):
    """114: a door that knows other keys only; with both it takes both."""

    async def scenario(world):
        token = await kept(world)
        fresh = json.loads(keys.make().public_set)["keys"][0]
        guard = world.guard("identity")
        ours = json.loads(world.home.token_keys.read_text())["keys"][0]

        def knows(*public):
            verifier = Verifier({key["kid"]: key for key in public}, DEFAULT_TRUST_DOMAIN)
            monkeypatch.setattr(guard, "_checks", replace(guard._checks, verifier=verifier))

        async def with_both():
            knows(ours, fresh)
            await who_am_i(world, token)

        knows(fresh)
        await tried(
            world,
            presented(world, token),
            "TOKEN_INVALID",
            secrets=[token],
            process_log=process_log,
            then=with_both,
        )

    province.run(scenario(province.world))
