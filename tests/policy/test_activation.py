"""Which bundle is in force: texts and signatures are verified by whoever reads them, whoever wrote them."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from psycopg.conninfo import make_conninfo

from gateway.errors import Refusal
from gateway.pki import issue, retired
from gateway.policy import activation, bundle, proposing
from gateway.policy.bundle import BundleError
from gateway.policy.proposing import Change, Signature
from gateway.policy.trust import Trust
from gateway.store import roles
from gateway.store.database import Database, StoreError, Transaction
from tests.people import newcomer
from tests.policies import (
    LOOSER,
    RULES,
    SHIPPED,
    changed,
    propose,
    sign,
    signature,
    signature_leaf,
    tell,
)  # fmt: skip
from tests.sealed import officer
from tests.world import World, fresh_ground

US = 1_000_000
# What verifies signatures, and is given the authorities.
ASKING = {
    *(activation.active, activation.in_force),
    *(proposing.proposals, proposing.propose, proposing.sign, propose, sign),
}


def in_a_world(cluster, work: Callable[[World], Awaitable[None]]) -> None:
    async def run(ground):
        async with World.open(ground, ()) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def trust(world: World) -> Trust:
    """The authorities of a world's HOME, as everybody who reads what is in force knows them."""
    return Trust.of(world.home, world.settings)


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


def test_the_administration_role_alone_puts_nothing_in_force(cluster):
    """It may write all rows; without two officers' signatures nobody takes what it wrote."""

    async def work(world):
        hand = Hand(world)
        one = await officer(world, "a-one")
        found = await hand(propose, changed(LOOSER), Change(), 0)
        sha256 = found.bundle.sha256
        await hand(sign, sha256, signed_by(one, 2, sha256, world.clock.now_us()), RULES)

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
            await tx.execute(proposing._SIGN, (2, bytes.fromhex(sha256), *row))

        await hand(forge)
        with pytest.raises(BundleError, match="not signed by two officers"):
            await hand(activation.active)

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
                await Hand(world, role)(propose, changed(), Change(), 0)

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
            await Hand(world)(proposing.proposals)

    in_a_world(cluster, work)


def test_signatures_without_leaves_count_for_a_home_of_before_alone(cluster):
    """It keeps what is in force by its mark; the next activation is told."""

    async def work(world):
        hand, now_us = Hand(world), world.clock.now_us()
        people = [await officer(world, name) for name in ("a-one", "b-two")]
        found = await hand(proposing.propose, changed(), Change(), now_us)
        sha256 = found.bundle.sha256
        signed = [signed_by(one, 2, sha256, now_us + n * 121 * US) for n, one in enumerate(people)]
        await hand(enter, found.bundle, signed)

        async def before(tx: Transaction) -> activation.Active | None:
            return await activation.active(tx, trust(world), untold=True)

        with pytest.raises(BundleError, match="as the log tells it"):
            await hand(activation.active)
        kept = await hand(before)
        assert (kept.number, kept.leaf) == (2, None)
        trust(world).keep(kept.mark)
        assert (await hand(activation.active)).number == 2
        world.clock.turn(seconds=1000)
        now_us = world.clock.now_us()
        back = await hand(propose, SHIPPED, Change(), now_us)
        for n, one in enumerate(people):
            mine = signed_by(one, 3, back.bundle.sha256, now_us + n * 121 * US)
            done = await hand(sign, back.bundle.sha256, mine, RULES)
        assert done
        current = await hand(activation.active)
        assert (current.number, current.activated_us) == (3, now_us + 121 * US)
        assert current.leaf == world.size() - 1
        trust(world).keep(current.mark)
        # Nothing that is told or revoked afterwards unseats what HOME knows; its signatures must lie there.
        world.sql("UPDATE gateway.certificate SET state = 2, revoked_us = 1")
        assert (await hand(activation.active)).number == 3
        trust(world).reached.write_text(f"3 {back.bundle.sha256} {world.size()}\n")
        assert (await hand(activation.active)).number == 3
        trust(world).reached.write_text(f"3 {back.bundle.sha256} -\n")
        assert (await hand(activation.active)).number == 3
        trust(world).reached.write_text(f"2 {sha256} -\n")
        with pytest.raises(BundleError, match="as the log tells it"):
            await hand(activation.active)
        trust(world).keep(current.mark)
        gone = (
            "DELETE FROM gateway.policy_signature WHERE number = 3 AND person = 'b-two' RETURNING *"
        )
        [columns] = world.sql(gone)
        with pytest.raises(BundleError, match="as the log tells it"):
            await hand(activation.active)
        back_again = (
            f"INSERT INTO gateway.policy_signature VALUES ({', '.join(['%s'] * len(columns))})"
        )
        world.sql(back_again, *columns)
        assert (await hand(activation.active)).number == 3
        # The one of before is no way back.
        world.sql("DELETE FROM gateway.policy_activation WHERE number = 3")
        with pytest.raises(BundleError, match="a newer one was in force"):
            await hand(activation.active)

    in_a_world(cluster, work)


