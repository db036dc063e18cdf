import asyncio

import pytest

from gateway.errors import Reason, Refusal
from gateway.pki import defect, external, keys, register, succession
from tests.papers import new_key, request_for
from tests.pki.foreign import Foreign
from tests.pki.office import DAY_S, HIS, OTHER, at_the_office


async def refused(awaitable):
    with pytest.raises(Refusal) as found:
        await awaitable
    return found.value


def test_the_next_generation(conninfo):
    async def scene(office):
        first = await office.enrolled()
        second = await office.renew(first.serial, new_key())
        rows = await office.rows()
        assert (second.generation, rows[second.serial].lineage) == (2, rows[first.serial].lineage)
        assert {row.state for row in rows.values()} == {register.ACTIVE}
        # The first stays in force until the second is first used.
        assert await office.use(second.serial) == 1
        rows = await office.rows()
        assert rows[first.serial].state == defect.SUPERSEDED
        third = await office.renew(second.serial, new_key())
        assert third.generation == 3
        [(lineages,)] = await office.sql("SELECT count(*) FROM gateway.lineage")
        assert lineages == 1

    at_the_office(conninfo, scene)


def test_the_same_key_again_gets_the_same_certificate(conninfo):
    async def scene(office):
        first, key = await office.enrolled(), new_key()
        second = await office.renew(first.serial, key)
        assert await office.renew(first.serial, key) == second
        assert len(await office.rows()) == 2

    at_the_office(conninfo, scene)


def test_another_key_takes_the_place_of_one_that_was_never_used(conninfo):
    async def scene(office):
        first, lost = await office.enrolled(), new_key()
        second = await office.renew(first.serial, lost)
        third = await office.renew(first.serial, new_key())
        rows = await office.rows()
        assert rows[second.serial].state == defect.SUPERSEDED
        assert [rows[one.serial].state for one in (first, third)] == [1, 1]
        assert third.generation == 3
        # And what was superseded is a former key now.
        fault = await refused(office.renew(first.serial, lost))
        assert fault.violations[0].rule == "csr-key-seen"

    at_the_office(conninfo, scene)


def test_twice_in_parallel(conninfo):
    """83: one lineage has one unused successor, however many ask at once."""

    async def scene(office):
        first = await office.enrolled()
        made = await asyncio.gather(*(office.renew(first.serial, new_key()) for _ in range(8)))
        rows = await office.rows()
        waiting = [row for row in rows.values() if row.state == 1 and row.first_used_us is None]
        assert len(waiting) == 1
        assert sorted(one.generation for one in made) == list(range(2, 10))
        assert waiting[0].generation == 9
        assert rows[first.serial].state == 1
        key = new_key()
        same = await asyncio.gather(*(office.renew(first.serial, key) for _ in range(8)))
        assert len({one.serial for one in same}) == 1

    at_the_office(conninfo, scene)


def test_a_lineage_gets_so_many_certificates_a_day(conninfo):
    """Each is a row for ever and an entry of the list: who renews without pause would stop the whole province."""

    async def scene(office):
        first, most = await office.enrolled(), office.rules.renewal.most_per_day
        key = new_key()
        for _ in range(most - 2):
            await office.renew(first.serial, new_key())
        last = await office.renew(first.serial, key)
        fault = await refused(office.renew(first.serial, new_key()))
        assert fault.reason is Reason.RATE_LIMITED
        assert DAY_S - 600 < fault.retry_after_s <= DAY_S
        # A lost answer is answered still, and other lineages are not concerned.
        assert await office.renew(first.serial, key) == last
        other = await office.enrolled(OTHER, "other")
        assert (await office.renew(other.serial, new_key())).generation == 2
        office.clock.turn(seconds=fault.retry_after_s)
        assert (await office.renew(first.serial, new_key())).generation == most + 1

    at_the_office(conninfo, scene)


def test_a_week_after_its_end_it_is_renewed_and_then_no_more(conninfo):
    async def scene(office):
        first = await office.enrolled()
        ends_us = (await office.rows())[first.serial].not_after_us
        office.clock.us = ends_us + 7 * DAY_S * 1_000_000
        assert (
            await refused(office.renew(first.serial, new_key()))
        ).reason is Reason.RENEWAL_CLOSED
        office.clock.us -= 1
        assert (await office.renew(first.serial, new_key())).generation == 2

    at_the_office(conninfo, scene)


def test_what_was_never_used_and_has_ended_is_renewed_and_stays(conninfo):
    """Enrolled, then three weeks of silence: each lost answer asked again with a new key locks nobody out."""

    async def scene(office):
        first = await office.enrolled(used=False)
        office.clock.turn(seconds=20 * DAY_S)
        for _ in range(3):
            last = await office.renew(first.serial, new_key())
        rows = await office.rows()
        assert rows[first.serial].state == 1
        assert await office.use(last.serial) == 1
        assert (await office.rows())[first.serial].state == defect.SUPERSEDED

    at_the_office(conninfo, scene)


