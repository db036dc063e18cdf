"""What is no longer in force outlives the database: kept in a file, and told to a restored one."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from cryptography import x509

from gateway.clock import SYSTEM
from gateway.config import policies
from gateway.config.home import Home
from gateway.config.strict import SettingsError
from gateway.pki import defect, ended, register
from gateway.pki.ended import Ended
from gateway.pki.verify import serial_text
from gateway.store.database import Database
from tests.pki.forge import CITY, Ca

RULES = policies.load_certificate_rules(policies.shipped("policies") / "certificates.toml").renewal


class RestoredError(Exception):
    """Undoes a transaction, as a restore undoes what came after the backup."""


@pytest.fixture
def home(tmp_path) -> Home:
    (tmp_path / "authority").mkdir()
    (tmp_path / "public").mkdir()
    return Home(tmp_path)


async def _enter(tx, ca: Ca) -> list[str]:
    """Enter the organisation and three certificates, each of a lineage of its own."""
    await tx.execute(
        "INSERT INTO gateway.organisation (code, name, kind, created_us) VALUES (%s, 'x', 2, 1)",
        (CITY.organisation,),
    )
    serials = []
    for _ in range(3):
        leaf = x509.load_der_x509_certificate(ca.good().chain[0])
        await register.insert(tx, leaf, CITY)
        serials.append(serial_text(leaf.serial_number))
    return serials


async def _end(tx, revoked: str, superseded: str) -> None:
    end = "UPDATE gateway.certificate SET state = %s, revoked_us = 7, reason = %s WHERE serial = %s"
    await tx.execute(end, (2, "key-compromise", revoked))
    await tx.execute(end, (3, "superseded", superseded))
    await tx.fetch("SELECT gateway.lineage_lock(%s, 9)", (superseded,))


def test_a_restored_register_learns_again_what_ended(conninfo, home: Home) -> None:
    """Revoked, superseded and locked after the backup: all three, whoever's list they stand on or not."""

    async def story() -> None:
        database = await Database.open(conninfo("owner"), application="test", size=1)
        ca, now_us = Ca.make(SYSTEM.now_us()), SYSTEM.now_us()
        async with database.transaction() as tx:
            revoked, superseded, good = await _enter(tx, ca)
        with contextlib.suppress(RestoredError):
            async with database.transaction() as tx:
                await _end(tx, revoked, superseded)
                found = await ended.read(tx, 5, RULES, now_us)
                ended.save(home, found)
                raise RestoredError
        kept = ended.load(home)
        assert kept == found
        assert kept.certificates == {
            revoked: (2, 7, "key-compromise"),
            superseded: (3, 7, "superseded"),
        }
        assert kept.locked == {superseded: 9}
        async with database.transaction() as tx:
            assert (await ended.read(tx, 5, RULES, now_us)).certificates == {}
            assert await ended.apply(tx, kept) == 2
            assert await ended.apply(tx, kept) == 0
            assert await ended.read(tx, 5, RULES, now_us) == kept
            assert (await register.read(tx, good)).state == register.ACTIVE
            assert (await register.read(tx, superseded)).life.locked_us == 9
        await database.close()

    asyncio.run(story())


def test_what_was_taken_back_since_is_not_given_back(conninfo) -> None:
    async def story() -> None:
        database = await Database.open(conninfo("owner"), application="test", size=1)
        async with database.transaction() as tx:
            revoked, superseded, _ = await _enter(tx, Ca.make(SYSTEM.now_us()))
            await _end(tx, revoked, superseded)
            other = Ended(1, {revoked: (3, 8, "superseded"), superseded: (2, 8, "unspecified")})
            assert await ended.apply(tx, other) == 1
            assert (await register.read(tx, revoked)).state == defect.REVOKED
            assert (await register.read(tx, superseded)).state == defect.REVOKED
        await database.close()

    asyncio.run(story())


def test_a_file_that_is_none_is_said_so(home: Home) -> None:
    assert ended.load(home) == Ended()
    whole = Ended(3, {"ab": (2, 1, "superseded")}, {"ab": 4})
    ended.save(home, whole)
    assert ended.load(home) == whole
    assert ended.place(home).stat().st_mode & 0o777 == 0o644
    for content in ("", "[]", '{"epoch": 1}'):
        ended.place(home).write_text(content)
        with pytest.raises(SettingsError, match="not what the gateway wrote"):
            ended.load(home)
    superseded = replace(whole, certificates={"ab": (3, 1, "")}, revoked={"ab": (1, "")})
    for wrong in (replace(whole, certificates={"ab": (1, 1, "")}), superseded):
        ended.save(home, wrong)
        with pytest.raises(SettingsError, match="not what the gateway wrote"):
            ended.load(home)