def test_what_a_retired_authority_issued_counts_before_its_retirement(cluster):
    """Who has its key signs as two officers, and writes rows and leaves: they stand too late."""

    async def work(world):
        hand, now_us = Hand(world), world.clock.now_us()
        owner = roles.conninfo(world.home, world.settings, "owner")
        real = [await officer(world, name) for name in ("a-one", "b-two")]
        root = issue.make_root("province", now_us)
        gone = issue.make_authority("client-authority", "province", root, now_us)
        false = [await newcomer(owner, gone, one.subject) for one in real]
        found = await hand(propose, changed(LOOSER), Change(), now_us)
        sha256, former = found.bundle.sha256, world.home.former_authorities
        signed = [signed_by(one, 2, sha256, now_us + n * 121 * US) for n, one in enumerate(false)]
        retired.keep(former, gone.certificate, world.size())
        try:
            await hand(enter, found.bundle, signed)
            for n, mine in enumerate(signed):
                told = signature_leaf(2, sha256, mine, active=n == 1)
                await hand(tell, told, mine.signed_us)
            with pytest.raises(BundleError, match="not signed by two officers"):
                await hand(activation.active)
            former.unlink()
            retired.keep(former, gone.certificate, world.size())
            assert (await hand(activation.active)).number == 2
        finally:
            former.unlink()

    in_a_world(cluster, work)


def test_a_leaf_that_was_edited_is_not_in_the_tree(cluster):
    """The signer signed other bytes; who owns the database's machine wrote a role into the leaf afterwards."""

    async def work(world):
        hand, now_us = Hand(world), world.clock.now_us()
        found = await hand(propose, changed(), Change(), now_us)
        for n, name in enumerate(("a-one", "b-two")):
            at_us, person = now_us + n * 121 * US, await officer(world, name)
            mine = signed_by(person, 2, found.bundle.sha256, at_us)
            await hand(sign, found.bundle.sha256, mine, RULES)
        index = (await hand(activation.active)).leaf
        [[name, good]] = world.sql(
            "SELECT current_database(), leaf FROM gateway.audit_entry WHERE idx = %s", index
        )
        edit = "UPDATE gateway.audit_entry SET leaf = %s, leaf_hash = sha256('\\x00'::bytea || %s) WHERE idx = %s"
        with psycopg.connect(make_conninfo(world._superuser, dbname=name), autocommit=True) as at:
            at.execute("SET session_replication_role = replica")
            for leaf, whole in (
                (good.replace(b"security_officer", b"approver"), False),
                (good, True),
            ):
                at.execute(edit, (leaf, leaf, index))
                for role in ("identity", "intake", "disclosure", "administration", "front"):
                    if whole:
                        assert (await Hand(world, role)(activation.active)).leaf == index
                        continue
                    with pytest.raises(BundleError, match="not whole"):
                        await Hand(world, role)(activation.active)

    in_a_world(cluster, work)