def test_a_successor_that_ended_unused_is_issued_anew_to_the_same_key(conninfo):
    async def scene(office):
        first, key = await office.enrolled(), new_key()
        office.clock.turn(seconds=1 * DAY_S)
        second = await office.renew(first.serial, key)
        office.clock.turn(seconds=15 * DAY_S)
        third = await office.renew(first.serial, key)
        assert third.serial != second.serial
        rows = await office.rows()
        assert rows[second.serial].state == defect.SUPERSEDED
        assert rows[third.serial].not_after_us > office.clock.now_us()

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("gateway.lineage SET locked_us = 1", Reason.LINEAGE_LOCKED),
        (
            "gateway.certificate SET state = 2, revoked_us = 1, reason = 'cessation'",
            Reason.CERT_REVOKED,
        ),
        (
            "gateway.certificate SET state = 3, revoked_us = 1, reason = 'superseded'",
            Reason.CERT_SUPERSEDED,
        ),
        ("gateway.system SET state = 2", Reason.SYSTEM_SUSPENDED),
        ("gateway.organisation SET state = 2", Reason.ORGANISATION_SUSPENDED),
        ("gateway.certificate SET not_before_us = not_after_us - 1", Reason.RENEWAL_CLOSED),
    ],
)
def test_who_is_not_renewed(conninfo, change, reason):
    """82: a superseded certificate renews nothing."""

    async def scene(office):
        first = await office.enrolled()
        await office.sql(f"UPDATE {change}")
        assert (await refused(office.renew(first.serial, new_key()))).reason is reason
        assert len(await office.rows()) == 1

    at_the_office(conninfo, scene)


def test_what_an_external_authority_issued_is_renewed_there(conninfo):
    async def scene(office):
        foreign = Foreign.make(office.clock.now_us())
        external.trust(office.home, foreign.certificate, foreign.revocations())
        first = await office.enrolled()
        digest = keys.spki_sha256(foreign.certificate.public_key())
        await office.sql("UPDATE gateway.certificate SET issuer_sha256 = %s", digest)
        found = await refused(office.renew(first.serial, new_key()))
        assert found.reason is Reason.RENEWAL_CLOSED
        assert len(await office.rows()) == 1
        await office.sql("UPDATE gateway.certificate SET issuer_sha256 = %s", first.issuer_sha256)
        assert (await office.renew(first.serial, new_key())).generation == 2

    at_the_office(conninfo, scene)


def test_what_is_not_in_the_register_is_not_renewed(conninfo):
    async def scene(office):
        assert (await refused(office.renew("ab", new_key()))).reason is Reason.CERT_UNKNOWN

    at_the_office(conninfo, scene)


def test_the_key_must_be_new(conninfo):
    """79: the present key, the one before, another system's, the authority's."""

    async def scene(office):
        present, others = new_key(), new_key()
        done = await office.enrol(await office.invite(HIS, "1"), present)
        await office.use(done.issued.serial)
        await office.enrol(await office.invite(OTHER, "2"), others, "140200")
        own = office.issuer._authorities.issuing().key
        for key, rule in (
            (present, "csr-key-seen"),
            (others, "csr-key-seen"),
            (own, "csr-key-own"),
        ):
            fault = await refused(office.renew(done.issued.serial, key))
            assert (fault.reason, fault.violations[0].rule) == (Reason.FIELD_INVALID, rule)
        fault = await refused(office.renew(done.issued.serial, b"nothing"))
        assert fault.violations[0].rule == "csr-encoding"
        second = await office.renew(done.issued.serial, new_key())
        await office.use(second.serial)
        fault = await refused(office.renew(second.serial, present))
        assert fault.violations[0].rule == "csr-key-seen"

    at_the_office(conninfo, scene)


def test_two_bearers_cannot_get_one_key_at_the_same_moment(conninfo):
    async def scene(office):
        mine = await office.enrolled(HIS, "1")
        others = await office.enrolled(OTHER, "2")
        key = new_key()
        done = await asyncio.gather(
            office.renew(mine.serial, key), office.renew(others.serial, key), return_exceptions=True
        )
        assert sum(isinstance(one, Refusal) for one in done) == 1
        assert len(await office.rows()) == 3

    at_the_office(conninfo, scene)


def test_the_request_is_proof_that_the_key_is_held(conninfo):
    async def scene(office):
        first = await office.enrolled()
        forged = bytearray(request_for(new_key()))
        forged[-1] ^= 1
        fault = await refused(office.renew(first.serial, bytes(forged)))
        assert fault.violations[0].rule in ("csr-signature", "csr-encoding")

    at_the_office(conninfo, scene)


def test_a_row_that_names_another_bearer_makes_nobody_somebody_else(conninfo):
    """Whoever owns the database writes an officer's name beside the serial of his own system."""

    async def scene(office):
        first, csr = await office.enrolled(HIS), request_for(new_key())
        shown = str(office.issuer.subject(HIS))
        await office.sql(
            "UPDATE gateway.certificate SET subject_kind = 'officer', subject_name = 'chen'"
        )

        async def renew(tx):
            return await succession.succeed(office.issuer, tx, first.serial, shown, csr)

        assert (await refused(office.as_("identity", renew))).reason is Reason.CERT_UNKNOWN
        assert set(await office.rows()) == {first.serial}

    at_the_office(conninfo, scene)
