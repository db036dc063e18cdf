import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from gateway.clock import SYSTEM
from gateway.config import settings
from gateway.config.home import Home
from gateway.pki import authorities, register, revoke
from gateway.pki.replay import replay
from gateway.store import roles
from gateway.store.database import Database, StoreAwayError, Transaction
from gateway.store.embedded import Cluster
from gateway.supervise import revocation
from gateway.supervise.keeper import StartError
from gateway.supervise.revocation import keep_current


def number(home: Home) -> int:
    listed = x509.load_pem_x509_crl(home.crl.read_bytes())
    return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def told_nothing(*_: object) -> None:
    """Nobody is told: the register is as it should be."""
    raise AssertionError("nothing to tell")


async def once(home: Home) -> None:
    """Keep the lists until they are current."""
    current = asyncio.Event()
    task = asyncio.create_task(
        keep_current(home, settings.load(home.settings), current, told_nothing)
    )
    waiting = asyncio.create_task(current.wait())
    async with asyncio.timeout(20):
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    else:
        task.result()


async def as_role(home: Home, role: str, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
    conninfo = roles.conninfo(home, settings.load(home.settings), role)
    database = await Database.open(conninfo, application="test", size=1)
    try:
        async with database.transaction() as tx:
            return await work(tx)
    finally:
        await database.close()


def listed(home: Home) -> set[str]:
    """Return the serials that the list names."""
    return {f"{one.serial_number:x}" for one in x509.load_pem_x509_crl(home.crl.read_bytes())}


def revoke_admin(home: Home) -> str:
    """Revoke the first certificate in force and return its serial."""

    async def work(tx: Transaction) -> str:
        # Other tests of this worker may have had more issued in the same HOME.
        row = next(one for one in await register.rows(tx) if one.state == register.ACTIVE)
        await revoke.revoke(tx, row.serial, "key-compromise", SYSTEM.now_us())
        return row.serial

    return asyncio.run(as_role(home, "administration", work))


def test_the_list_is_current_before_anybody_is_let_in(founded: Home) -> None:
    """What was revoked while nothing was served is on the list before the front starts."""
    with kept(founded):
        asyncio.run(once(founded))
        before, named = number(founded), listed(founded)
        asyncio.run(once(founded))
        assert number(founded) == before
        serial = revoke_admin(founded)
        asyncio.run(once(founded))
        assert serial in listed(founded) - named
        assert number(founded) == before + 1


def test_a_restored_database_starts_nothing_until_what_was_revoked_since_is_replayed(
    founded: Home, tmp_path: Path
) -> None:
    """A backup made before a revocation would let its bearer in again (step-ca issue 606)."""
    backup = tmp_path / "backup"
    with kept(founded) as cluster:
        cluster.stop()
        subprocess.run(["cp", "-a", founded.database, backup], check=True)
        cluster.start(mortal=True)
        serial = revoke_admin(founded)
        asyncio.run(once(founded))
        newest = number(founded)
        cluster.stop()
        shutil.rmtree(founded.database)
        subprocess.run(["cp", "-a", backup, founded.database], check=True)
        cluster.start(mortal=True)

        async def row(tx: Transaction) -> register.Row | None:
            return await register.read(tx, serial)

        assert asyncio.run(as_role(founded, "front", row)).state == 1
        with pytest.raises(StartError, match="gateway certificate replay"):
            asyncio.run(once(founded))
        assert number(founded) == newest
        oldest = authorities.load(founded)[-1].spki_sha256
        done = asyncio.run(
            as_role(founded, "administration", lambda tx: replay(founded, tx, oldest))
        )
        assert (done.certificates, done.unknown) == (1, 0)
        assert asyncio.run(as_role(founded, "front", row)).state == 2
        asyncio.run(once(founded))
        assert number(founded) > newest


@contextlib.contextmanager
def kept(home: Home) -> Iterator[Cluster]:
    """Serve a HOME's database; afterwards it, the lists and what is kept beside are as before."""
    cluster = Cluster(home)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cp", "-a", home.database, f"{folder}/database"], check=True)
        subprocess.run(["cp", "-a", home.crl.parent, f"{folder}/public"], check=True)
        subprocess.run(["cp", "-a", home.authority, f"{folder}/authority"], check=True)
        cluster.start(mortal=True)
        try:
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(home.database)
            subprocess.run(["cp", "-a", f"{folder}/database", home.database], check=True)
            shutil.rmtree(home.crl.parent)
            subprocess.run(["cp", "-a", f"{folder}/public", home.crl.parent], check=True)
            shutil.rmtree(home.authority)
            subprocess.run(["cp", "-a", f"{folder}/authority", home.authority], check=True)


def test_without_a_database_it_says_so(founded: Home) -> None:
    own = settings.load(founded.settings)
    with pytest.raises(StoreAwayError):
        asyncio.run(keep_current(founded, own, asyncio.Event(), told_nothing))


def test_a_disk_that_is_full_is_tried_again(founded: Home, monkeypatch) -> None:
    monkeypatch.setattr(revocation, "_RETRY_S", 0.0)
    own = settings.load(founded.settings)
    looks: list[int] = []

    async def full(self: revocation.Keeper) -> None:
        looks.append(1)
        if len(looks) == 3:
            raise asyncio.CancelledError
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(revocation.Keeper, "run", full)
    cluster = Cluster(founded)
    cluster.start(mortal=True)
    try:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(keep_current(founded, own, asyncio.Event(), told_nothing))
    finally:
        cluster.stop()
    assert len(looks) == 3
