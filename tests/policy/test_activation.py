"""Which bundle is in force: texts and signatures are verified by whoever reads them, whoever wrote them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.config.activation import ActivationRules
from gateway.errors import Refusal
from gateway.pki import issue
from gateway.policy import activation, bundle
from gateway.policy.activation import Change, Signature
from gateway.policy.bundle import BundleError
from gateway.policy.trust import Trust
from gateway.store import roles
from gateway.store.database import Database, StoreError, Transaction
from tests.people import newcomer
from tests.policies import LOOSER, SHIPPED, TIGHTER, changed, signature
from tests.sealed import officer
from tests.world import World, fresh_ground

RULES = ActivationRules(apart_s=120, loosening_hours=24)
US = 1_000_000
# What verifies signatures, and is given the authorities.
ASKING = {
    *(activation.active, activation.in_force, activation.proposals),
    *(activation.propose, activation.sign),
}


def in_a_world(cluster, work: Callable[[World], Awaitable[None]]) -> None:
    async def run(ground):
        async with World.open(ground, ()) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def trust(world: World) -> Trust:
    """The authorities of a world's HOME, as everybody who reads what is in force knows them."""
    return Trust.of(world.home, world.settings.trust_domain)


class Hand:
    """A database role's hands."""

    def __init__(self, world: World, role: str = "administration") -> None:
        self.world, self.role = world, role

    async def __call__(self, work: Callable[..., Awaitable[object]], *given: object) -> object:
        if work in ASKING:
            given = (trust(self.world), *given)
        conninfo = roles.conninfo(self.world.home, self.world.settings, self.role)
        database = await Database.open(conninfo, application="hand", size=1)
        try:
            async with database.transaction() as tx:
                return await work(tx, *given)
        finally:
            await database.close()


def signed_by(person, number: int, sha256: str, at_us: int) -> Signature:
    return Signature(
        person.subject.name,
        person.account,
        bytes.fromhex(person_digest(person)),
        signature(person, number, sha256),
        at_us,
    )


def person_digest(person) -> str:
    return person.certificate.fingerprint(SHA256()).hex()


async def reason_of(work: Awaitable[object]) -> str:
    with pytest.raises(Refusal) as raised:
        await work
    return raised.value.reason.value


def test_proposed_signed_twice_in_force(cluster):
    async def work(world):
        hand = Hand(world)
        one, two = await officer(world, "a-one"), await officer(world, "b-two")
        begun = world.clock.now_us()
        assert (await hand(activation.active)).number == 1
        found = await hand(activation.propose, changed(), Change(), begun)
        again = await hand(activation.propose, changed(), Change(), begun + 1000 * US)
        assert (found.number, again.proposed_us) == (2, begun)
        sha256 = found.bundle.sha256
        first = signed_by(one, 2, sha256, begun)
        assert not await hand(activation.sign, sha256, first, RULES)
        assert (
            await reason_of(hand(activation.sign, sha256, first, RULES)) == "APPROVAL_SAME_PERSON"
        )
        soon = signed_by(two, 2, sha256, begun + 119 * US)
        assert await reason_of(hand(activation.sign, sha256, soon, RULES)) == "APPROVAL_TOO_SOON"
        assert await hand(activation.sign, sha256, replace(soon, signed_us=begun + 120 * US), RULES)
        current = await hand(activation.active)
        assert (current.number, current.bundle.sha256) == (2, sha256)
        assert current.files == changed()
        assert await hand(activation.was_active, found.bundle.sha256)
        assert await hand(activation.proposals) == []
        assert await reason_of(hand(activation.propose, changed(), Change(), 1)) == "ALREADY_EXISTS"
        # What was signed for the second activation says nothing of the third or a later one.
        back = await hand(activation.propose, SHIPPED, Change(), begun + 3000 * US)
        old = signed_by(one, 2, back.bundle.sha256, begun + 3000 * US)
        assert (
            await reason_of(hand(activation.sign, back.bundle.sha256, old, RULES))
            == "APPROVAL_SIGNATURE"
        )

    in_a_world(cluster, work)


def test_a_loosening_opens_a_day_later(cluster):
    async def work(world):
        hand = Hand(world)
        change = Change(newly_allowed=("somebody",))
        found = await hand(activation.propose, changed(LOOSER), change, 0)
        assert found.opens_us(RULES) == 24 * 3600 * US
        tighter = await hand(activation.propose, changed(TIGHTER), Change(newly_denied=("x",)), 7)
        assert tighter.opens_us(RULES) == 7

    in_a_world(cluster, work)


