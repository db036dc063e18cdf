"""Which bundle is in force: texts and signatures are verified by whoever reads them, whoever wrote them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.activation import ActivationRules
from gateway.errors import Refusal
from gateway.pki import ceremony
from gateway.policy import activation
from gateway.policy.activation import Change, Signature
from gateway.policy.bundle import BundleError
from gateway.store import roles
from gateway.store.database import Database, StoreError, Transaction
from tests.policies import LOOSER, SHIPPED, TIGHTER, changed, signature
from tests.sealed import officer
from tests.world import World, fresh_ground

RULES = ActivationRules(apart_s=120, loosening_hours=24)
US = 1_000_000


def in_a_world(cluster, work: Callable[[World], Awaitable[None]]) -> None:
    async def run(ground):
        async with World.open(ground, ()) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


class Hand:
    """A database role's hands."""

    def __init__(self, world: World, role: str = "administration") -> None:
        self.world, self.role = world, role

    async def __call__(self, work: Callable[..., Awaitable[object]], *given: object) -> object:
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
        assert (await hand(activation.active)).number == 1
        found = await hand(activation.propose, changed(), Change(), 1000 * US)
        again = await hand(activation.propose, changed(), Change(), 2000 * US)
        assert (found.number, again.proposed_us) == (2, 1000 * US)
        sha256 = found.bundle.sha256
        first = signed_by(one, 2, sha256, 1000 * US)
        assert not await hand(activation.sign, sha256, first, RULES)
        assert (
            await reason_of(hand(activation.sign, sha256, first, RULES)) == "APPROVAL_SAME_PERSON"
        )
        soon = signed_by(two, 2, sha256, 1119 * US)
        assert await reason_of(hand(activation.sign, sha256, soon, RULES)) == "APPROVAL_TOO_SOON"
        assert await hand(activation.sign, sha256, replace(soon, signed_us=1120 * US), RULES)
        current = await hand(activation.active)
        assert (current.number, current.bundle.sha256) == (2, sha256)
        assert current.files == changed()
        assert await hand(activation.was_active, found.bundle.sha256)
        assert await hand(activation.proposals) == []
        assert await reason_of(hand(activation.propose, changed(), Change(), 1)) == "ALREADY_EXISTS"
        # What was signed for the second activation says nothing of the third or a later one.
        back = await hand(activation.propose, SHIPPED, Change(), 3000 * US)
        old = signed_by(one, 2, back.bundle.sha256, 3000 * US)
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
        await hand(activation.sign, sha256, signed_by(one, 2, sha256, 0), RULES)

        async def activate(tx: Transaction) -> None:
            digest = bytes.fromhex(sha256)
            await tx.execute(activation._ACTIVATE, (2, digest, 0))

        await hand(activate)
        for role in ("identity", "intake", "disclosure", "administration", "front"):
            with pytest.raises(BundleError, match="not signed by two officers"):
                await Hand(world, role)(activation.active)

        # A second row for the same person under another name, with the one signature it has.
        async def forge(tx: Transaction) -> None:
            mine = signed_by(one, 2, sha256, 0)
            row = ("b-two", "b-two", mine.certificate_sha256, mine.signature, 0)
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
        await hand(activation.sign, sha256, signed_by(one, 2, sha256, 0), RULES)
        late = signed_by(city, 2, sha256, 200 * US)
        for mine in (late, replace(late, person="b-two"), replace(late, signature=b"")):
            assert (
                await reason_of(hand(activation.sign, sha256, mine, RULES)) == "APPROVAL_SIGNATURE"
            )
        assert (await hand(activation.active)).number == 1

        # And were it written all the same, nobody would take it.
        async def forge(tx: Transaction) -> None:
            digest = bytes.fromhex(sha256)
            told = (late.person, late.account, late.certificate_sha256, late.signature, 0)
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
        good = signed_by(one, 2, sha256, 0)
        unknown = replace(good, certificate_sha256=b"\0" * 32)
        for mine in (unknown, replace(good, signature=good.signature + b"\0" * 20)):
            assert (
                await reason_of(hand(activation.sign, sha256, mine, RULES)) == "APPROVAL_SIGNATURE"
            )
        assert await reason_of(hand(activation.sign, "00" * 32, good, RULES)) == "NOT_FOUND"
        # A certificate of another kind of key signs nothing, whatever lies in the register.
        for pem in (x509_of_rsa(), ceremony.pem(one.certificate).decode()):
            assert not activation._verifies(pem, b"x", good.signature)
            assert not activation._verifies(pem, b"x", None)
        assert not await hand(activation.sign, sha256, good, RULES)

    in_a_world(cluster, work)


def x509_of_rsa() -> str:
    """A self-made certificate of an RSA key, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


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
