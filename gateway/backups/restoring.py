"""Puts a backup in the place of a HOME that is gone: beside it first, by its name only when good.

    1 good        the backup is what was made (`checking.check`)
    2 newest      no other good backup beside it knows of a later revocation
    3 files       HOME's, with owners and modes
    4 database    its files, against the server's list as they come out; its WAL by pg_waldump; to
                  a second that is asked for also what was sent since (`replaying`)
    5 start       the server replays the WAL; schema, epoch, counts, and the whole log: each leaf
                  hashed anew, the root that was signed at its size, the head
    6 officers    two of the restored register signed for this backup, and this second
    7 void        sessions end; the statement that clients follow the log by (`stating`); the leaf
                  `backup.restore`, with its cause and the statement's digest, is the newest
    8 name        stopped, synced, renamed

Until 8 there is no HOME: what breaks off leaves `NAME.restoring`, which the next attempt removes.
Tickets past their approvals are revoked by the disclosure door at its first start, for HOME/exports
is empty (docs/exports.md).
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pyrage import x25519

from gateway.audit import log
from gateway.audit.event import Event
from gateway.backups import (
    approval,
    checking,
    loading,
    manifest,
    physical,
    proving,
    replaying,
    room,
    stating,
)
from gateway.backups import elsewhere as elsewheres
from gateway.backups.approval import Approval
from gateway.backups.checking import Checked
from gateway.backups.elsewhere import Elsewhere
from gateway.backups.errors import BackupError
from gateway.backups.manifest import VERSION, Manifest
from gateway.backups.placing import Placing
from gateway.backups.replaying import Way
from gateway.clock import Clock
from gateway.config import folders, users
from gateway.config.home import Home
from gateway.store import roles, versions
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.tlog.keys import LogKeys

KIND = "backup.restore"
STAGED = ".restoring"
OLDER, TAKEN, USERS = "BACKUP_OLDER", "BACKUP_HOME_TAKEN", "BACKUP_USERS"
_END = "UPDATE gateway.session SET ended_us = %s WHERE ended_us IS NULL"
_APPEND = "SELECT first FROM gateway.audit_append(%s, 0)"
Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands now: HOME, how long its log is, how many sessions were ended, on what cause.

    `age_us` is how long before now it ends: what was acknowledged since is not in it. `left_out`
    are roles of another's server that had rights on our tables and have none now.
    """

    home: Home
    log_size: int
    sessions: int
    cause: str
    age_us: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: a backup's folder, the log's keys, a recipient's key, two approvals.

    `until` is a time, "end" for all that the WAL beside the backup holds, "" for the backup alone.
    `elsewhere` is for another server's cluster; its data directory is absent or empty as well.
    """

    folder: Path
    keys: LogKeys
    key: x25519.Identity
    approvals: tuple[Approval, ...]
    until: str = ""
    elsewhere: Elsewhere | None = None

    @property
    def data(self) -> Path | None:
        """Where another server's files will stand."""
        return None if self.elsewhere is None else self.elsewhere.data

    @property
    def hosted(self) -> bool:
        """Whether a dump goes into another's server, where it needs no room of ours."""
        return self.elsewhere is not None and self.elsewhere.empty is not None


@room.told()
def restore(
    wanted: Wanted, target: Path, clock: Clock, tell: Progress = lambda *_: None
) -> Restored:
    """Make `target`, which is absent or empty, the HOME that the backup is of.

    Raises BackupError, ClusterError, StoreError; nothing stands at `target` then.
    """
    _require_empty(target, wanted.data)
    found = checking.check(wanted.folder, wanted.keys, tell)  # 1
    require_fit(found.manifest)
    epoch, ahead = _newest_epoch(found, wanted.keys), None
    if wanted.until:
        ahead = replaying.way(found, wanted.folder.parent, wanted.until, wanted.keys)
    elif epoch > found.manifest.epoch:  # 2
        raise BackupError(OLDER, "a good backup beside it knows of later revocations")
    # HOME gets its name last: with it, all of it is there.
    whole = [one for one in (wanted.data, target) if one is not None]
    halves = [one.with_name(one.name + STAGED) for one in whole]
    _remove(halves)
    room.require(halves[0].parent, room.needed(found, ahead, hosted=wanted.hosted))
    put: Cluster | None = None
    try:
        with room.told():
            staged = Home(halves[-1])
            put = place(found, wanted.key, staged, tell, _beside(wanted.elsewhere))  # 3, 4
            if ahead is not None:
                replaying.put(ahead, wanted.key, put.data, users.user_of("postgres"))
            restored = _prove(_Attempt(found, wanted, put, target, clock, ahead, epoch))  # 5 to 7
            for half, one in zip(halves, whole, strict=True):  # 8
                _name(half, one)
    except BaseException as error:
        told = loading.take_back(put, error)
        _remove(halves)
        if told is error:
            raise
        raise told from error
    return restored


