"""identity.md section 7, attacks 82 and 83: renewing with a certificate that was superseded, and twice at the same moment.

Promise: a lineage has one certificate in use and one successor at most, whoever asks. Through the real front and the real
identity door; that a clone is caught at its second use is tests/attacks/test_defective_certificates.py.
"""

import asyncio

import pytest

from tests.coverage.rpcs import Watch, eventually, refused
from tests.papers import new_key
from tests.services.enrolling import renew
from tests.world import RefusedError, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


def used(world, serial):
    """Let a certificate in for the first time, as the front does."""
    world.sql("SELECT gateway.certificate_first_use(%s, %s)", serial, world.clock.now_us())
    world.clock.turn(seconds=0.3)


def states(world, person):
    rows = world.sql(
        "SELECT generation, state FROM gateway.certificate"
        " WHERE organisation = %s AND subject_name = %s ORDER BY generation",
        *(person.organisation, person.subject.name),
    )
    return [state for _, state in rows]


def test_82_a_superseded_certificate_renews_nothing(province, capsys):
    async def work(world):
        person = world.county
        answer = await renew(world, person)
        used(world, answer.certificate.serial)
        assert states(world, person) == [3, 1]
        for _ in range(2):
            watch = Watch(world)
            error = await refused(renew(world, person))
            assert (error.code, error.reason) == ("UNAUTHENTICATED", "CERT_SUPERSEDED")
            assert (await watch.only_leaf())["reason"] == "CERT_SUPERSEDED"
        # A lineage that was locked meanwhile says so, with the certificate that is in use too.
        world.sql(
            "UPDATE gateway.lineage SET locked_us = %s WHERE subject_name = %s AND organisation = %s",
            *(world.clock.now_us(), person.subject.name, person.organisation),
        )
        await eventually(lambda: locked(world, person))
        watch = Watch(world)
        error = await refused(renew(world, person))
        assert error.reason == (await watch.only_leaf())["reason"] == "LINEAGE_LOCKED"
        assert states(world, person) == [3, 1]
        assert (await renew(world, world.city)).certificate.generation > 1

    async def locked(world, person):
        return (await refused(renew(world, person))).reason == "LINEAGE_LOCKED"

    province.run(work(province.world))
    assert "PRIVATE KEY" not in capsys.readouterr().err


def test_83_twice_in_parallel_leaves_one_successor(province):
    async def work(world):
        person = world.other_county
        await renew(world, person)
        watch = Watch(world)
        done = await asyncio.gather(*(renew(world, person) for _ in range(12)))
        assert len({one.certificate.serial for one in done}) == 12
        # Each other key took the place of the one before; the present certificate still stands.
        assert states(world, person) == [1, *[3] * 12, 1]
        leaves = await watch.leaves()
        assert [leaf["decision"] for leaf in leaves] == ["allow"] * 12
        assert sorted(leaf["detail"]["generation"] for leaf in leaves) == list(range(3, 15))
        key = new_key()
        same = await asyncio.gather(*(renew(world, person, key) for _ in range(12)))
        assert len({one.certificate.serial for one in same}) == 1
        assert states(world, person).count(1) == 2

    province.run(work(province.world))


def test_83_the_key_of_a_successor_that_was_replaced_is_spent(province):
    async def work(world):
        key, person = new_key(), world.city
        await renew(world, person, key)
        await renew(world, person)
        watch = Watch(world)
        error = await refused(renew(world, person, key))
        assert isinstance(error, RefusedError)
        assert error.reason == (await watch.only_leaf())["reason"] == "FIELD_INVALID"
        await renew(world, person)

    province.run(work(province.world))