def _as_owner(conninfo, story) -> None:
    """Do what the owner of the tables can, and undo it."""

    async def run() -> None:
        database = await Database.open(conninfo("owner"), application="test", size=1)
        try:
            with contextlib.suppress(RestoredError):
                async with database.transaction() as tx:
                    guard = (
                        "ALTER TABLE gateway.certificate DISABLE TRIGGER certificate_never_returns"
                    )
                    await tx.execute(guard)
                    await story(tx)
                    raise RestoredError
        finally:
            await database.close()

    asyncio.run(run())


def test_what_was_revoked_stays_so_until_its_end_whatever_its_row_says(conninfo) -> None:
    async def story(tx) -> None:
        now_us = SYSTEM.now_us()
        revoked, superseded, _ = await _enter(tx, Ca.make(now_us))
        await _end(tx, revoked, superseded)
        kept = await ended.read(tx, 5, RULES, now_us)
        assert await ended.raised(tx, kept) == []
        await tx.execute(
            "UPDATE gateway.certificate SET state = 1, revoked_us = NULL, reason = NULL,"
            " not_before_us = 0, not_after_us = 1 WHERE state <> 1"
        )
        found = await ended.read(tx, 6, RULES, now_us, kept)
        # Who was superseded is on no list for a day, and signs nothing that his successor did not.
        assert found.certificates == {revoked: (2, 7, "key-compromise")}
        assert await ended.raised(tx, found) == [revoked]
        [(end_us, key)] = found.revoked.values()
        assert (found.revoked, key) == (kept.revoked, "")
        over_us = end_us + round(RULES.after_expiry_days * 86_400 * 10**6)
        assert (await ended.read(tx, 7, RULES, over_us - 1, found)).revoked == kept.revoked
        assert (await ended.read(tx, 7, RULES, over_us, found)).certificates == {}

    _as_owner(conninfo, story)


def test_nothing_is_remembered_that_no_list_can_tell(conninfo) -> None:
    """What the database's owner wrote once would otherwise end every list, also after it was put right."""

    async def story(tx) -> None:
        now_us = SYSTEM.now_us()
        serial, other, third = await _enter(tx, Ca.make(now_us))
        for guard in ("certificate_serial_form", "certificate_reason_known"):
            await tx.execute(f"ALTER TABLE gateway.certificate DROP CONSTRAINT IF EXISTS {guard}")
        late = "UPDATE gateway.certificate SET state = 2, revoked_us = %s, reason = %s"
        await tx.execute(f"{late} WHERE serial = %s", (2**62, "superseded", serial))
        await tx.execute(f"{late} WHERE serial = %s", (7, "nothing", third))
        await tx.execute(f"{late}, serial = 'none' WHERE serial = %s", (7, "superseded", other))
        found = await ended.read(tx, 5, RULES, now_us)
        assert found.certificates[serial] == (2, now_us, "superseded")
        assert found.certificates[third] == (2, 7, "unspecified")
        assert set(found.revoked) == {serial, third}

    _as_owner(conninfo, story)


def test_who_is_revoked_is_asked_of_the_file_as_it_is_then(home: Home) -> None:
    certificate = x509.load_der_x509_certificate(Ca.make(SYSTEM.now_us()).good().chain[0])
    serial, known = serial_text(certificate.serial_number), ended.Revoked(home)
    assert not known.names(certificate)
    ended.save(home, Ended(1, {serial: (3, 1, "superseded")}))
    assert not known.names(certificate)
    ended.save(home, Ended(2, {serial: (2, 1, "superseded")}, {}, {serial: (9, "")}))
    assert known.names(certificate)
    # Gone, it gives nobody back what was known.
    ended.place(home).unlink()
    assert known.names(certificate)
    ended.place(home).write_text("[]")
    with pytest.raises(SettingsError, match="not what the gateway wrote"):
        known.names(certificate)


def test_a_home_of_before_has_it_elsewhere_until_it_is_written_again(home: Home) -> None:
    before = home.authority / "ended.json"
    before.write_text('{"epoch": 4, "certificates": {"ab": [2, 1, "superseded"]}, "locked": {}}')
    kept = ended.load(home)
    assert kept == Ended(4, {"ab": (2, 1, "superseded")})
    ended.save(home, kept)
    assert (ended.load(home), before.exists()) == (kept, False)
