"""A restored database refuses to be served until it learned again what was revoked since (step-ca's issue 606)."""

import asyncio
import json
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SYSTEM
from gateway.config import policies, settings
from gateway.config.home import Home
from gateway.names import Subject
from gateway.pki import authorities, crl, ended, issue, keys, publish, register
from gateway.pki.publish import Keeper, RestoredError
from gateway.pki.verify import serial_text
from gateway.store import roles
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.supervise import state
from tests.cli.small_admin import cli


async def _with_database(home: Home, work):
    owner = roles.conninfo(home, settings.load(home.settings), "owner")
    database = await Database.open(owner, application="test", size=1)
    try:
        async with database.transaction() as tx:
            return await work(tx)
    finally:
        await database.close()


def _in_database(home: Home, work):
    cluster = Cluster(home)
    cluster.start(mortal=True)
    try:
        return asyncio.run(_with_database(home, work))
    finally:
        cluster.stop()


def test_what_the_list_names_is_revoked_again_with_a_leaf(founded: Home, capsys) -> None:
    """The list on disk has a greater number than the database, and names a certificate that is active there."""
    authority = authorities.issuing(authorities.load(founded))
    subject = Subject("sx.example", "140000", "officer", "admin")
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = issue.client_certificate(authority, subject, public, SYSTEM.now_us(), 0)
    issuer = keys.spki_sha256(authority.certificate.public_key())
    serial = serial_text(leaf.serial_number)

    async def enter(tx):
        await register.insert(tx, leaf, subject, issuer)
        return await publish.epoch(tx) + 500

    number = _in_database(founded, enter)
    named = [crl.Revoked(one, SYSTEM.now_us(), "key-compromise") for one in (serial, "abc")]
    crl.write(founded.crl, crl.build(authority, named, number, SYSTEM.now_us()))
    capsys.readouterr()
    assert cli("certificate", "replay", str(founded.root), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"revoked": 1, "unknown": 1, "epoch": number + 1}

    async def look(tx):
        row = await register.read(tx, serial)
        last = await tx.fetch_one(
            "SELECT kind, decision FROM gateway.audit_entry ORDER BY idx DESC LIMIT 1"
        )
        return row.state, row.reason, tuple(last)

    assert _in_database(founded, look) == (
        2,
        "key-compromise",
        ("admin.certificate.replay", "allow"),
    )
    assert cli("certificate", "replay", str(founded.root), "--json") == 0
    assert json.loads(capsys.readouterr().out)["revoked"] == 0


def test_a_served_gateway_is_left_alone(founded: Home, capsys) -> None:
    with state.sole(founded):
        assert cli("certificate", "replay", str(founded.root), "--json") == 3
    assert json.loads(capsys.readouterr().out)["refused"] == "SERVED"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_is_told_in_the_users_language(founded: Home, capsys, lang) -> None:
    assert cli("certificate", "replay", str(founded.root), "--lang", lang) == 0
    assert "certificate.replayed" not in capsys.readouterr().out


def test_a_backup_that_is_put_back_learns_what_was_revoked_since(
    founded: Home, capsys, tmp_path
) -> None:
    """A real restore: the data folder of before, with its log; the signer remembers a longer one."""
    authority = authorities.issuing(authorities.load(founded))
    subject = Subject("sx.example", "140000", "officer", "admin")
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = issue.client_certificate(authority, subject, public, SYSTEM.now_us(), 0)
    serial = serial_text(leaf.serial_number)
    # Of an authority whose key is not here: on no list of ours, only the file tells of it.
    _in_database(founded, lambda tx: register.insert(tx, leaf, subject, bytes(32)))
    subprocess.run(["cp", "-a", founded.database, tmp_path / "backup"], check=True)

    async def revoke(tx):
        await tx.execute(
            "UPDATE gateway.certificate SET state = 2, revoked_us = 5, reason = 'key-compromise'"
            " WHERE serial = %s",
            (serial,),
        )
        epoch = await publish.epoch(tx) + 1000
        rules = policies.load_certificate_rules(founded.policies / "certificates.toml")
        ended.save(founded, await ended.read(tx, epoch, rules.renewal, SYSTEM.now_us()))
        return epoch

    epoch = _in_database(founded, revoke)
    shutil.rmtree(founded.database)
    subprocess.run(["cp", "-a", tmp_path / "backup", founded.database], check=True)
    assert _in_database(founded, lambda tx: register.read(tx, serial)).state == 1
    with pytest.raises(RestoredError, match="is kept of epoch"):
        _in_database(founded, lambda _: _keeper_looks(founded))
    capsys.readouterr()
    assert cli("certificate", "replay", str(founded.root), "--json") == 0
    assert json.loads(capsys.readouterr().out)["epoch"] == epoch + 1
    found = _in_database(founded, lambda tx: register.read(tx, serial))
    assert (found.state, found.revoked_us) == (2, 5)
    assert _in_database(founded, lambda _: _keeper_looks(founded)) is True


async def _keeper_looks(home: Home) -> bool:
    front = roles.conninfo(home, settings.load(home.settings), "front")
    database = await Database.open(front, application="test", size=1)
    try:
        return await Keeper(home, database, SYSTEM).look()
    finally:
        await database.close()
