"""The backup that is due, in all its places: made, brought to the others, verified, on the log.

    1 newest     the newest good one of any place; where it is older than the schedule, a new one is
                 made in the first place that takes it, and read back: of what changed since the
                 newest one there, where that can be (`lists`)
    2 copies     every other place gets it and is read back (`spreading`); where the place that it
                 comes from gives something else, again without that place
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
from gateway.backups.making import NOT_WRITTEN, Made, Source
from gateway.backups.pace import paced
from gateway.backups.sealing import Progress
from gateway.backups.spreading import SpoiltError
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


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: what it is of, and what was read in each place at its begin and is good."""

    source: Source
    rules: BackupRules
    keys: LogKeys
    tell: Progress
    copying: checking.Progress
    good: dict[Path, Checked | None]

    @property
    def rate_kib(self) -> int:
        return self.rules.places.rate_kib


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
    run = _Run(source, rules, keys, tell, copying, {})
    failed: dict[Path, BackupError] = {}
    try:
        if not places:
            raise BackupError(NO_PLACE, "policies/backups.toml names no places")
        for place in places:
            run.good[place] = await asyncio.to_thread(_good, run, place)
        found, new, why = await _newest(run, failed)  # 1
        while await _spread(run, found, failed):  # 2
            found, new, why = await _newest(run, failed)
    except BackupError as error:
        await source.recorder.append(_failed(error, 0))
        raise
    copies = len(places) - len(failed)
    if copies < PLACES:
        raise next(iter(failed.values()))
    counts = {"copies": copies, "missing": len(failed), "bytes": found.manifest.total_bytes}
    detail = {"manifest_sha256": found.sha256}
    await source.recorder.append(Event(kind=KIND, door="host", counts=counts, detail=detail))  # 3
    removed = await asyncio.to_thread(_prune, source, rules, keys)  # 4
    return Kept(found, new, copies, removed, len(failed), why)


async def _spread(run: _Run, found: Checked, failed: dict[Path, BackupError]) -> bool:
    """Bring it to the other places, and say of `failed`, with a leaf, which did not take it.

    Return whether another is wanted: too few have it, for the place that it comes from gives
    something else than what was good there. Nothing comes from that place in this run.
    """
    places, origin = run.rules.places.paths, found.folder.parent
    errors: dict[Path, BackupError] = {}
    for place in (one for one in places if one not in {*failed, origin}):
        given = (found, place, run.keys, run.rate_kib, run.copying, run.good[place])
        try:
            with _told(place):
                await asyncio.to_thread(spreading.copy, *given)
        except BackupError as error:
            errors[place] = error
    copies = len(places) - len(failed) - len(errors)
    spoilt = [place for place, one in errors.items() if isinstance(one, SpoiltError)]
    again = bool(spoilt) and copies < PLACES
    if again:
        for place in spoilt:
            errors[origin] = errors.pop(place)
    for one in errors.values():
        await run.source.recorder.append(_failed(one, copies))
    failed |= errors
    return again


def _prune(source: Source, rules: BackupRules, keys: LogKeys) -> int:
    removed = 0
    for place in rules.places.paths:
        # What cannot be taken away now goes the next time; a place that is away has had its leaf.
        with contextlib.suppress(BackupError), _told(place):
            removed += spreading.prune(place, keys, rules.retention)
            sending = line.current(source.home)
            spreading.prune_wal(place, keys, rules.retention, sending)
    return removed


async def _newest(run: _Run, failed: dict[Path, BackupError]) -> tuple[Checked, bool, str]:
    """Return the newest good one, or make it, whether it is new, and why it is a base backup.

    In the first place that takes it; those that do not are told, and added to `failed`.
    """
    now_us = run.source.recorder.clock.now_us()
    since_us = schedule.due_since_us(run.rules.schedule.times, now_us)
    places = [place for place in run.rules.places.paths if place not in failed]
    good = [one for place in places if (one := run.good[place]) is not None]
    found = max(good, key=lambda one: one.manifest.made_us, default=None)
    if found is not None and found.manifest.made_us >= since_us:
        return found, False, ""
    there = [place for place in places if place.is_dir()]
    if places and not there:
        raise BackupError(spreading.AWAY, f"{places[0]} is not there: mount it, or make it")
    for place in there:
        full_days = run.rules.schedule.full_days
        onto, why = lists.choose(run.source.home, run.good[place], now_us, full_days)
        try:
            made = await making.make(run.source, place, run.rate_kib, run.tell, onto)
        except BackupError as error:
            if error.code != NOT_WRITTEN:
                raise
            failed[place] = error  # it has its leaf; another place may have room
            continue
        try:
            run.good[place] = found = await asyncio.to_thread(_read_back, run, made)
        except BackupError as error:
            failed[place] = error  # nor does a place that loses bytes stop those that do not
            await run.source.recorder.append(_failed(error, 0))
            continue
        return found, True, why or made.why
    raise next(iter(failed.values()))


def _good(run: _Run, place: Path) -> Checked | None:
    # One that cannot be read is told when something is to be brought there.
    with contextlib.suppress(OSError):
        return spreading.newest(place, run.keys, paced(run.rate_kib, run.copying))
    return None


def _read_back(run: _Run, made: Made) -> Checked:
    """Return what was made, once it is read from the disk; its parents were just now (`_good`).

    What is not good is taken away again; raises BackupError.
    """
    place = made.folder.parent
    try:
        with _told(place):
            found = checking.related(checking.read(made.folder, run.keys), run.keys)
            checking.check_parts(found, paced(run.rate_kib, run.copying))
    except BackupError as error:
        with contextlib.suppress(BackupError), _told(place):
            spreading.drop(made.folder)
        text = f"{place} does not hold what was written: {error.code}"
        raise BackupError(NOT_WRITTEN, text) from error
    return found


@contextlib.contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupError(NOT_WRITTEN, f"{place}: {error.strerror}") from error


def _failed(error: BackupError, copies: int) -> Event:
    detail = {"alert": "backup-failed", "cause": error.code.lower().replace("_", "-")}
    return Event(kind=KIND, door="host", decision="error", counts={"copies": copies}, detail=detail)
