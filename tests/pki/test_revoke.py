import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import US_PER_S, TurnedClock
from gateway.errors import Reason, Refusal
from gateway.pki import ceremony, crl, der, issue, register, revoke
from gateway.pki.paths import Trust
from gateway.pki.verify import Verifier
from gateway.store.database import Database
from tests.pki.forge import CITY
from tests.pki.ground import founded_home
from tests.pki.register_stage import on

NOW_US = 1_790_000_000_000_000


def test_from_the_row_to_the_list(conninfo):
    """One act: the row, the epoch, the list; and the verifier that loads it refuses."""
    with founded_home() as home:
        authority = ceremony.client_authority(home)
        now_us = x509_time(home)
        leaf = issue.client_certificate(
            authority, CITY, ec.generate_private_key(ec.SECP256R1()).public_key(), now_us
        )
        serial = f"{leaf.serial_number:x}"

        async def enter(database):
            async with database.transaction() as tx:
                await register.insert(tx, leaf, CITY)

        async def take_back(database):
            async with database.transaction() as tx:
                bearer = await revoke.revoke(tx, serial, "key-compromise", now_us)
            async with database.transaction() as tx:
                return bearer, await revoke.renew(home, tx, authority, now_us)

        on(conninfo, "identity", enter)
        bearer, number = on(conninfo, "administration", take_back)
        assert (bearer.organisation, bearer.kind, bearer.name) == ("140100", "sys", "his")
        made = der.revocation_list(home.crl.read_bytes())
        assert crl.number_of(made) == number > 0
        assert made.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
        judge = Verifier(
            Trust((authority.certificate,), (made,)), CITY.trust_domain, TurnedClock(now_us)
        )
        assert judge.judge((leaf.public_bytes(Encoding.DER),)).defect is Reason.CERT_REVOKED


def x509_time(home):
    made = x509.load_pem_x509_certificate(home.client_authority_certificate.read_bytes())
    return int(made.not_valid_before_utc.timestamp() + 600) * US_PER_S


@pytest.mark.parametrize(
    ("serial", "why", "reason"),
    [("ab", "unspecified", Reason.NOT_FOUND), ("ab", "because", Reason.FIELD_INVALID)],
)
def test_what_cannot_be_revoked(conninfo, serial, why, reason):
    async def work(database):
        async with database.transaction() as tx:
            with pytest.raises(Refusal) as refusal:
                await revoke.revoke(tx, serial, why, NOW_US)
            assert refusal.value.reason is reason

    on(conninfo, "administration", work)


def test_twice_is_told(conninfo):
    async def work(database):
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO gateway.certificate (serial, organisation, subject_kind, subject_name, spki_sha256, certificate_sha256,"
                " not_before_us, not_after_us, state, pem) VALUES ('ab', '140100', 'sys', 'his', sha256('a'), sha256('b'), 1, 2, 1, '')"
            )
            await revoke.revoke(tx, "ab", "superseded", NOW_US)
            with pytest.raises(Refusal) as refusal:
                await revoke.revoke(tx, "ab", "superseded", NOW_US)
            assert refusal.value.reason is Reason.ALREADY_EXISTS

    on(conninfo, "owner", work)


def test_the_keeper_renews_when_something_changed_or_an_hour_passed(conninfo):
    """The number only grows, also when the database was set back to an earlier epoch."""
    with founded_home() as home:
        clock = TurnedClock(x509_time(home))

        def number():
            return crl.number_of(der.revocation_list(home.crl.read_bytes()))

        async def work(database: Database):
            keeper = revoke.Keeper(home, database, clock)
            assert await keeper.look()
            assert not await keeper.look()
            first = number()
            clock.turn(seconds=3_601)
            assert await keeper.look()
            assert number() == first + 1
            owner = await Database.open(conninfo("owner"), application="test", size=1)
            async with owner.transaction() as tx:
                await tx.execute("UPDATE gateway.epoch SET value = 1000 WHERE name = 'revocation'")
            assert await keeper.look()
            assert number() == 1000
            async with owner.transaction() as tx:
                await tx.execute("UPDATE gateway.epoch SET value = 3 WHERE name = 'revocation'")
            await owner.close()
            assert await keeper.look()
            assert number() == 1001

        on(conninfo, "front", work)


def test_what_expired_leaves_the_list(conninfo):
    with founded_home() as home:
        authority, now_us = ceremony.client_authority(home), x509_time(home)

        async def work(database):
            async with database.transaction() as tx:
                for n, end in ((1, now_us - 1), (2, now_us + 1)):
                    await tx.execute(
                        "INSERT INTO gateway.certificate (serial, organisation, subject_kind, subject_name, spki_sha256, certificate_sha256,"
                        " not_before_us, not_after_us, state, revoked_us, reason, pem)"
                        " VALUES (%s, '140100', 'sys', 'his', sha256('a'), sha256(%s), 1, %s, 2, %s, 'superseded', '')",
                        (f"{n}", str(n).encode(), end, now_us),
                    )
                await revoke.renew(home, tx, authority, now_us)

        on(conninfo, "owner", work)
        assert [entry.serial_number for entry in der.revocation_list(home.crl.read_bytes())] == [2]
