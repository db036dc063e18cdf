"""Restores a backup into a scratch folder, to know that it can be done and how long it takes.

    1 alone      the scratch folder is ours and empty; what a killed drill left there is removed
    2 good       the backup is what was made; there is room for it that no export needs
    3 files      as a restore puts them (`restoring.place`), with the journal where a time is named
    4 start      the server replays; the rows that were counted, the whole log up to the checkpoint
    5 receipts   one batch of each organisation, as its city would prove it (`receipts`)
    6 away       stopped and removed, whatever happened

HOME is only read: its policies, for how much room there must be. Nobody approves a drill, for
nothing stands after it; whoever brings a recipient's key may open the backup anyway.
"""

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyrage import x25519

from gateway.audit.log import LogError
from gateway.backups import checking, physical, proving, receipts, replaying, restoring, room
from gateway.backups import elsewhere as elsewheres
from gateway.backups.checking import Checked
from gateway.backups.elsewhere import Elsewhere
from gateway.backups.errors import BackupError
from gateway.backups.making import NOT_WRITTEN, alone
from gateway.backups.replaying import Way
from gateway.backups.restoring import Progress
from gateway.clock import US_PER_S, Clock
from gateway.config import disk, users
from gateway.config.home import Home
from gateway.store import roles
from gateway.store.database import Database, StoreError
from gateway.store.embedded import Cluster, ClusterError
from gateway.store.tools import ToolError
from gateway.tlog.keys import LogKeys

SCRATCH = ".drill"
FAILED = "BACKUP_DRILL_FAILED"
# The journal's growing end is replaced in the place while it is read: then it is read again.
_READINGS = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is drilled: a backup's folder, the log's keys, a recipient's key, a time or "end".

    `programs` start another server's cluster; None: those that its HOME's settings name.
    """

    folder: Path
    keys: LogKeys
    key: x25519.Identity
    until: str = ""
    programs: Path | None = None


@dataclass(frozen=True, slots=True)
class Drilled:
    """What was proven: rows counted, entries hashed, organisations whose receipt is good.

    `rto_s` is how long it took; `rpo_s` how long before the drill began the restored data end.
    """

    found: Checked
    rows: int
    entries: int
    organisations: int
    rto_s: int
    rpo_s: int


def drill(
    wanted: Wanted, home: Home, scratch: Path, clock: Clock, tell: Progress = lambda *_: None
) -> Drilled:
    """Restore a backup into `scratch`, prove it, and remove it; raises BackupError."""
    begun_s, begun_us = clock.monotonic(), clock.now_us()
    with _told(), room.told(), _scratch(scratch) as staged:  # 1
        found = checking.check(wanted.folder, wanted.keys, tell)  # 2
        restoring.require_fit(found.manifest)
        ahead = _way(found, wanted) if wanted.until else None
        rules = disk.load_disk_rules(home.policies / disk.FILE)
        room.require(scratch, room.needed(found, ahead), rules)
        elsewhere = Elsewhere(None, wanted.programs, scratch=True)
        put = restoring.place(found, wanted.key, staged, tell, elsewhere)  # 3
        if ahead is not None:
            ahead = _put(found, wanted, put)
        rows, entries, organisations = _started(found, wanted, put, ahead)  # 4, 5
    reached_us = found.manifest.made_us if ahead is None else ahead.reached_us
    rto_s = round(clock.monotonic() - begun_s)
    rpo_s = max(0, begun_us - reached_us) // US_PER_S
    return Drilled(found, rows, entries, organisations, rto_s, rpo_s)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what programs and the restored database say into our own codes."""
    try:
        yield
    except (ClusterError, ToolError, StoreError, LogError) as error:
        raise BackupError(FAILED, str(error)) from error


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Home]:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise BackupError(NOT_WRITTEN, f"{folder} is no folder of ours")
    with alone(folder, wait=False):
        _clear(folder)
        try:
            yield Home(folder)
        finally:
            _clear(folder)
            folder.rmdir()


def _clear(folder: Path) -> None:
    Cluster(Home(folder)).stop()
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _way(found: Checked, wanted: Wanted) -> Way:
    return replaying.way(found, wanted.folder.parent, wanted.until, wanted.keys)


def _put(found: Checked, wanted: Wanted, put: Cluster, readings: int = _READINGS) -> Way:
    try:
        ahead = _way(found, wanted)
        replaying.put(ahead, wanted.key, put.data, users.user_of("postgres"))
    except (BackupError, FileNotFoundError):
        if readings == 1:
            raise
        return _put(found, wanted, put, readings - 1)
    return ahead


def _started(
    found: Checked, wanted: Wanted, put: Cluster, ahead: Way | None
) -> tuple[int, int, int]:
    with physical.running(put, ahead):
        return asyncio.run(_proven(found, wanted, put))


async def _proven(found: Checked, wanted: Wanted, put: Cluster) -> tuple[int, int, int]:
    said = found.manifest
    owner = roles.conninfo(put.home, elsewheres.reached(put), "owner")
    database = await Database.open(owner, application="gateway-drill", size=1)
    try:
        async with database.transaction() as tx:
            await proving.compare(tx, said, said.epoch)
            if wanted.until:
                await proving.require_keys(tx, put.home)
            entries = await proving.read_log(tx, said)
        proven = await receipts.prove(database, said.checkpoint, wanted.keys)
    finally:
        await database.close()
    return sum(said.rows.values()), entries, proven