def test_the_administration_role_alone_puts_nothing_in_force(cluster):
    """It may write all rows; without two officers' signatures nobody takes what it wrote."""

    async def work(world):
        hand = Hand(world)
        one = await officer(world, "a-one")
        found = await hand(activation.propose, changed(LOOSER), Change(), 0)
        sha256 = found.bundle.sha256
        await hand(activation.sign, sha256, signed_by(one, 2, sha256, world.clock.now_us()), RULES)

        async def activate(tx: Transaction) -> None:
            digest = bytes.fromhex(sha256)
            await tx.execute(activation._ACTIVATE, (2, digest, 0))

        await hand(activate)
        for role in ("identity", "intake", "disclosure", "administration", "front"):
            with pytest.raises(BundleError, match="not signed by two officers"):
                await Hand(world, role)(activation.active)

        # A second row for the same person under another name, with the one signature it has.
        async def forge(tx: Transaction) -> None:
            mine = signed_by(one, 2, sha256, world.clock.now_us())
            whose = ("b-two", "b-two", mine.certificate_sha256)
            row = (*whose, mine.signature, mine.signed_us)
            await tx.execute(activation._SIGN, (2, bytes.fromhex(sha256), *row))

        await hand(forge)
        with pytest.raises(BundleError, match="not signed by two officers"):
            await hand(activation.active)

    in_a_world(cluster, work)


def test_a_citys_officer_signs_nothing_that_counts(cluster):
    async def work(world):
        hand = Hand(world)
        one, city = await officer(world, "a-one"), world.city_admin
        found = await hand(activation.propose, changed(), Change(), 0)
        sha256 = found.bundle.sha256
        await hand(activation.sign, sha256, signed_by(one, 2, sha256, world.clock.now_us()), RULES)
        late = signed_by(city, 2, sha256, world.clock.now_us() + 200 * US)
        for mine in (late, replace(late, person="b-two"), replace(late, signature=b"")):
            assert (
                await reason_of(hand(activation.sign, sha256, mine, RULES)) == "APPROVAL_SIGNATURE"
            )
        assert (await hand(activation.active)).number == 1

        # And were it written all the same, nobody would take it.
        async def forge(tx: Transaction) -> None:
            digest = bytes.fromhex(sha256)
            whose = (late.person, late.account, late.certificate_sha256)
            told = (*whose, late.signature, late.signed_us)
            await tx.execute(activation._SIGN, (2, digest, *told))
            await tx.execute(activation._ACTIVATE, (2, digest, 0))

        await hand(forge)
        with pytest.raises(BundleError, match="not signed by two officers"):
            await hand(activation.active)

    in_a_world(cluster, work)


def test_what_is_no_signature_of_a_key_of_ours(cluster):
    async def work(world):
        hand = Hand(world)
        one = await officer(world, "a-one")
        found = await hand(activation.propose, changed(), Change(), 0)
        sha256 = found.bundle.sha256
        good = signed_by(one, 2, sha256, world.clock.now_us())
        unknown = replace(good, certificate_sha256=b"\0" * 32)
        for mine in (unknown, replace(good, signature=good.signature + b"\0" * 20)):
            assert (
                await reason_of(hand(activation.sign, sha256, mine, RULES)) == "APPROVAL_SIGNATURE"
            )
        assert await reason_of(hand(activation.sign, "00" * 32, good, RULES)) == "NOT_FOUND"
        assert not await hand(activation.sign, sha256, good, RULES)

    in_a_world(cluster, work)


def test_a_proposal_of_other_texts_is_not_shown(cluster):
    async def work(world):
        hand = Hand(world)
        found = await hand(activation.propose, changed(), Change(), 0)
        world.sql(
            "UPDATE gateway.policy_bundle SET files ="
            " jsonb_set(files, '{01-floor.cedar}', to_jsonb('permit (principal, action, resource);'::text))"
            " WHERE sha256 = %s",
            bytes.fromhex(found.bundle.sha256),
        )
        with pytest.raises(BundleError, match=r"proposal .* not those of its digest"):
            await hand(activation.proposals)

    in_a_world(cluster, work)


