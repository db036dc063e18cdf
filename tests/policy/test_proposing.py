"""A bundle is signed by two officers of the province, in time, and by nobody else; its proposal has a leaf."""

from dataclasses import replace

import pytest

from gateway.policy import activation, bundle, proposing
from gateway.policy.bundle import BundleError
from gateway.policy.proposing import Change, Proposal
from gateway.store.database import Transaction
from tests.policies import (
    LOOSER,
    RULES,
    SHIPPED,
    TIGHTER,
    changed,
    proposal_leaf,
    propose,
    sign,
    tell,
)  # fmt: skip
from tests.policy.test_activation import US, Hand, in_a_world, reason_of, signed_by
from tests.sealed import officer


def test_proposed_signed_twice_in_force(cluster):
    async def work(world):
        hand = Hand(world)
        one, two = await officer(world, "a-one"), await officer(world, "b-two")
        begun = world.clock.now_us()
        assert (await hand(activation.active)).number == 1
        found = await hand(propose, changed(), Change(), begun)
        again = await hand(propose, changed(), Change(), begun + 1000 * US)
        assert (found.number, again.proposed_us) == (2, begun)
        sha256 = found.bundle.sha256
        first = signed_by(one, 2, sha256, begun)
        assert not await hand(sign, sha256, first, RULES)
        assert await reason_of(hand(sign, sha256, first, RULES)) == "APPROVAL_SAME_PERSON"
        soon = signed_by(two, 2, sha256, begun + 119 * US)
        assert await reason_of(hand(sign, sha256, soon, RULES)) == "APPROVAL_TOO_SOON"
        assert await hand(sign, sha256, replace(soon, signed_us=begun + 120 * US), RULES)
        current = await hand(activation.active)
        assert (current.number, current.bundle.sha256) == (2, sha256)
        assert current.files == changed()
        assert await hand(activation.was_active, found.bundle.sha256)
        assert await hand(proposing.proposals) == []
        assert await reason_of(hand(propose, changed(), Change(), 1)) == "ALREADY_EXISTS"
        # What was signed for the second activation says nothing of the third or a later one.
        back = await hand(propose, SHIPPED, Change(), begun + 3000 * US)
        old = signed_by(one, 2, back.bundle.sha256, begun + 3000 * US)
        assert await reason_of(hand(sign, back.bundle.sha256, old, RULES)) == "APPROVAL_SIGNATURE"

    in_a_world(cluster, work)


def test_a_loosening_opens_a_day_later(cluster):
    async def work(world):
        hand = Hand(world)
        change = Change(newly_allowed=("somebody",))
        found = await hand(propose, changed(LOOSER), change, 0)
        assert found.opens_us(RULES) == 24 * 3600 * US
        tighter = await hand(propose, changed(TIGHTER), Change(newly_denied=("x",)), 7)
        assert tighter.opens_us(RULES) == 7

    in_a_world(cluster, work)


def test_a_citys_officer_signs_nothing_that_counts(cluster):
    async def work(world):
        hand = Hand(world)
        one, city = await officer(world, "a-one"), world.city_admin
        found = await hand(propose, changed(), Change(), 0)
        sha256 = found.bundle.sha256
        await hand(sign, sha256, signed_by(one, 2, sha256, world.clock.now_us()), RULES)
        late = signed_by(city, 2, sha256, world.clock.now_us() + 200 * US)
        for mine in (late, replace(late, person="b-two"), replace(late, signature=b"")):
            assert await reason_of(hand(sign, sha256, mine, RULES)) == "APPROVAL_SIGNATURE"
        assert (await hand(activation.active)).number == 1

        # And were it written all the same, nobody would take it.
        async def forge(tx: Transaction) -> None:
            digest = bytes.fromhex(sha256)
            whose = (late.person, late.account, late.certificate_sha256)
            told = (*whose, late.signature, late.signed_us)
            await tx.execute(proposing._SIGN, (2, digest, *told))
            await tx.execute(activation._ACTIVATE, (2, digest, 0))

        await hand(forge)
        with pytest.raises(BundleError, match="not signed by two officers"):
            await hand(activation.active)

    in_a_world(cluster, work)


def test_what_is_no_signature_of_a_key_of_ours(cluster):
    async def work(world):
        hand = Hand(world)
        one = await officer(world, "a-one")
        found = await hand(propose, changed(), Change(), 0)
        sha256 = found.bundle.sha256
        good = signed_by(one, 2, sha256, world.clock.now_us())
        unknown = replace(good, certificate_sha256=b"\0" * 32)
        for mine in (unknown, replace(good, signature=good.signature + b"\0" * 20)):
            assert await reason_of(hand(sign, sha256, mine, RULES)) == "APPROVAL_SIGNATURE"
        assert await reason_of(hand(sign, "00" * 32, good, RULES)) == "NOT_FOUND"
        assert not await hand(sign, sha256, good, RULES)

    in_a_world(cluster, work)


def test_a_proposal_of_other_texts_is_not_shown(cluster):
    async def work(world):
        hand = Hand(world)
        found = await hand(propose, changed(), Change(), 0)
        world.sql(
            "UPDATE gateway.policy_bundle SET files ="
            " jsonb_set(files, '{01-floor.cedar}', to_jsonb('permit (principal, action, resource);'::text))"
            " WHERE sha256 = %s",
            bytes.fromhex(found.bundle.sha256),
        )
        with pytest.raises(BundleError, match=r"proposal .* not those of its digest"):
            await hand(proposing.proposals)

    in_a_world(cluster, work)


def test_a_bundle_without_the_rules_of_exports_is_neither_proposed_nor_signed(cluster):
    async def work(world):
        hand, now_us = Hand(world), world.clock.now_us()
        lacking = {name: text for name, text in changed().items() if name != "exports.toml"}
        with pytest.raises(BundleError, match=r"exports\.toml"):
            await hand(propose, lacking, Change(), now_us)
        # Proposed by an earlier version.
        found = bundle.of_files(lacking)
        await hand(activation.keep, found, lacking)

        async def enter_it(tx: Transaction) -> None:
            digest = bytes.fromhex(found.sha256)
            await tx.execute(proposing._PROPOSE, (2, digest, now_us, [], [], 0, 0))
            one = Proposal(2, found, lacking, now_us, Change(), ())
            await tell(tx, proposal_leaf(one), now_us)

        await hand(enter_it)
        mine = signed_by(await officer(world, "a-one"), 2, found.sha256, now_us)
        assert await reason_of(hand(sign, found.sha256, mine, RULES)) == "POLICIES_UNUSABLE"

    in_a_world(cluster, work)


def test_without_its_leaf_a_proposal_is_none(cluster):
    async def work(world):
        hand, now_us = Hand(world), world.clock.now_us()
        found = await hand(proposing.propose, changed(), Change(), now_us)
        mine = signed_by(await officer(world, "a-one"), 2, found.bundle.sha256, now_us)
        assert await reason_of(hand(sign, found.bundle.sha256, mine, RULES)) == "NOT_FOUND"
        await hand(propose, changed(), Change(), now_us)
        assert not await hand(sign, found.bundle.sha256, mine, RULES)

    in_a_world(cluster, work)
