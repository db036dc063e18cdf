"""Sends the journal into the places, sealed, while it grows: so that a lost host loses seconds.

A turn:
    1 line     ours, or a new one where there is none or the server threw away what was not sent
               yet; its leaf `backup.wal` is committed first
    2 whole    each segment that is full, sealed once into the first place that can go on with the
               line; then the server may throw it away
    3 tail     of the one that grows what is on the disk now, in the place of the last tail
    4 others   every other place gets what it lacks, as it was sealed

Killed anywhere, the next turn goes on: a segment without its entry is written again. What is ours
lies in HOME/database/wal, which is in no backup: a restored gateway begins another line.
"""

import asyncio
import contextlib
import io
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.event import Event
from gateway.audit.receipt import proof_text
from gateway.backups import following, forms, manifest, placed, recipients, sealing, spreading
from gateway.backups import line as lines
from gateway.backups.errors import BackupError
from gateway.backups.line import FOLDER, KIND, LINE_FILE, RECEIPT_FILE, Entry, Line
from gateway.backups.making import NOT_READ, NOT_WRITTEN, Source, alone
from gateway.config.folders import replace_private, sync, write_private
from gateway.config.home import Home
from gateway.store import wal
from gateway.store.database import StoreError
from gateway.store.wal import SEGMENT_BYTES, Journal, segment_name, segment_number

_KEY_FILE, _NEWEST_FILE = "line.key", "newest.json"
_LINE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Shipped:
    """How a turn went: whole segments sent, until when all is in a place, what went wrong where."""

    whole: int
    until_us: int
    copies: int
    errors: tuple[BackupError, ...]


@dataclass(frozen=True, slots=True)
class Own:
    """The line that this HOME sends: its folder, its key, the newest whole entry and its digest."""

    folder: Path
    line: Line
    key: Ed25519PrivateKey
    newest: Entry | None
    digest: str

    @property
    def next_number(self) -> int:
        """The segment that is sent next, whole."""
        last = self.newest
        return segment_number(self.line.segment if last is None else last.segment) + bool(last)


@contextlib.contextmanager
def sole(home: Home) -> Iterator[None]:
    """Be the only one who sends; raises BackupError (BACKUP_BUSY)."""
    folder = lines.own_folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    with alone(folder, wait=False):
        yield


async def turn(source: Source, places: Sequence[Path]) -> Shipped:
    """Send what is new; raises BackupError where nothing could be sent, StoreError."""
    there = [one for one in places if one.is_dir()]
    if not there:
        raise BackupError(spreading.AWAY, "no place is there: mount it, or make it")
    async with source.database.transaction() as tx:
        to = await recipients.trusted(tx)
    try:
        form = await asyncio.to_thread(forms.chosen, source.home, source.settings)
        if form == manifest.DUMP:
            raise BackupError(forms.EXTERNAL, "no WAL goes on from dumps")
        with wal.opened(source.home, source.settings) as journal:
            own = _own(source.home)
            if own is None or _broken(own, journal, there):
                own = await _begin(source, journal)  # 1
            now_us = source.recorder.clock.now_us()
            return await asyncio.to_thread(_ship, own, journal, there, to, now_us, len(places))
    except StoreError as error:
        raise BackupError(NOT_READ, str(error)) from error
    except OSError as error:
        raise BackupError(NOT_WRITTEN, f"{error.filename or ''} {error.strerror}") from error


def _ship(
    own: Own, journal: Journal, there: Sequence[Path], to: Sequence[str], now_us: int, asked: int
) -> Shipped:
    errors: dict[Path, BackupError] = {}
    for leading in there:
        if _goes_on(leading, own):
            try:
                return _ship_by(leading, own, journal, there, to, now_us, asked, errors)
            except OSError as error:  # full, or away since: another place goes on
                errors[leading] = BackupError(NOT_WRITTEN, f"{leading}: {error.strerror}")
                own = _read(own.folder) or own
                _leave(leading, own, [one for one in there if one not in errors])
    raise next(iter(errors.values()))


def _ship_by(
    leading: Path,
    own: Own,
    journal: Journal,
    there: Sequence[Path],
    to: Sequence[str],
    now_us: int,
    asked: int,
    errors: dict[Path, BackupError],
) -> Shipped:
    """Do 2 to 4 with one place before the others; raises OSError where that one fails."""
    folder, flushed, whole = _furnish(leading, own), journal.flushed(), 0
    for number in range(own.next_number, flushed.number):  # 2
        content = journal.read(flushed.timeline, number)
        own = _put(folder, own, segment_name(flushed.timeline, number), content, to, now_us)
        journal.release(number + 1)
        whole += 1
    size = flushed.position % SEGMENT_BYTES
    name = segment_name(flushed.timeline, flushed.number)
    if size and not (folder / f"{name}-{size:08d}.json").exists():  # 3
        content = journal.read(flushed.timeline, flushed.number, size)
        _put(folder, own, name, content, to, now_us)
    following.drop_tails(folder, keep=f"{name}-{size:08d}")
    for place in there:  # 4
        if place != leading and place not in errors:
            try:
                _follow(folder, place, own)
            except BackupError as error:
                errors[place] = error
    away = [BackupError(spreading.AWAY, "a place is not there")] * (asked - len(there))
    wrong = (*errors.values(), *away)
    return Shipped(whole, now_us, asked - len(wrong), wrong)


