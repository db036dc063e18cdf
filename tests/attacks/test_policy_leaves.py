"""Attacks on policies by what is appended to the log with administration's database password: the log only grows.

What was in force stays so; what was revoked signs nothing; and where nothing is decided any more, root goes on.
"""

import asyncio

import pytest

from gateway.audit.event import Event
from gateway.pki import keys
from gateway.pki.revoke import KIND, Target
from gateway.policy import activation, evidence, proposing
from gateway.policy.bundle import BundleError
from gateway.policy.evidence import PROPOSE, SIGN, Wait
from gateway.store import roles
from gateway.store.database import Database, StoreError
from tests.attacks.test_policy_rows import (
    QUIET,
    number_of,
    taken_back,
    two,
    unusable,
    whoami,
    written,
)  # fmt: skip
from tests.coverage.rpcs import Watch, kept_token, new_id
from tests.policies import (
    RULES,
    SHIPPED,
    approve,
    changed,
    in_force,
    proposed,
    signature_leaf,
    tell,
)  # fmt: skip
from tests.policy.test_activation import Hand, reason_of, signed_by
from tests.policy.test_evidence import appended
from tests.sealed import officer
from tests.world import CITY, PASSWORD, PROVINCE, held

FAR_US = 2**52


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture(autouse=True)
def quiet(capfd):
    """No password on any process's output, whatever was tried."""
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


async def served(world):
    """Every reader reads anew, and the next call is decided, with its one leaf."""
    await kept_token(world, world.county)
    world.sql("UPDATE gateway.epoch SET value = value + 1 WHERE name = 'policies'")
    world.clock.turn(seconds=0.3)
    watch = Watch(world)
    await whoami(world)
    assert (await watch.only_leaf())["decision"] == "allow"
    for role in ("identity", "intake", "disclosure", "administration", "front"):
        assert (await Hand(world, role)(activation.active)).number == number_of(world)


async def standing(world):
    people = await two(world)
    return people, await in_force(world, *people, changed(f"{QUIET}// {new_id()}\n"))


@pytest.mark.parametrize("kind", [PROPOSE, SIGN])
@pytest.mark.parametrize(
    "detail", [{"activation": 999999}, {"activation": "x"}, {"activation": 2, "state": "active"}]
)
def test_a_leaf_that_no_door_tells_stops_nothing(province, kind, detail):
    async def work(world):
        await Hand(world)(appended, kind, detail)
        await served(world)

    province.run(work(province.world))


def test_an_activation_that_nobody_made_is_passed_by_the_third_word(province):
    """The log tells of a newer one, for ever; root says up to where that was looked at."""

    async def work(world):
        number = number_of(world)
        await kept_token(world, world.county)
        mine = signed_by((await two(world))[0], 999999, "", world.clock.now_us())
        lie = signature_leaf(999999, "ab" * 32, mine, active=True)
        await Hand(world)(appended, SIGN, {"activation": 999999})
        await Hand(world)(tell, lie, world.clock.now_us())
        world.sql("UPDATE gateway.epoch SET value = value + 1 WHERE name = 'policies'")
        await unusable(world, taken_back(world, number + 1))
        await served(world)

    province.run(work(province.world))


def test_a_proposal_told_afterwards_unseats_nothing(province):
    async def work(world):
        _, found = await standing(world)
        detail = evidence.proposed(found.number, found.bundle.sha256, Wait(FAR_US, 10**6))
        await Hand(world)(tell, Event(kind=PROPOSE, detail=detail), world.clock.now_us())
        await served(world)

    province.run(work(province.world))


def test_a_signature_told_in_an_officers_name_unseats_nothing(province):
    """Before he signs: his own leaf still counts."""

    async def work(world):
        first, second = await two(world)
        found = await proposed(world, changed(f"{QUIET}// {new_id()}\n"))
        await approve(world, first, found)
        sha256, now_us = found.bundle.sha256, world.clock.now_us()
        mine = signed_by(second, found.number, sha256, now_us)
        await Hand(world)(tell, signature_leaf(found.number, sha256, mine, active=False), now_us)
        world.clock.turn(seconds=121)
        assert await approve(world, second, found)
        await served(world)

    province.run(work(province.world))