def _require_empty(target: Path, data: Path | None) -> None:
    for one in (target, data or target):
        if one.exists() and (not one.is_dir() or any(one.iterdir())):
            text = f"{one} is not an empty folder"
            if one != target and target.with_name(target.name + STAGED).exists():
                text += "; a restore that was killed gave it its name and not HOME: remove it"
            raise BackupError(TAKEN, text)


def _beside(elsewhere: Elsewhere | None) -> Elsewhere | None:
    """Return the same with the folder that has its name only when all is good."""
    if elsewhere is None or elsewhere.data is None:
        return elsewhere
    return replace(elsewhere, data=elsewhere.data.with_name(elsewhere.data.name + STAGED))


def _remove(halves: list[Path]) -> None:
    for one in halves:
        killed = Cluster(Home(one))  # a killed attempt's is on its way out, and still writes
        killed.stop()
        killed.data = one  # another server's
        killed.stop()
        shutil.rmtree(one, ignore_errors=True)


def _name(half: Path, whole: Path) -> None:
    os.sync()
    if whole.exists():
        whole.rmdir()
    half.rename(whole)
    os.sync()


def require_fit(said: Manifest) -> None:
    """Pass what this code and machine can serve; raises BackupError."""
    if said.separate_users != users.separate():
        raise BackupError(USERS, "it was made by root and this is not, or the other way round")
    if said.schema > versions.newest():
        raise BackupError(VERSION, f"its schema is {said.schema}, this code's {versions.newest()}")


def _newest_epoch(found: Checked, keys: LogKeys) -> int:
    """Return the newest revocation epoch that a good backup beside this one knows of."""
    newest = found.manifest.epoch
    for folder in found.folder.parent.iterdir():
        # A damaged one is of no use to anybody, so it is in nobody's way.
        with contextlib.suppress(BackupError):
            other = checking.read(folder, keys).manifest
            if other.epoch > newest:
                checking.check(folder, keys)
                newest = other.epoch
    return newest


def place(
    found: Checked,
    key: x25519.Identity,
    staged: Home,
    tell: Progress,
    elsewhere: Elsewhere | None = None,
) -> Cluster:
    """Open a backup into an absent HOME, judged as it comes out (3, 4); return its cluster.

    Raises BackupError, ClusterError, OSError.
    """
    if users.separate():
        users.make_users()
    folders.make_folders(staged)
    physical.require_entry(staged)
    files = Placing(staged.root)
    try:
        checking.unpack(found, manifest.HOME_PART, key, files, tell)
    finally:
        files.close()
    folders.make_folders(staged)  # files brought their own modes
    put = elsewheres.cluster(staged, found.manifest, elsewhere)
    _PLACES[found.manifest.form](found, key, put, tell)
    return put


_PLACES = {
    manifest.BASE: physical.place,
    manifest.INCREMENTAL: physical.place,
    manifest.DUMP: loading.place,
}


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A backup whose files are in place; `epoch` is the newest of revocation that was seen."""

    found: Checked
    wanted: Wanted
    cluster: Cluster
    target: Path
    clock: Clock
    ahead: Way | None
    epoch: int


def _prove(one: _Attempt) -> Restored:
    with physical.running(one.cluster, one.ahead):
        return asyncio.run(_prove_running(one))


async def _prove_running(one: _Attempt) -> Restored:
    found, wanted, staged = one.found, one.wanted, one.cluster.home
    owner = roles.conninfo(staged, elsewheres.reached(one.cluster), "owner")
    database = await Database.open(owner, application="gateway-restore", size=1)
    try:
        async with database.transaction() as tx:
            await proving.compare(tx, found.manifest, one.epoch)
            if one.ahead is not None:
                await proving.require_keys(tx, staged)
            size = await proving.read_log(tx, found.manifest)  # 5
            now_us = one.clock.now_us()
            approvals = list(wanted.approvals)
            of = (found.sha256, wanted.until)
            cause = await approval.require(tx, approvals, of, now_us)  # 6
            sessions = await tx.execute(_END, (now_us,))  # 7
            root = (await log.head(tx)).root
            said = stating.state(staged, (size, root), found.sha256, wanted.approvals, now_us)
            detail: dict[str, str | int] = {
                "manifest_sha256": found.sha256,
                "statement_sha256": said,
                "cause": cause,
                "size": size,
            }
            counts = {"sessions": sessions, "confirmations": len(approvals)}
            event = Event(kind=KIND, door="host", counts=counts, detail=detail)
            await tx.fetch_one(_APPEND, [[event.to_leaf(now_us)]])
    finally:
        await database.close()
    reached_us = found.manifest.made_us if one.ahead is None else one.ahead.reached_us
    age_us, left_out = now_us - reached_us, one.cluster.left_out
    return Restored(Home(one.target), size + 1, sessions, cause, age_us, left_out)
