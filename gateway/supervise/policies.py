"""Keeps HOME/policies/cedar what is in force: the doors decide by the database, people read files.

The supervisor does it because it alone may write there.
"""

import asyncio

from gateway import log
from gateway.audit import log as log_rows
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.pki import retired
from gateway.policy import activation, bundle, complete, disk
from gateway.policy.bundle import BundleError
from gateway.policy.trust import Trust
from gateway.registry import snapshot
from gateway.store import roles
from gateway.store.database import Database, StoreError, Transaction
from gateway.supervise.keeper import StartError

# An activation is rare, and doors that start meanwhile know the files as those of before.
POLL_S = 5.0
_LOG = log.get("policies")


async def settle(home: Home, settings: Settings) -> str:
    """Make the files what is in force; return the digest of a bundle that this activated, else "".

    A HOME of before there were activations adopts what it was served with, once, if it lacks
    nothing. What is in force and lacks something is told, and served: officers must be able to
    sign. Raises StartError for what lacks something, for files that were never in force and for
    what does not verify, StoreError, OSError.
    """
    database = await _open(home, settings, "owner")
    trust, adopted = Trust.of(home, settings), ""
    try:
        disk.mend(home)
        async with database.transaction() as tx:
            await _date(tx, home)
            # A HOME of before leaves told signatures keeps what is in force, once.
            current = await activation.active(tx, trust, untold=not trust.reached.exists())
            if current is None:
                files = bundle.files(disk.folder(home))
                complete.require(disk.folder(home), files)
                adopted = (await activation.found(tx, files, SYSTEM.now_us())).sha256
                current = await activation.in_force(tx, trust)
            await disk.require(tx, home)
            first = await activation.first(tx)
            registry = await snapshot.load(tx)
        trust.keep_first(first)
        trust.keep(current.mark)
        if registry.provinces != {settings.province}:
            _LOG.error(
                "register.province", ours=settings.province, named=sorted(registry.provinces)
            )
        disk.exchange(home, current)
        for line in complete.told(home, current.bundle):
            _LOG.error("policies.lacking", why=line)
    except BundleError as error:
        raise StartError(str(error)) from error
    finally:
        await database.close()
    return adopted


async def keep(home: Home, settings: Settings) -> None:
    """Follow every activation until cancelled."""
    while True:
        await asyncio.sleep(POLL_S)
        try:
            await look(home, settings)
        except (StoreError, BundleError, OSError) as error:
            _LOG.error("policies not exchanged", why=str(error))


async def look(home: Home, settings: Settings) -> bool:
    """Exchange the files where others are in force; return whether it was done.

    Raises BundleError for files that were never in force, StoreError, OSError.
    """
    database, trust = await _open(home, settings, "front"), Trust.of(home, settings)
    try:
        async with database.transaction() as tx:
            current = await activation.active(tx, trust)
            await disk.require(tx, home)
    finally:
        await database.close()
    if current is None:
        return False
    trust.keep(current.mark)
    return disk.exchange(home, current)


async def _date(tx: Transaction, home: Home) -> None:
    """Let authorities that were retired before leaves counted be retired by the newest leaf."""
    size = (await log_rows.head(tx)).size
    if count := await asyncio.to_thread(retired.date, home.former_authorities, size):
        _LOG.warning("authorities.dated", count=count, leaf=size)


async def _open(home: Home, settings: Settings, role: str) -> Database:
    conninfo = roles.conninfo(home, settings, role)
    return await Database.open(conninfo, application="gateway-policies", size=1)