def test_other_texts_under_a_digest_are_refused(cluster):
    async def work(world):
        world.sql(
            "UPDATE gateway.policy_bundle SET files ="
            " jsonb_set(files, '{01-floor.cedar}', to_jsonb('permit (principal, action, resource);'::text))"
        )
        with pytest.raises(BundleError, match="not those of its digest"):
            await Hand(world, "intake")(activation.active)

    in_a_world(cluster, work)


def test_no_other_role_writes(cluster):
    async def work(world):
        for role in ("identity", "intake", "disclosure", "front"):
            with pytest.raises(StoreError):
                await Hand(world, role)(activation.propose, changed(), Change(), 0)

        async def forget(tx: Transaction) -> None:
            await tx.execute("DELETE FROM gateway.policy_activation")

        for role in ("identity", "intake", "disclosure", "front", "administration"):
            with pytest.raises(StoreError):
                await Hand(world, role)(forget)

    in_a_world(cluster, work)


def test_nothing_in_force_is_said_so(cluster):
    async def work(world):
        world.sql("DELETE FROM gateway.policy_activation")
        assert await Hand(world)(activation.active) is None
        with pytest.raises(BundleError, match="no bundle was ever activated"):
            await Hand(world)(activation.proposals)

    in_a_world(cluster, work)


async def enter(tx: Transaction, bundled: bundle.Bundle, signed: list[Signature]) -> None:
    """Write it all past every check, as who owns the database does."""
    digest = bytes.fromhex(bundled.sha256)
    for one in signed:
        told = (one.person, one.account, one.certificate_sha256, one.signature, one.signed_us)
        await tx.execute(activation._SIGN, (2, digest, *told))
    await tx.execute(activation._ACTIVATE, (2, digest, signed[0].signed_us))


def test_certificates_that_no_authority_of_ours_issued_put_nothing_in_force(cluster):
    """The database's owner writes two officers' certificates of his own into the register, and signs with them."""

    async def work(world):
        hand, now_us = Hand(world), world.clock.now_us()
        owner = roles.conninfo(world.home, world.settings, "owner")
        root = issue.make_root("province", now_us)
        authority = issue.make_authority("client-authority", "province", root, now_us)
        real = [await officer(world, name) for name in ("a-one", "b-two")]
        false = [await newcomer(owner, authority, one.subject) for one in real]
        found = await hand(activation.propose, changed(LOOSER), Change(), now_us)
        sha256 = found.bundle.sha256
        signed = [signed_by(one, 2, sha256, now_us + n * 121 * US) for n, one in enumerate(false)]
        for mine in signed:
            why = await reason_of(hand(activation.sign, sha256, mine, RULES))
            assert why == "APPROVAL_SIGNATURE"
        await hand(enter, found.bundle, signed)
        for role in ("identity", "intake", "disclosure", "administration", "front"):
            with pytest.raises(BundleError, match="not signed by two officers"):
                await Hand(world, role)(activation.active)
        world.sql("DELETE FROM gateway.policy_activation WHERE number = 2")
        world.sql("DELETE FROM gateway.policy_signature")
        for n, one in enumerate(real):
            mine = signed_by(one, 2, sha256, now_us + n * 121 * US)
            done = await hand(activation.sign, sha256, mine, RULES)
        assert done
        assert (await hand(activation.active)).number == 2

    in_a_world(cluster, work)


def test_nobody_puts_another_bundle_in_the_first_ones_place(cluster):
    """It has no signatures: HOME knows which it was."""

    async def work(world):
        first = await Hand(world)(activation.first)
        trust(world).keep_first(first)
        other = bundle.of_files(changed(LOOSER)).sha256
        trust(world).keep_first(other)
        assert (await Hand(world)(activation.active)).bundle.sha256 == first
        owner = Hand(world, "owner")
        await owner(activation._keep, bundle.of_files(changed(LOOSER)), changed(LOOSER))
        put = "UPDATE gateway.policy_activation SET sha256 = %s WHERE number = 1"
        world.sql(put, bytes.fromhex(other))
        for role in ("identity", "intake", "disclosure", "administration", "front"):
            with pytest.raises(BundleError, match="not the bundle that this HOME began with"):
                await Hand(world, role)(activation.active)
        world.sql(put, bytes.fromhex(first))
        assert (await Hand(world)(activation.active)).bundle.sha256 == first

    in_a_world(cluster, work)
