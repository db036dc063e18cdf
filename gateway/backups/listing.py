"""What lies in the places: each backup once, where, how whole it is, how far its journal goes.

Judged as `checking` and `line` judge, without a private key. Unless all is read (`whole`), a part
is judged by its length alone, and a segment of the journal by its signed entry.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.backups import checking
from gateway.backups import line as lines
from gateway.backups.checking import Checked, Progress
from gateway.backups.errors import BackupError
from gateway.tlog.keys import LogKeys


@dataclass(frozen=True, slots=True)
class Copy:
    """A backup in one place; `refused` is the code of what is wrong with it, "" for nothing."""

    folder: Path
    refused: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One backup, None where no signed manifest says what it is, and its copies.

    `reach_us` is until when the journal goes on from it, None where it does not; `journal` is the
    code of what is wrong with the journal, "" for nothing.
    """

    found: Checked | None
    copies: tuple[Copy, ...]
    reach_us: int | None
    journal: str

    @property
    def good(self) -> tuple[Copy, ...]:
        """The copies of which nothing is wrong."""
        return tuple(one for one in self.copies if not one.refused)


def look(
    places: Iterable[Path], keys: LogKeys, *, whole: bool = False, tell: Progress = lambda *_: None
) -> list[Listed]:
    """Return the backups of places, the newest first, and then what is none.

    `whole`: every byte of each is read, and `tell` called. A place that is not there holds none.
    """
    named: dict[str, list[tuple[Checked, Copy]]] = {}
    strange: list[Listed] = []
    judge = _Judge(keys, whole, tell)
    for folder in _folders(places):
        try:
            found = checking.read(folder, keys)
        except BackupError as error:
            strange.append(Listed(None, (Copy(folder, error.code),), None, ""))
            continue
        named.setdefault(found.sha256, []).append((found, Copy(folder, judge.wrong(found))))
    newest_first = sorted(named.values(), key=lambda one: one[0][0].manifest.made_us, reverse=True)
    return [judge.listed(one) for one in newest_first] + strange


def _folders(places: Iterable[Path]) -> list[Path]:
    return [
        one
        for place in places
        for one in (sorted(place.iterdir(), reverse=True) if place.is_dir() else ())
        if one.is_dir() and one.name != lines.FOLDER
    ]


@dataclass(frozen=True, slots=True)
class _Judge:
    keys: LogKeys
    whole: bool
    tell: Progress

    def wrong(self, found: Checked) -> str:
        """Return the code of what is wrong with one copy, or what it goes on from."""
        try:
            if self.whole:
                checking.check(found.folder, self.keys, self.tell)
            for one in checking.related(found, self.keys).whole:
                checking.check_lengths(one)
        except BackupError as error:
            return error.code
        return ""

    def listed(self, copies: list[tuple[Checked, Copy]]) -> Listed:
        """Return a backup of these copies; the longest journal beside one of them counts."""
        reach_us, journal = 0, ""
        for found, _ in copies:
            try:
                reach_us = max(reach_us, self._reach_us(found))
            except BackupError as error:
                journal = error.code
        every = tuple(copy for _, copy in copies)
        return Listed(copies[0][0], every, reach_us or None, journal)

    def _reach_us(self, found: Checked) -> int:
        """Return until when the journal beside a copy goes on from it, 0 for no journal."""
        said = found.manifest
        folder = found.folder.parent / lines.FOLDER / said.line
        if not said.line or not folder.is_dir():
            return 0
        line = lines.read_line(folder, self.keys)
        *_, last = said.wal.segments()
        entries = lines.chain(folder, line, last)
        for one in entries if self.whole else ():
            lines.require(folder, one)
        return max((one.time_us for one in entries), default=0)
