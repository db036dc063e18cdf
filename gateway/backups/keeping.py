"""The backup that is due, in all its places: made, brought to the others, verified, on the log.

    1 newest     the newest good one of any place; where it is older than the schedule, a new one is
                 made in the first place that is there: of what changed since the newest one there,
                 where that can be (`lists`)
    2 copies     every other place gets it and is read back (`spreading`)
    3 log        `backup.keep`: in two places at least it counts as verified; else it is an alarm
    4 retention  only now is anything taken away

Killed anywhere, the next run goes on from what stands in the places.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.event import Event
from gateway.backups import checking, line, lists, making, schedule, spreading
from gateway.backups.checking import Checked
from gateway.backups.errors import BackupError
from gateway.backups.making import NOT_WRITTEN, Source
from gateway.backups.sealing import Progress
from gateway.config.backups import PLACES, BackupRules
from gateway.tlog.keys import LogKeys

KIND = "backup.keep"
NO_PLACE = "BACKUP_NO_PLACE"


@dataclass(frozen=True, slots=True)
class Kept:
    """The backup that counts: what it says, whether it is new, in how many places, what went.

    `why` says why a new one is a base backup (`lists`).
    """

    found: Checked
    new: bool
    copies: int
    removed: int
    missing: int
    why: str = ""


async def keep(
    source: Source,
    rules: BackupRules,
    keys: LogKeys,
    tell: Progress = int,
    copying: checking.Progress = lambda *_: None,
) -> Kept:
    """Do what is due; raises BackupError, and what the recorder raises. Each failure has a leaf.

    `tell` hears how much of the database was read; `copying` how much of a copy is written, or is
    read back, of how much.
    """
    places = rules.places.paths
    try:
        if not places:
            raise BackupError(NO_PLACE, "policies/backups.toml names no places")
        found, new, why, full = await _newest(source, rules, keys, tell, copying)  # 1
    except BackupError as error:
        await source.recorder.append(_failed(error, 0))
        raise
    errors: list[BackupError] = []
    for place in (one for one in places if one not in {*full, found.folder.parent}):  # 2
        try:
            with _told(place):
                rate_kib = rules.places.rate_kib
                await asyncio.to_thread(spreading.copy, found, place, keys, rate_kib, copying)
        except BackupError as error:
            errors.append(error)
    copies = len(places) - len(errors) - len(full)
    for one in errors:  # those that were full when it was made had their leaf then
        await source.recorder.append(_failed(one, copies))
    errors += full.values()
    if copies < PLACES:
        raise errors[0]
    counts = {"copies": copies, "missing": len(errors), "bytes": found.manifest.total_bytes}
    detail = {"manifest_sha256": found.sha256}
    await source.recorder.append(Event(kind=KIND, door="host", counts=counts, detail=detail))  # 3
    removed = await asyncio.to_thread(_prune, source, rules, keys)  # 4
    return Kept(found, new, copies, removed, len(errors), why)


def _prune(source: Source, rules: BackupRules, keys: LogKeys) -> int:
    removed = 0
    for place in rules.places.paths:
        # What cannot be taken away now goes the next time; a place that is away has had its leaf.
        with contextlib.suppress(BackupError), _told(place):
            removed += spreading.prune(place, keys, rules.retention)
            sending = line.current(source.home)
            spreading.prune_wal(place, keys, rules.retention, sending)
    return removed


async def _newest(
    source: Source,
    rules: BackupRules,
    keys: LogKeys,
    tell: Progress,
    copying: checking.Progress,
) -> tuple[Checked, bool, str, dict[Path, BackupError]]:
    now_us = source.recorder.clock.now_us()
    since_us = schedule.due_since_us(rules.schedule.times, now_us)
    places = rules.places.paths
    there = [place for place in places if place.is_dir()]
    good = [await asyncio.to_thread(_good, place, keys, copying) for place in there]
    found = max(
        (one for one in good if one is not None), key=lambda one: one.manifest.made_us, default=None
    )
    if found is not None and found.manifest.made_us >= since_us:
        return found, False, "", {}
    if not there:
        raise BackupError(spreading.AWAY, f"{places[0]} is not there: mount it, or make it")
    full: dict[Path, BackupError] = {}
    for place, newest in zip(there, good, strict=True):
        onto, why = lists.choose(source.home, newest, now_us, rules.schedule.full_days)
        try:
            made = await making.make(source, place, rules.places.rate_kib, tell, onto)
        except BackupError as error:
            if error.code != NOT_WRITTEN:
                raise
            full[place] = error  # it has its leaf; another place may have room
            continue
        again = await asyncio.to_thread(_good, place, keys, copying)
        if again is None or again.manifest != made.manifest:
            raise BackupError(NOT_WRITTEN, f"{place} does not hold what was written")
        return again, True, why or made.why, full
    raise next(iter(full.values()))


def _good(place: Path, keys: LogKeys, copying: checking.Progress) -> Checked | None:
    # One that cannot be read is told when something is to be brought there.
    with contextlib.suppress(OSError):
        return spreading.newest(place, keys, copying)
    return None


@contextlib.contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupError(NOT_WRITTEN, f"{place}: {error.strerror}") from error


def _failed(error: BackupError, copies: int) -> Event:
    detail = {"alert": "backup-failed", "cause": error.code.lower().replace("_", "-")}
    return Event(kind=KIND, door="host", decision="error", counts={"copies": copies}, detail=detail)
