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
    assert (home.authority / "ended.json").stat().st_mode & 0o077 == 0
    for content in ("", "[]", '{"epoch": 1}'):
        (home.authority / "ended.json").write_text(content)
        with pytest.raises(SettingsError, match="not what the gateway wrote"):
            ended.load(home)
    ended.save(home, replace(whole, certificates={"ab": (1, 1, "")}))
    with pytest.raises(SettingsError, match="not what the gateway wrote"):
        ended.load(home)
