from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SYSTEM
from gateway.errors import Reason, Refusal
from gateway.pki import issue, register
from gateway.store.database import UniqueViolationError
from tests.pki.forge import CITY, Ca
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