def _put(
    folder: Path, own: Own, segment: str, content: bytes, to: Sequence[str], now_us: int
) -> Own:
    """Seal a segment, or what there is of it, and then write its entry; return what is sent now."""
    size = len(content)
    stem = segment if size == SEGMENT_BYTES else f"{segment}-{size:08d}"
    sealed = folder / f"{stem}.age{following.NEW}"
    sealed.unlink(missing_ok=True)
    part = sealing.seal(io.BytesIO(content), sealed, to, lambda _: None)
    sealed.rename(folder / f"{stem}.age")
    entry = Entry(
        own.line.line,
        0 if own.newest is None else own.newest.number + 1,
        segment,
        size,
        now_us,
        own.digest,
        part.plain_sha256,
        part.sealed_bytes,
        part.sealed_sha256,
    )
    encoded = entry.encode(own.key)
    replace_private(folder / f"{stem}.json", encoded)
    sync(folder)
    if not entry.whole:
        return own
    replace_private(own.folder / _NEWEST_FILE, encoded)
    return Own(own.folder, own.line, own.key, entry, lines.digest(encoded))


async def _begin(source: Source, journal: Journal) -> Own:
    """Begin a line: from the segment on that the server keeps now; its leaf comes first."""
    folder, now_us = lines.own_folder(source.home), source.recorder.clock.now_us()
    broken = (folder / LINE_FILE).exists()
    number = journal.keep()
    key = Ed25519PrivateKey.generate()
    segment = segment_name(journal.flushed().timeline, number)
    name = secrets.token_hex(_LINE_BYTES)
    begun = Line(name, journal.system(), segment, lines.public_hex(key), now_us)
    content = begun.encode()
    detail: dict[str, str | int] = {"manifest_sha256": manifest.sha256(content), "step": "begin"}
    if broken:
        # From the newest backup on until now no second can be reached any more.
        detail["alert"] = "backup-wal-broken"
    entry = await source.recorder.append(Event(kind=KIND, door="host", detail=detail))
    for path in folder.iterdir():  # not the folder: it is locked
        path.unlink()
    write_private(folder / _KEY_FILE, key.private_bytes_raw().hex().encode())
    write_private(folder / RECEIPT_FILE, proof_text(entry, entry.leaf).encode())
    replace_private(folder / LINE_FILE, content)  # the last: with it, all of it is there
    return Own(folder, begun, key, None, "")


def _own(home: Home) -> Own | None:
    return _read(lines.own_folder(home))


def _read(folder: Path) -> Own | None:
    try:
        begun = lines.parse((folder / LINE_FILE).read_bytes())
        key = Ed25519PrivateKey.from_private_bytes(
            bytes.fromhex((folder / _KEY_FILE).read_text(encoding="ascii"))
        )
    except FileNotFoundError:
        return None
    path = folder / _NEWEST_FILE
    if not path.exists():
        return Own(folder, begun, key, None, "")
    newest, digest = lines.judged(path.read_bytes(), begun)
    return Own(folder, begun, key, newest, digest)


def _broken(own: Own, journal: Journal, there: Sequence[Path]) -> bool:
    """Tell whether the line cannot go on: what was not sent is gone, or what was sent is."""
    kept = journal.kept_from()
    if kept is None or kept > own.next_number or own.line.system != journal.system():
        return True
    if int(own.line.segment[:8], 16) != journal.flushed().timeline:
        return True  # a standby of another's server took its place
    return not any(_goes_on(place, own) for place in there)


def _goes_on(place: Path, own: Own) -> bool:
    if own.newest is None:
        return True
    try:
        entry = placed.content(place / FOLDER / own.line.line / f"{own.newest.stem}.json")
    except OSError:
        return False
    return lines.digest(entry) == own.digest


def _furnish(place: Path, own: Own) -> Path:
    return following.furnish(place, own.folder, own.line)


def _follow(leading: Path, place: Path, own: Own) -> None:
    """Bring a place what it lacks of another one's folder; raises BackupError."""
    try:
        following.follow(leading, _furnish(place, own), own.line)
    except OSError as error:
        following.tidy(place, own.line)
        raise BackupError(NOT_WRITTEN, f"{place}: {error.strerror}") from error


def _leave(leading: Path, own: Own, others: Sequence[Path]) -> None:
    """Leave a place that failed: no half in it, and what it alone has is brought to the others."""
    following.tidy(leading, own.line)
    for place in others:
        with contextlib.suppress(BackupError):
            _follow(leading / FOLDER / own.line.line, place, own)
