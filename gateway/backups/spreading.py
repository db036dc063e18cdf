"""Brings a backup to its other places, looks at it there, and takes away what is past its time.

A copy is read back from the disk it went to and judged by its manifest before it gets its name: a
place that loses bytes is found when they are written, not when they are needed.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.backups import chain, checking, line, manifest, placed, schedule
from gateway.backups.checking import Checked, Progress
from gateway.backups.errors import BackupError
from gateway.backups.line import FOLDER
from gateway.backups.making import PARTIAL, alone, named
from gateway.backups.pace import Pace, paced
from gateway.config.backups import RetentionRules
from gateway.config.folders import PRIVATE_FILE
from gateway.tlog.keys import LogKeys

AWAY = "BACKUP_PLACE_AWAY"
# The length of a segment's name ("WAL Internals").
_SEGMENT_NAME = 24


class SpoiltError(BackupError):
    """What is brought from a place is not what was found good there."""


def require(place: Path) -> None:
    """Pass a place that is there; raises BackupError (BACKUP_PLACE_AWAY). It is never made."""
    if not place.is_dir():
        raise BackupError(AWAY, f"{place} is not there: mount it, or make it")


def newest(place: Path, keys: LogKeys, tell: Progress = lambda *_: None) -> Checked | None:
    """Return the newest backup in a place that is good to its last byte, None without one."""
    for found in _signed(place, keys):
        with contextlib.suppress(BackupError):
            return checking.check(found.folder, keys, tell)
    return None


def copy(
    found: Checked,
    place: Path,
    keys: LogKeys,
    rate_kib: int = 0,
    tell: Progress = lambda *_: None,
    there: Checked | None = None,
) -> Checked:
    """Bring a backup into a place, unless it is there and good; return what stands there.

    Its parents come first. A copy that is not good is replaced. `there` was read in that place just
    now and is good: it is not read again. Raises BackupError, SpoiltError where the place that it
    comes from is at fault; OSError.
    """
    require(place)
    known = {(one.folder, one.sha256) for one in there.whole} if there else set()
    slowly = paced(rate_kib, tell)
    for one in found.whole:
        target = place / one.folder.name
        if (target, one.sha256) in known or _stands(one, target, keys, slowly):
            continue
        with alone(place, wait=False):
            _clear(place)
            try:
                partial = place / f"{PARTIAL}{one.folder.name}"
                _bring(one, partial, Pace(rate_kib), tell)
                checking.check_parts(_said(partial, keys), slowly)
                if os.path.lexists(target):
                    target.rename(place / f"{PARTIAL}spoilt")
                named(partial, target)
            finally:
                _clear(place)
    return checking.related(checking.read(place / found.folder.name, keys), keys)


def _stands(found: Checked, target: Path, keys: LogKeys, tell: Progress) -> bool:
    try:
        there = checking.read(target, keys)
        checking.check_parts(there, tell)
    except BackupError:
        return False
    return there.sha256 == found.sha256


def _bring(found: Checked, partial: Path, pace: Pace, tell: Progress) -> None:
    done = 0

    def watch(count: int) -> None:
        nonlocal done
        done += count
        tell(done, found.manifest.total_bytes)

    partial.mkdir(0o700)
    for name in (manifest.MANIFEST_FILE, manifest.RECEIPT_FILE):
        _copy(found.folder / name, partial / name, placed.SMALL_MAX_BYTES, pace, watch)
    for part in found.manifest.parts:
        source = found.folder / part.name
        digest = _copy(source, partial / part.name, part.sealed_bytes, pace, watch)
        if digest != part.sealed_sha256:
            raise SpoiltError(checking.CHANGED, f"{source} is not what it was")


def _said(partial: Path, keys: LogKeys) -> Checked:
    # Some KiB, written a moment ago: it is their source that is another.
    try:
        return checking.read(partial, keys)
    except BackupError as error:
        raise SpoiltError(error.code, str(error)) from error


def prune(place: Path, keys: LogKeys, rules: RetentionRules) -> int:
    """Take away the backups of this gateway that are past their time; return how many.

    What is not signed by this log is not ours to take away. A parent lives as long as its
    children, which go first.
    """
    found = _signed(place, keys)
    kept = _kept(found, rules)
    past = [one for one in found if one.sha256 not in kept]
    with alone(place, wait=False):
        for one in past:
            # Under this name it is no backup: killed in the midst, nobody takes a half for one.
            one.folder.rename(place / f"{PARTIAL}past-{one.folder.name}")
        _clear(place)
    return len(past)


def drop(folder: Path) -> None:
    """Take away a backup that is none; raises BackupError (BACKUP_BUSY), OSError."""
    with alone(folder.parent, wait=False):
        _clear(folder.parent)
        if os.path.lexists(folder):
            folder.rename(folder.with_name(f"{PARTIAL}spoilt"))
        _clear(folder.parent)


def _kept(found: list[Checked], rules: RetentionRules) -> set[str]:
    """Return the digests of those that are kept, of the newest first: with their parents.

    What cannot be restored there (`_restorable`) is kept as long as any, its parent may come back;
    but none that can be goes because of it.
    """
    kept: set[str] = set()
    for among in (found, _restorable(found)):
        base_us = {one.manifest.made_us for one in among if not one.manifest.parent}
        kept_us = schedule.retained((one.manifest.made_us for one in among), rules, base_us)
        kept |= {one.sha256 for one in among if one.manifest.made_us in kept_us}
    for one in found:
        if one.sha256 in kept:
            kept.add(one.manifest.parent)
    return kept


def _restorable(found: list[Checked]) -> list[Checked]:
    """Return those whose parts are as long as they were and whose parents are among them."""
    good: dict[str, Checked] = {}
    for one in reversed(found):  # parents are older than their children
        parent = good.get(one.manifest.parent)
        with contextlib.suppress(BackupError, OSError):
            if one.manifest.parent and parent is None:
                continue
            if parent is not None:
                chain.require_follows(one.manifest, parent.manifest)
            checking.check_lengths(one)
            good[one.sha256] = one
    return list(reversed(good.values()))


def prune_wal(place: Path, keys: LogKeys, rules: RetentionRules, sending: str) -> int:
    """Take away the WAL before the oldest backup of the last days; return how much.

    Weeks and months are restored as they are, not to the second. Lines that no backup of those
    days is of go whole, but the one that is being sent. Its newest whole segment stays: by that it
    is seen that the line goes on (`shipping`).
    """
    found = _signed(place, keys)
    days = RetentionRules(rules.daily, 0, 0)
    kept = {
        us
        for among in (found, _restorable(found))
        for us in schedule.retained((one.manifest.made_us for one in among), days)
    }
    first: dict[str, str] = {}
    for one in (each.manifest for each in found if each.manifest.made_us in kept):
        segment = next(one.wal.segments(), "")  # a dump has none, and no line
        first[one.line] = min(segment, first.get(one.line, segment))
    removed = 0
    for folder in placed.folders(place / FOLDER):
        if not _ours(folder, keys):
            continue
        if folder.name not in first:
            if folder.name != sending:
                placed.remove(folder)
                removed += 1
            continue
        whole = (path.stem for path in folder.glob("*.json") if len(path.stem) == _SEGMENT_NAME)
        oldest = min(first[folder.name], max(whole, default=""))
        # The entry first: what has one has its file, or is told as missing.
        for path in sorted(folder.glob("[0-9A-F]*"), reverse=True):
            if path.name[:_SEGMENT_NAME] < oldest:
                placed.remove(path)
                removed += path.suffix == ".age"
    return removed


def _signed(place: Path, keys: LogKeys) -> list[Checked]:
    """Return what this gateway's log names, newest first; the bytes of parts are not looked at."""
    found = []
    for folder in placed.folders(place):
        if not folder.name.startswith(PARTIAL):
            with contextlib.suppress(BackupError):
                found.append(checking.read(folder, keys))
    return sorted(found, key=lambda one: one.manifest.made_us, reverse=True)


def _ours(folder: Path, keys: LogKeys) -> bool:
    try:
        line.read_line(folder, keys)
    except BackupError:
        return False
    return True


def _copy(
    source: Path, target: Path, length: int, pace: Pace, watch: Callable[[int], object]
) -> str:
    """Copy a file onto the disk and return the SHA-256 of what was read; raises OSError."""
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as writing:
        for piece in _read(source, length):
            digest.update(piece)
            writing.write(piece)
            watch(len(piece))
            pace.keep(len(piece))
        writing.flush()
        os.fsync(writing.fileno())
        # So that the check reads the disk, not what is still in memory (posix_fadvise(2)).
        os.posix_fadvise(writing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()


def _read(source: Path, length: int) -> Iterator[bytes]:
    try:
        yield from placed.pieces(source, length)
    except OSError as error:
        text = f"{source} cannot be read: {error.strerror}"
        raise SpoiltError(checking.CHANGED, text) from error


def _clear(place: Path) -> None:
    for path in place.glob(f"{PARTIAL}*"):
        placed.remove(path)
