"""identity.md section 7, attacks 4, 5, 6 and 82: whoever's certificate is only expired, not valid yet, revoked or superseded.

The handshake is finished, so that the bearer can read why; and that is all it gets. Through the real front and the
real identity door: every call but Diagnose and RenewCertificate is refused with the defect, one leaf each, and the
next honest call is served. A superseded certificate that comes again after its grace locks its lineage, and with it
the one who renewed: two bear one identity.
"""

import asyncio
import contextlib

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import US_PER_S
from gateway.pki import crl, issue, register
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import certificate_pb2 as certificates
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import LOGIN, WHOAMI, Watch, eventually, refused
from tests.people import Person, newcomer
from tests.world import PASSWORD, RefusedError, held

DIAGNOSE = "/gateway.v1.IdentityService/Diagnose"
DAY_S = 86_400


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        stands.run(stands.world.open_front())
        yield stands


async def ask(world, person, method, request=b"", token=""):
    """One call on a connection of its own, over TLS."""
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with world.secure_channel(person, "identity") as channel:
        try:
            return await channel.unary_unary(method)(raw, timeout=10, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from None


async def login(world, person):
    request = identity.LoginRequest(account_name=person.account, password=PASSWORD)
    return identity.LoginResponse.FromString(await ask(world, person, LOGIN, request)).access_token


async def diagnosed(world, person):
    return identity.DiagnoseResponse.FromString(await ask(world, person, DIAGNOSE))


async def another(world):
    """Another certificate of the county's system, which came in before."""
    owner = roles.conninfo(world.home, world.settings, "owner")
    return await newcomer(owner, world.authority, world.county.subject)


async def issued_at(world, seconds, days, line=None, *, used=True):
    """A registered certificate of the county's system, issued so many seconds from now, for so many days."""
    subject, key = world.county.subject, ec.generate_private_key(ec.SECP256R1())
    at_us = world.clock.now_us() + round(seconds * US_PER_S)
    leaf = issue.client_certificate(world.authority, subject, key.public_key(), at_us, days)
    person = Person(subject, world.county.account, world.county.roles, key, leaf)
    owner = roles.conninfo(world.home, world.settings, "owner")
    database = await Database.open(owner, application="test", size=1)
    async with database.transaction() as tx:
        await register.insert(tx, leaf, subject, line=line)
    await database.close()
    if used:
        change = "UPDATE gateway.certificate SET first_used_us = not_before_us WHERE serial = %s"
        world.sql(change, person.serial)
    return person


async def expired(world):
    return await issued_at(world, -120, 6 / 1440)


async def not_yet_valid(world):
    return await issued_at(world, DAY_S, 0)


async def revoked_on_the_list(world):
    """By the list alone, in its last place of ten thousand (38): the second net, should the register have been restored."""
    person = await another(world)
    number = world.front._terms.current.crl_number + 1
    now_us = world.clock.now_us()
    serials = [*(f"{one:x}" for one in range(1, 10_000)), person.serial]
    named = [crl.Revoked(one, now_us, "key-compromise") for one in serials]
    crl.write(world.home.crl, crl.build(world.authority, named, number, now_us))
    world.front.refresh()
    return person


async def revoked(world):
    person = await another(world)
    world.sql(
        "UPDATE gateway.certificate SET state = 2, revoked_us = 1 WHERE serial = %s", person.serial
    )
    return person


async def superseded(world):
    person = await another(world)
    world.sql(
        "UPDATE gateway.certificate SET state = 3, revoked_us = %s WHERE serial = %s",
        *(world.clock.now_us(), person.serial),
    )
    return person


async def locked(world):
    person = await another(world)
    lock(world, person)
    return person


def lock(world, person):
    world.sql(
        "UPDATE gateway.lineage SET locked_us = 1 WHERE id ="
        " (SELECT lineage FROM gateway.certificate WHERE serial = %s)",
        person.serial,
    )


CASES = [
    (expired, "CERT_EXPIRED", "UNAUTHENTICATED", certificates.CERTIFICATE_STATE_EXPIRED, True),
    (
        not_yet_valid,
        "CERT_NOT_YET_VALID",
        "UNAUTHENTICATED",
        certificates.CERTIFICATE_STATE_NOT_YET_VALID,
        False,
    ),
    (
        revoked_on_the_list,
        "CERT_REVOKED",
        "UNAUTHENTICATED",
        certificates.CERTIFICATE_STATE_REVOKED,
        False,
    ),
    (revoked, "CERT_REVOKED", "UNAUTHENTICATED", certificates.CERTIFICATE_STATE_REVOKED, False),
    (
        superseded,
        "CERT_SUPERSEDED",
        "UNAUTHENTICATED",
        certificates.CERTIFICATE_STATE_SUPERSEDED,
        False,
    ),
    (
        locked,
        "LINEAGE_LOCKED",
        "FAILED_PRECONDITION",
        certificates.CERTIFICATE_STATE_LOCKED,
        False,
    ),
]


@pytest.mark.parametrize(("make", "reason", "code", "state", "renewable"), CASES)
def test_a_defect_is_told_and_nothing_else_is_done(
    province, capfd, make, reason, code, state, renewable
):
    async def work():
        world = province.world
        person, good = await make(world), await login(world, world.county)
        watch = Watch(world)
        for method, kind in (
            (LOGIN, "identity.login"),
            (WHOAMI, "identity.whoami"),
            ("/x.Y/Z", "rpc.unknown"),
        ):
            begin = world.size()
            request = identity.LoginRequest(account_name="uploader", password=PASSWORD)
            error = await refused(
                ask(world, person, method, request if method == LOGIN else b"", good)
            )
            assert (error.code, error.reason) == (code, reason)
            assert error.message
            await watch.leaves()
            [leaf] = world.leaves(begin)
            assert (leaf["kind"], leaf["decision"], leaf["reason"]) == (kind, "deny", reason)
            assert (leaf["serial"], leaf["organisation"]) == (person.serial, person.organisation)
        told = await diagnosed(world, person)
        assert (told.reason, told.state, told.renewable) == (reason, state, renewable)
        assert told.text_en
        assert told.text_zh
        assert told.serial == person.serial
        ask_again = ask(world, world.county, WHOAMI, b"", good)
        assert identity.WhoAmIResponse.FromString(await ask_again).account_name == "uploader"

    province.run(work())
    said = capfd.readouterr()
    assert PASSWORD not in said.out + said.err
    assert "PRIVATE KEY" not in said.out + said.err


def test_the_same_calls_on_one_connection(province):
    """A connection with a defect is one like any other: each of its calls is judged for itself."""

    async def work():
        world = province.world
        person = await expired(world)
        async with world.secure_channel(person, "identity") as channel:
            for _ in range(3):
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await channel.unary_unary(WHOAMI)(b"", timeout=10)
                assert RefusedError(raised.value).reason == "CERT_EXPIRED"
                assert await channel.unary_unary(DIAGNOSE)(b"", timeout=10)

    province.run(work())


def test_it_gets_no_further_at_another_door(province):
    async def work():
        world = province.world
        person = await expired(world)
        for door, method in (
            ("intake", "/gateway.v1.UploadService/GetReceipt"),
            ("administration", "/gateway.v1.AuditService/GetCheckpoint"),
        ):
            watch = Watch(world)
            async with world.secure_channel(person, door) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await channel.unary_unary(method)(b"", timeout=10)
            assert RefusedError(raised.value).reason == "CERT_EXPIRED"
            assert (await watch.only_leaf())["reason"] == "CERT_EXPIRED"

    province.run(work())


def place_after(world, person):
    [(lineage, generation)] = world.sql(
        "SELECT lineage, generation FROM gateway.certificate WHERE serial = %s", person.serial
    )
    return register.Line(bytes(lineage), generation + 1)


async def renewed(world, person):
    return await issued_at(world, 0, 0, place_after(world, person), used=False)


def states(world, *people):
    found = []
    for person in people:
        [(state,)] = world.sql(
            "SELECT state FROM gateway.certificate WHERE serial = %s", person.serial
        )
        found.append(state)
    return found


def test_the_first_use_of_the_next_one_supersedes_and_is_decided_once(province):
    """Many handshakes at once with a certificate that was never used: one leaf tells of the first use."""

    async def work():
        world = province.world
        old = await another(world)
        new = await renewed(world, old)
        assert (await diagnosed(world, old)).state == certificates.CERTIFICATE_STATE_ACTIVE
        watch = Watch(world)
        found = await asyncio.gather(*(diagnosed(world, new) for _ in range(8)))
        assert {one.state for one in found} == {certificates.CERTIFICATE_STATE_ACTIVE}
        leaves = await watch.leaves()
        [used] = [leaf for leaf in leaves if leaf["kind"] == "certificate.used"]
        assert (used["serial"], used["counts"]) == (new.serial, {"superseded": 1})
        assert used["index"] == min(leaf["index"] for leaf in leaves), "before anybody is served"
        assert len(leaves) == 9
        assert states(world, old, new) == [3, 1]

    province.run(work())


def test_a_certificate_that_is_out_of_time_is_never_first_used(province):
    async def work():
        world = province.world
        for seconds, days in ((-120, 6 / 1440), (DAY_S, 0)):
            old = await another(world)
            new = await issued_at(world, seconds, days, place_after(world, old), used=False)
            watch = Watch(world)
            await diagnosed(world, new)
            assert [leaf["kind"] for leaf in await watch.leaves()] == ["identity.diagnose"]
            assert states(world, old, new) == [1, 1]

    province.run(work())


def test_82_a_superseded_certificate_within_its_grace_is_refused_and_not_suspected(province):
    async def work():
        world = province.world
        old = await another(world)
        new = await renewed(world, old)
        await diagnosed(world, new)
        watch = Watch(world)
        assert (await diagnosed(world, old)).reason == "CERT_SUPERSEDED"
        assert (await refused(ask(world, old, WHOAMI))).reason == "CERT_SUPERSEDED"
        assert len(await watch.leaves()) == 2
        assert (await diagnosed(world, new)).reason == ""

    province.run(work())


def test_82_a_clone_that_comes_later_locks_both_and_one_alarm_tells(province, capfd):
    async def work():
        world = province.world
        old = await another(world)
        new = await renewed(world, old)
        token = await login(world, new)
        world.sql(
            "UPDATE gateway.certificate SET revoked_us = revoked_us - %s WHERE serial = %s",
            *(61 * US_PER_S, old.serial),
        )
        async with world.secure_channel(new, "identity") as standing:
            await standing.unary_unary(DIAGNOSE)(b"", timeout=10)
            watch = Watch(world)
            found = await asyncio.gather(*(diagnosed(world, old) for _ in range(4)))
            assert {one.reason for one in found} == {"LINEAGE_LOCKED"}
            leaves = await watch.leaves()
            [clone] = [leaf for leaf in leaves if leaf["kind"] == "certificate.clone"]
            assert (clone["decision"], clone["reason"]) == ("deny", "LINEAGE_LOCKED")
            assert (clone["serial"], clone["detail"]) == (old.serial, {"alert": "lineage-locked"})
            # The connection of the one who renewed is cut within a second, with its leaf.
            cut = lambda: [  # noqa: E731
                leaf for leaf in world.leaves(watch._begin) if leaf["kind"] == "connection.cut"
            ]
            await eventually(cut, 2)
            [leaf] = cut()
            assert (leaf["reason"], leaf["serial"]) == ("LINEAGE_LOCKED", new.serial)
        error = await refused(ask(world, new, WHOAMI, b"", token))
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "LINEAGE_LOCKED")
        assert (await diagnosed(world, new)).renewable is False
        # The way out: another enrolment, another lineage of the same system.
        fresh = await another(world)
        assert await login(world, fresh)

    province.run(work())
    said = capfd.readouterr()
    assert PASSWORD not in said.out + said.err