TARGETS = {
    "bearer": lambda one, _: {
        "target_organisation": PROVINCE,
        "target_subject_kind": "officer",
        "target_subject_name": one.subject.name,
    },
    "organisation": lambda *_: Target.of_organisation(PROVINCE).told,
    "authority": lambda _, key: Target.of_authority(key, b"").told,
}
OTHERS = {
    "bearer": lambda one, _: {**TARGETS["bearer"](one, b""), "target_subject_name": "other"},
    "organisation": lambda *_: Target.of_organisation(CITY).told,
    "authority": lambda *_: Target.of_authority(bytes(32), b"").told,
}


@pytest.mark.parametrize("target", TARGETS)
def test_who_was_revoked_among_others_puts_nothing_in_force(cluster, target):
    """The rows say that nobody was; a leaf tells of his bearer, his organisation, his authority."""

    async def work(world):
        name = f"officer-{target}"
        people = [await officer(world, "officer-a"), await officer(world, name)]
        both = [one.subject.name for one in people]
        key = keys.spki_sha256(world.authority.certificate.public_key())
        hand = Hand(world)
        # Of somebody else, another organisation, another authority: they sign.
        told = OTHERS[target](people[1], key)
        await hand(tell, Event(kind=KIND, door="host", detail=told), world.clock.now_us())
        number = await written(world, people, world.clock.now_us(), told=both)
        assert (await hand(activation.active)).number == number
        taken_back(world, number)()
        told = TARGETS[target](people[1], key)
        await hand(tell, Event(kind=KIND, door="host", detail=told), world.clock.now_us())
        number = await written(world, people, world.clock.now_us(), told=both)
        with pytest.raises(BundleError, match="as the log tells it"):
            await hand(activation.active)
        await unusable(world, taken_back(world, number))
        # What is issued afterwards is another certificate.
        asked = "SELECT gateway.revocation_leaf('00', %s, 'officer', %s, %s, %s)"
        whose, now_us = (PROVINCE, name, key.hex()), world.clock.now_us()
        [[before], [after]] = [
            *world.sql(asked, *whose, now_us - 10**9),
            *world.sql(asked, *whose, now_us + 10**9),
        ]
        assert before is not None
        assert after is None

    with held(cluster) as own:
        own.run(work(own.world))


@pytest.mark.parametrize("role", ["owner", "identity", "intake", "disclosure", "front"])
def test_nobody_but_administration_tells_the_log_of_revocations(province, role):
    async def work(world):
        first, second = await two(world)
        size = world.size()
        told = Event(kind=KIND, detail=Target.of_serial(second.serial).told)
        with pytest.raises(StoreError):
            await Hand(world, role)(tell, told, world.clock.now_us())
        assert world.size() == size
        await in_force(world, first, second, changed(f"{QUIET}// {new_id()}\n"))
        await in_force(world, first, second, SHIPPED)

    province.run(work(province.world))


def test_who_is_revoked_while_he_signs_has_not_signed(province):
    """The revocation holds the log's head: what he signed is judged after it."""

    async def work(world):
        first, second = await officer(world, "officer-a"), await officer(world, "officer-w")
        found = await proposed(world, changed(f"{QUIET}// {new_id()}\n"))
        await approve(world, first, found)
        world.clock.turn(seconds=121)
        now_us, sha256 = world.clock.now_us(), found.bundle.sha256
        mine = signed_by(second, found.number, sha256, now_us)
        conninfo = roles.conninfo(world.home, world.settings, "administration")
        database = await Database.open(conninfo, application="revoke", size=1)
        try:
            async with database.transaction() as tx:
                set_ = "UPDATE gateway.certificate SET state = 2, revoked_us = %s WHERE serial = %s"
                await tx.execute(set_, (now_us, second.serial))
                told = Event(kind=KIND, door="host", detail=Target.of_serial(second.serial).told)
                await tell(tx, told, now_us)
                signing = asyncio.create_task(Hand(world)(proposing.sign, sha256, mine, RULES))
                waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
                while not signing.done() and not world.sql(waits):  # noqa: ASYNC110  a lock tells nobody
                    await asyncio.sleep(0.05)
                assert not signing.done()
        finally:
            await database.close()
        assert await reason_of(signing) == "APPROVAL_SIGNATURE"
        assert number_of(world) == found.number - 1
        other = await officer(world, "officer-x")
        assert await approve(world, other, found)
        await in_force(world, first, other, SHIPPED)

    province.run(work(province.world))
