from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SYSTEM
from gateway.errors import Reason, Refusal
from gateway.pki import issue, register
from gateway.store.database import UniqueViolationError
from tests.papers import new_key
from tests.pki.forge import CITY, Ca
from tests.pki.office import HIS, OTHER, at_the_office
from tests.pki.register_stage import on


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


def test_a_certificate_is_entered_once(conninfo, ca):
    leaf = x509.load_der_x509_certificate(ca.good().chain[0])

    async def work(database):
        async with database.transaction() as tx:
            await register.insert(tx, leaf, CITY)
        with pytest.raises(UniqueViolationError):
            async with database.transaction() as tx:
                await register.insert(tx, leaf, CITY)
        async with database.transaction() as tx:
            return await register.rows(tx)

    (row,) = on(conninfo, "identity", work)
    assert (row.organisation, row.subject_kind, row.subject_name, row.state) == (
        "140100",
        "sys",
        "his",
        register.ACTIVE,
    )
    assert row.serial == f"{leaf.serial_number:x}"
    assert row.revoked_us is None
    assert row.not_after_us - row.not_before_us == 14 * 86_400_000_000


def test_one_key_has_one_bearer(conninfo, ca):
    """79: a key certified for another subject before is refused; for the same subject it may be certified again."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    other = replace(CITY, organisation="140200")
    made = [
        issue.client_certificate(ca.client, subject, key, ca.now_us)
        for subject in (CITY, CITY, other)
    ]

    async def work(database):
        async with database.transaction() as tx:
            await register.insert(tx, made[0], CITY)
            await register.insert(tx, made[1], CITY)
        async with database.transaction() as tx:
            with pytest.raises(Refusal) as refusal:
                await register.insert(tx, made[2], other)
            assert refusal.value.reason is Reason.FIELD_INVALID

    on(conninfo, "identity", work)


def test_pages_go_from_the_newest_on_and_may_leave_out_what_is_over(conninfo):
    async def scene(office):
        first = await office.enrolled(HIS, "1")
        office.clock.turn(seconds=10)
        second = await office.renew(first.serial, new_key())
        await office.use(second.serial)
        office.clock.turn(seconds=10)
        third = await office.enrolled(OTHER, "2")

        async def page(organisation="", in_force_us=None, before=(1 << 62, "")):
            found = await office.as_(
                "administration",
                lambda tx: register.page(tx, organisation, before, 10, in_force_us),
            )
            return [row.serial for row in found]

        assert await page() == [third.serial, second.serial, first.serial]
        assert await page("140100") == [second.serial, first.serial]
        now_us = office.clock.now_us()
        assert await page("", now_us) == [third.serial, second.serial]
        assert await page("", now_us + 15 * 86_400_000_000) == []
        await office.sql("UPDATE gateway.lineage SET locked_us = 1 WHERE organisation = '140200'")
        assert await page("", now_us) == [second.serial]
        row = await office.as_("front", lambda tx: register.read(tx, third.serial))
        assert (row.bearer, row.locked_us, row.life.locked_us) == (OTHER, 1, 1)
        assert await page("", None, (row.not_before_us, row.serial)) == [
            second.serial,
            first.serial,
        ]
        again = await office.as_("identity", lambda tx: register.issued(tx, third.serial))
        assert again == third
        with pytest.raises(Refusal):
            await office.as_("identity", lambda tx: register.issued(tx, "ab"))
        assert await office.as_("identity", lambda tx: register.read(tx, "ab")) is None

    at_the_office(conninfo, scene)
