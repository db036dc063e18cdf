"""The folder of notes by which the log's keys followed one another: files 1, 2, 3 and so on.

Each is one C2SP signed note; the same in HOME/public, in an export and in a client's profile. What
they say is judged by `tlog.keys`; a folder that is not there has none.
"""

from pathlib import Path

FOLDER = "log-keys"


def read(folder: Path) -> list[str]:
    """Return the notes of a folder, oldest first; what is no text is no note. Raises OSError."""
    return [path.read_bytes().decode(errors="replace") for path in files(folder)]


def files(folder: Path) -> list[Path]:
    """Return the files of a folder's notes, oldest first; raises OSError."""
    if not folder.is_dir():
        return []
    return sorted((one for one in folder.iterdir() if one.name.isdecimal()), key=_number)


def following(folder: Path) -> Path:
    """Return the file for the note that follows those in a folder; raises OSError."""
    there = files(folder)
    return folder / str(_number(there[-1]) + 1 if there else 1)


def _number(path: Path) -> int:
    return int(path.name)
