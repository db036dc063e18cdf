import asyncio
import functools

import pytest

from gateway.clock import TurnedClock
from gateway.errors import UnavailableError
from gateway.policy import activation, bundle
from gateway.policy.proposing import Change
from gateway.services import current as module
from gateway.services.current import Current
from gateway.store import roles
from gateway.store.database import Database
from tests.coverage.rpcs import eventually
from tests.people import newcomer
from tests.policies import RULES, SHIPPED, changed, propose, sign
from tests.policy.test_activation import Hand, signed_by, trust
from tests.sealed import officer
from tests.world import CITY, COUNTY, PROVINCE, World, fresh_ground


def test_what_is_known_is_read_once(province):
    async def work(world):
        database = await opened(world)
        current = await Current.open(database, world.clock, trust(world))
        assert (await current.registry()).chain(COUNTY) == (COUNTY, CITY, PROVINCE)
        serial = world.county.serial
        certificate = await current.certificate(serial)
        assert certificate.life.registered() is None
        assert certificate.life.not_after_us > world.clock.now_us()
        assert len(certificate.sha256) == 32
        assert await current.certificate(serial) is certificate
        assert await current.certificate("00") is None
        assert "00" not in current._certificates, "absence is not remembered"
        await current.close()
        await database.close()

    province.run(work(province.world))


def test_a_change_is_seen_at_once(province):
    async def work(world):
        database = await opened(world)
        current = await Current.open(database, world.clock, trust(world))
        owner = roles.conninfo(world.home, world.settings, "owner")
        for change, reason in (
            ("certificate SET state = 3, revoked_us = 9", "CERT_SUPERSEDED"),
            ("certificate SET state = 2, revoked_us = 9", "CERT_REVOKED"),
        ):
            person = await newcomer(owner, world.authority, world.county.subject)
            assert (await current.certificate(person.serial)).life.registered() is None
            world.sql(f"UPDATE gateway.{change} WHERE serial = %s", person.serial)
            await eventually(functools.partial(told, current, person, reason), 1)
            world.sql(
                "UPDATE gateway.lineage SET locked_us = 9 WHERE id ="
                " (SELECT lineage FROM gateway.certificate WHERE serial = %s)",
                person.serial,
            )
            await eventually(functools.partial(told, current, person, "LINEAGE_LOCKED"), 1)
        world.sql("UPDATE gateway.organisation SET state = 2 WHERE code = %s", CITY)
        await current.renew()
        assert not current.known.organisation_active(CITY)
        world.sql("UPDATE gateway.organisation SET state = 1 WHERE code = %s", CITY)

        async def active():
            return (await current.registry()).organisation_active(CITY)

        await eventually(active, 1)
        await current.close()
        await database.close()

    province.run(work(province.world))


def test_a_session_is_forgotten_when_it_ends(province):
    async def work(world):
        guard = world.doors["identity"].guard
        current = guard._checks.current
        token = await world.login(world.county)
        sid = world.sql("SELECT sid FROM gateway.session ORDER BY created_us DESC LIMIT 1")[0][0]
        assert (await current.standing(sid)).session.ended_us is None
        await world.call(world.county, "/gateway.v1.IdentityService/Logout", b"", token=token)

        async def ended():
            return (await current.standing(sid)).session.ended_us is not None

        await eventually(ended, 1)
        assert await current.standing(bytes(16)) is None

    province.run(work(province.world))


def test_the_memory_is_bounded(province, monkeypatch):
    async def work(world):
        monkeypatch.setattr(module, "REMEMBERED_MAX", 2)
        database = await opened(world)
        current = await Current.open(database, world.clock, trust(world))
        for person in (world.county, world.city, world.auditor):
            await current.certificate(person.serial)
        assert list(current._certificates) == [world.auditor.serial]
        await current.close()
        await database.close()

    province.run(work(province.world))


@pytest.mark.parametrize("turned", [0.3, -5.0])
def test_without_the_counters_nothing_is_known(cluster, turned):
    """Fail closed: what was known a moment ago is no answer; a clock that runs back makes nothing fresh."""

    async def work(ground):
        async with World.open(ground, ()) as world:
            clock = TurnedClock(world.clock.now_us())
            database = await opened(world)
            current = await Current.open(database, clock, trust(world))
            await current.certificate(world.county.serial)
            world.take_store_away()
            clock.turn(seconds=turned)
            for question in (
                current.registry(),
                current.certificate(world.county.serial),
                current.standing(bytes(16)),
            ):
                with pytest.raises(UnavailableError) as raised:
                    await question
                assert raised.value.reason == "STORE_AWAY"
            await current.renew()
            world.give_store_back()
            await eventually(lambda: current._read_at == clock.monotonic())
            assert (await current.certificate(world.county.serial)).life.registered() is None
            await current.close()
            await database.close()

    with fresh_ground(cluster) as ground:
        asyncio.run(work(ground))


async def told(current, person, reason):
    return (await current.certificate(person.serial)).life.registered() == reason


async def opened(world):
    conninfo = roles.conninfo(world.home, world.settings, "identity")
    return await Database.open(conninfo, application="test")


def test_policies_in_force_are_taken_and_unusable_ones_decide_nothing(cluster):
    """Neither do those of before: somebody meant them to end."""

    async def scenario(ground):
        async with World.open(ground, ()) as world:
            database = await opened(world)
            current = await Current.open(database, world.clock, trust(world))
            before = current.engine
            first, second = await officer(world, "a-one"), await officer(world, "b-two")
            hand, sha256 = Hand(world), bundle.of_files(changed()).sha256
            found = await hand(propose, changed(), Change(), 0)
            for late, person in enumerate((first, second)):
                mine = signed_by(person, 2, sha256, world.clock.now_us() + 200_000_000 * late)
                await hand(sign, sha256, mine, RULES)
            await current.renew()
            assert current.engine is not before
            assert current.engine.bundle.sha256 == found.bundle.sha256
            # As a thief with the administration's role: a bundle that nobody signed.
            world.sql(
                "INSERT INTO gateway.policy_activation SELECT 3, sha256, 0 FROM gateway.policy_activation WHERE number = 1"
            )
            await current.renew()
            with pytest.raises(UnavailableError, match="POLICIES_UNUSABLE"):
                _ = current.engine
            await current.close()
            await database.close()

    with fresh_ground(cluster) as ground:
        asyncio.run(scenario(ground))


def test_a_bundle_without_the_rules_of_exports_decides_all_but_exports(cluster):
    async def scenario(ground):
        async with World.open(ground, ()) as world:
            database = await opened(world)
            current = await Current.open(database, world.clock, trust(world))
            assert current.export_rules.approvals.needed == 2
            lacking = {name: text for name, text in SHIPPED.items() if name != "exports.toml"}
            world.sql("DELETE FROM gateway.policy_activation")
            await Hand(world, "owner")(activation.found, lacking, 0)
            await current.renew()
            assert current.engine.bundle.sha256 == bundle.of_files(lacking).sha256
            with pytest.raises(UnavailableError, match="POLICIES_UNUSABLE"):
                _ = current.export_rules
            # Rules that are none make the whole bundle unusable, as a policy that does not compile.
            world.sql("DELETE FROM gateway.policy_activation")
            wrong = {**SHIPPED, "exports.toml": "needed = 1"}
            await Hand(world, "owner")(activation.found, wrong, 0)
            await current.renew()
            with pytest.raises(UnavailableError, match="POLICIES_UNUSABLE"):
                _ = current.engine
            await current.close()
            await database.close()

    with fresh_ground(cluster) as ground:
        asyncio.run(scenario(ground))