def test_a_signature_by_what_is_no_certificate_unseats_nothing(cluster):
    """A row, and a leaf beside those of the two who signed."""

    async def work(world):
        hand, now_us = Hand(world), world.clock.now_us()
        *people, third = [await officer(world, name) for name in ("a-one", "b-two", "c-three")]
        found = await hand(propose, changed(), Change(), now_us)
        sha256 = found.bundle.sha256
        for n, one in enumerate(people):
            mine = signed_by(one, 2, sha256, now_us + n * 121 * US)
            assert await hand(sign, sha256, mine, RULES) == (n == 1)
        mine = signed_by(third, 2, sha256, now_us + 500 * US)
        row = (mine.person, mine.account, mine.certificate_sha256, mine.signature, mine.signed_us)
        world.sql(proposing._SIGN, 2, bytes.fromhex(sha256), *row)
        await hand(tell, signature_leaf(2, sha256, mine, active=True), mine.signed_us)
        world.sql("UPDATE gateway.certificate SET pem = 'none' WHERE serial = %s", third.serial)
        for role in ("identity", "intake", "disclosure", "administration", "front"):
            assert (await Hand(world, role)(activation.active)).number == 2

    in_a_world(cluster, work)


async def enter(
    tx: Transaction, bundled: bundle.Bundle, signed: list[Signature], number: int = 2
) -> None:
    """Write it all past every check, as who owns the database does."""
    digest = bytes.fromhex(bundled.sha256)
    for one in signed:
        told = (one.person, one.account, one.certificate_sha256, one.signature, one.signed_us)
        await tx.execute(proposing._SIGN, (number, digest, *told))
    await activation.activate(tx, number, bundled.sha256, signed[0].signed_us)


def test_certificates_that_no_authority_of_ours_issued_put_nothing_in_force(cluster):
    """The database's owner writes two officers' certificates of his own into the register, and signs with them."""

    async def work(world):
        hand, now_us = Hand(world), world.clock.now_us()
        owner = roles.conninfo(world.home, world.settings, "owner")
        root = issue.make_root("province", now_us)
        authority = issue.make_authority("client-authority", "province", root, now_us)
        real = [await officer(world, name) for name in ("a-one", "b-two")]
        false = [await newcomer(owner, authority, one.subject) for one in real]
        found = await hand(propose, changed(LOOSER), Change(), now_us)
        sha256 = found.bundle.sha256
        signed = [signed_by(one, 2, sha256, now_us + n * 121 * US) for n, one in enumerate(false)]
        for mine in signed:
            why = await reason_of(hand(sign, sha256, mine, RULES))
            assert why == "APPROVAL_SIGNATURE"
        await hand(enter, found.bundle, signed)
        for role in ("identity", "intake", "disclosure", "administration", "front"):
            with pytest.raises(BundleError, match="not signed by two officers"):
                await Hand(world, role)(activation.active)
        world.sql("DELETE FROM gateway.policy_activation WHERE number = 2")
        world.sql("DELETE FROM gateway.policy_signature")
        for n, one in enumerate(real):
            mine = signed_by(one, 2, sha256, now_us + n * 121 * US)
            done = await hand(sign, sha256, mine, RULES)
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
        await owner(activation.keep, bundle.of_files(changed(LOOSER)), changed(LOOSER))
        put = "UPDATE gateway.policy_activation SET sha256 = %s WHERE number = 1"
        world.sql(put, bytes.fromhex(other))
        for role in ("identity", "intake", "disclosure", "administration", "front"):
            with pytest.raises(BundleError, match="not the bundle that this HOME began with"):
                await Hand(world, role)(activation.active)
        world.sql(put, bytes.fromhex(first))
        assert (await Hand(world)(activation.active)).bundle.sha256 == first

    in_a_world(cluster, work)
