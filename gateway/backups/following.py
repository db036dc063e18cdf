"""A line of WAL in a place: furnished, brought what it lacks from another place, rid of halves.

Only what the line's key signed is brought on, and only as it was sealed: what was damaged in one
place, or laid there by somebody, spreads to no other.
"""

import contextlib
import errno
import os
from pathlib import Path

from gateway.backups import line as lines
from gateway.backups import placed
from gateway.backups.line import FOLDER, LINE_FILE, RECEIPT_FILE, Line
from gateway.config.folders import replace_private, sync

NEW = ".new"
_ENTRIES = "[0-9A-F]*.json"


def furnish(place: Path, own: Path, line: Line) -> Path:
    """Return the folder of a line in a place, with what the log says of it; raises OSError.

    `own` is where HOME keeps that. What a killed turn left half is removed.
    """
    folder = _folder(place, line)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _drop_halves(folder)
    for name in (RECEIPT_FILE, LINE_FILE):
        said = (own / name).read_bytes()
        if not _holds(folder / name, said):
            replace_private(folder / name, said)
    return folder


def _holds(path: Path, said: bytes) -> bool:
    try:
        return placed.content(path) == said
    except OSError:
        return False


def follow(leading: Path, folder: Path, line: Line) -> None:
    """Bring a place what it lacks: each sealed file before its entry; then drop the old tails.

    Raises BackupError where the leading place is damaged, OSError.
    """
    tails = [path.stem for path in leading.glob("*-*.json")]
    for path in _lacking(leading, folder):
        entry, _ = lines.read_entry(path, line)
        sealed = lines.require(leading, entry)
        replace_private(folder / sealed.name, b"".join(placed.pieces(sealed, entry.sealed_bytes)))
        replace_private(folder / path.name, placed.content(path))
    sync(folder)
    drop_tails(folder, keep=tails[0] if tails else "")


def _lacking(leading: Path, folder: Path) -> list[Path]:
    """Return the entries that a place has not, or has otherwise, in their order.

    It has another one for a segment where a turn was killed before it counted, and the next one
    sealed that segment again for another place.
    """
    found: list[Path] = []
    same = False
    for path in sorted(leading.glob(_ENTRIES), reverse=True):
        theirs = folder / path.name
        if theirs.exists() and (same or _holds(theirs, placed.content(path))):
            same = True
        else:
            found.append(path)
    return found[::-1]


def drop_tails(folder: Path, keep: str) -> None:
    """Remove the files of a segment that grew, but of this name; raises OSError."""
    for path in folder.glob("*-*"):
        if path.stem != keep:
            placed.remove(path)


def tidy(place: Path, line: Line) -> None:
    """Leave nothing half in a place that is full; one that is away keeps it until it is back."""
    with contextlib.suppress(OSError):
        _drop_halves(_folder(place, line))


def _folder(place: Path, line: Line) -> Path:
    """Return the folder of a line in a place; raises OSError where a link leads elsewhere."""
    folder = place / FOLDER / line.line
    for one in (folder.parent, folder):
        if one.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(one))
    return folder


def _drop_halves(folder: Path) -> None:
    for path in [*folder.glob(f"*{NEW}"), *folder.glob("*.age")]:
        if path.suffix == NEW or not path.with_suffix(".json").exists():
            placed.remove(path)
