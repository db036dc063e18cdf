from dataclasses import replace

from cryptography import x509

from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import WHOAMI, Watch, a_batch, refused
from tests.papers import new_key
from tests.services.enrolling import renew
from tests.world import Person


def with_(person: Person, answer, key) -> Person:
    """The same person with the certificate just issued."""
    found = x509.load_der_x509_certificate(answer.certificate.certificate)
    return replace(person, key=key, certificate=found)


def test_a_certificate_without_a_password(province):
    """Whoever holds the key renews, unattended; a session comes of it only for who has one."""

    async def work(world):
        key, watch = new_key(), Watch(world)
        answer = await renew(world, world.city, key)
        leaf = await watch.only_leaf()
        assert (answer.certificate.generation, answer.access_token) == (2, "")
        assert not answer.HasField("token_expire_time")
        assert leaf["detail"].items() >= {
            ("target_serial", answer.certificate.serial),
            ("generation", 2),
        }
        assert leaf["serial"] == world.city.serial
        assert "account" not in leaf
        assert "policies" not in leaf
        again = await renew(world, world.city, key)
        assert again == answer
        other = await renew(world, world.city)
        assert other.certificate.generation == 3
        # Until the next is used the present one is as good as before.
        assert await world.login(world.city)

    province.run(work(province.world))


def test_the_token_is_exchanged_in_the_same_call(province):
    """A token dies with its certificate (RFC 8705 section 6.3): so the next one's comes along, and uploads go on."""

    async def work(world):
        person, key = world.county, new_key()
        token = await world.login(person)
        raw = await world.call(person, WHOAMI, b"", token=token)
        session_ends = identity.WhoAmIResponse.FromString(raw).session_expire_time
        watch = Watch(world)
        answer = await renew(world, person, key, token)
        leaf = await watch.only_leaf()
        assert leaf["account"] == person.account
        assert leaf["policies"] == ["p13-own-session"]
        assert answer.access_token not in str(leaf)
        next_one = with_(person, answer, key)
        over_it = connection(next_one, answer)
        raw = await world.call(next_one, WHOAMI, b"", token=answer.access_token, **over_it)
        found = identity.WhoAmIResponse.FromString(raw)
        assert found.account_name == person.account
        # The same absolute end: nobody stays logged in by renewing.
        assert found.session_expire_time == session_ends
        # Each token is its own certificate's alone.
        call = world.call(next_one, WHOAMI, b"", token=token, **over_it)
        assert (await refused(call)).reason == "TOKEN_INVALID"
        call = world.call(person, WHOAMI, b"", token=answer.access_token)
        assert (await refused(call)).reason == "TOKEN_INVALID"
        # The old one goes on until its connections have drained.
        assert await world.upload(person, token, a_batch(world, person).SerializeToString())

    province.run(work(province.world))


def connection(person: Person, answer) -> dict:
    """What the front finds out about this certificate (`World.channel` remembers connections by it)."""
    return {"serial": answer.certificate.serial}


def test_a_bad_token_is_no_reason_to_renew(province):
    async def work(world):
        for token, reason in (("not.a.token", "TOKEN_INVALID"), ("", "")):
            watch = Watch(world)
            call = renew(world, world.other_county, new_key(), token)
            if reason:
                assert (await refused(call)).reason == reason
            else:
                await call
            assert (await watch.only_leaf()).get("reason", "") == reason

    province.run(work(province.world))


def test_an_ended_session_is_not_exchanged_and_nothing_is_issued(province):
    async def work(world):
        person = world.other_county
        token = await world.login(person)
        await world.call(person, "/gateway.v1.IdentityService/Logout", b"", token=token)
        before = world.sql("SELECT count(*) FROM gateway.certificate")
        error = await refused(renew(world, person, new_key(), token))
        assert error.reason == "SESSION_UNKNOWN"
        assert world.sql("SELECT count(*) FROM gateway.certificate") == before

    province.run(work(province.world))


def test_with_an_expired_password_a_certificate_is_renewed_all_the_same(province):
    """Or the clerk's forgotten password would cost the system its certificate."""

    async def work(world):
        person = world.other_county
        token = await world.login(person)
        world.sql(
            "UPDATE gateway.account SET password_expires_us = 1 WHERE organisation = %s AND name = %s",
            *(person.organisation, person.account),
        )
        world.clock.turn(seconds=0.3)
        answer = await renew(world, person, new_key(), token)
        assert answer.access_token
        world.sql(
            "UPDATE gateway.account SET password_expires_us = created_us + 7603200000000"
            " WHERE organisation = %s AND name = %s",
            *(person.organisation, person.account),
        )
        world.clock.turn(seconds=0.3)

    province.run(work(province.world))