def test_through_another_organisations_tunnel_nothing_is_used_and_nothing_locked(province):
    async def work():
        world = province.world
        old = await another(world)
        new = await renewed(world, old)
        for person in (new, old):
            address = world.address_of(world.city.organisation)
            watch = Watch(world)
            async with world.secure_channel(person, "identity", address) as channel:
                with pytest.raises(grpc.aio.AioRpcError):
                    await channel.unary_unary(DIAGNOSE)(b"", timeout=2)
            await eventually(
                lambda begin=watch._begin: any(
                    leaf.get("reason") == "ORIGIN_MISMATCH" for leaf in world.leaves(begin)
                )
            )
            kinds = {leaf["kind"] for leaf in await watch.leaves()}
            assert kinds <= {"tls.refused", "suppressed"}
        assert states(world, old, new) == [1, 1]

    province.run(work())


def test_a_live_connection_of_the_old_one_may_finish_within_the_grace(province):
    async def work():
        world = province.world
        old = await another(world)
        token = await login(world, old)
        async with world.secure_channel(old, "identity") as channel:

            async def whoami():
                metadata = (("authorization", f"Bearer {token}"),)
                return await channel.unary_unary(WHOAMI)(b"", timeout=10, metadata=metadata)

            await whoami()
            await diagnosed(world, await renewed(world, old))
            await asyncio.sleep(0.6)  # two looks of the watch
            await whoami()
            watch = Watch(world)
            world.clock.turn(seconds=61)
            cut = lambda: [  # noqa: E731
                leaf for leaf in world.leaves(watch._begin) if leaf["kind"] == "connection.cut"
            ]
            await eventually(cut, 2)
            [leaf] = cut()
            assert (leaf["reason"], leaf["serial"]) == ("CERT_SUPERSEDED", old.serial)
            with contextlib.suppress(grpc.aio.AioRpcError):
                await whoami()
        world.clock.turn(seconds=-61)

    province.run(work())
