"""Whether the tar of a base backup is whole: our own reading of the server's list and of its WAL.

PostgreSQL's `backup_manifest` (documentation, "Backup Manifest Format") names every file with size
and SHA-256, and the WAL that is needed. The wheel's pg_verifybackup crashes, so it is read here:

    1 the list's own checksum     over all its bytes before that line
    2 files                       each that is listed is there, as long and as it was; no other
    3 WAL                         every segment from the first to the last that is needed, in full
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from tarfile import TarInfo
from typing import Any

from gateway.backups.errors import BackupError
from gateway.backups.untar import DAMAGED
from gateway.store.wal import SEGMENT_BYTES, segment_name

LIST_FILE, LABEL_FILE = "backup_manifest", "backup_label"
# Begins with the cluster's own id, in the server's byte order (pg_control.h, ControlFileData).
_CONTROL_FILE, _ID_BYTES = "global/pg_control", 8
WAL_MISSING = "BACKUP_WAL_MISSING"
_LIST_MAX_BYTES, _LABEL_MAX_BYTES = 64 * 1024 * 1024, 64 * 1024
WAL_FOLDER = "pg_wal/"
# The server lists all but the segments themselves.
_SEGMENT = re.compile(r"pg_wal/([0-9A-F]{24})")
_SELF_CHECKSUM = b'"Manifest-Checksum"'
_LSN = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})")
# Stands in the label of an incremental one alone (xlogbackup.c).
_SINCE = re.compile(rb"^INCREMENTAL FROM LSN: (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wal:
    """The WAL that a base backup needs: a timeline, from the first to the last position (LSN)."""

    timeline: int
    start: str
    end: str

    @property
    def begin(self) -> int:
        """Where it begins, in bytes since the journal's begin; raises BackupError."""
        return _position(self.start)

    def segments(self) -> Iterator[str]:
        """Yield the names of the segments; raises BackupError where a position is none."""
        first = self.begin // SEGMENT_BYTES
        last = (_position(self.end) - 1) // SEGMENT_BYTES
        for number in range(first, last + 1):
            yield segment_name(self.timeline, number)


@dataclass(frozen=True, slots=True)
class Whole:
    """A base backup that is whole: which server's (its own id), its WAL, its files as listed.

    `files` gives each one's length and SHA-256; `since` the position from which on it tells what
    changed, "" where it is no incremental one.
    """

    system: str
    wal: Wal
    files: Mapping[str, tuple[int, str]]
    since: str


class ClusterCheck:
    """Reads the tar as a `Visitor`; `finish` says whether it is whole."""

    def __init__(self, *, combined: bool = False) -> None:
        """Nothing was read yet.

        `pg_combinebackup`'s own list has no digest of what is in pg_wal (write_manifest.c): there
        the segments alone are looked for.
        """
        self._combined = combined
        self._found: dict[str, tuple[int, str]] = {}
        self._segments: dict[str, int] = {}
        self._list = bytearray()
        self._label = b""
        self._control = b""
        self._name = ""
        self._size = 0
        self._digest = hashlib.sha256()

    def begin(self, info: TarInfo) -> None:
        """Note a file; folders are not listed."""
        self._name = info.name.removeprefix("./") if info.isreg() else ""
        self._size = info.size
        self._digest = hashlib.sha256()

    def content(self, piece: bytes) -> None:
        """Digest it; the list is kept."""
        self._digest.update(piece)
        if self._name == _CONTROL_FILE:
            self._control = (self._control + piece)[:_ID_BYTES]
        if self._name == LABEL_FILE:
            self._label = (self._label + piece)[:_LABEL_MAX_BYTES]
        if self._name == LIST_FILE:
            self._list += piece
            if len(self._list) > _LIST_MAX_BYTES:
                raise BackupError(DAMAGED, f"{LIST_FILE} is too long")

    def end(self) -> None:
        """Note what was found."""
        segment = _SEGMENT.fullmatch(self._name)
        if segment is not None:
            self._segments[segment[1]] = self._size
        elif self._name and self._name != LIST_FILE and not self._passes(self._name):
            self._found[self._name] = (self._size, self._digest.hexdigest())

    def finish(self) -> Whole:
        """Return what was proven; raises BackupError: BACKUP_DAMAGED, BACKUP_WAL_MISSING."""
        listed = self._read()
        try:
            files = {
                one["Path"]: (one["Size"], one["Checksum"])
                for one in listed["Files"]
                if not self._passes(one["Path"])
            }
            [wal] = [
                Wal(int(one["Timeline"]), str(one["Start-LSN"]), str(one["End-LSN"]))
                for one in listed["WAL-Ranges"]
            ]
            # Lists of servers before 17 do not name it; this file is listed by its SHA-256.
            control = str(int.from_bytes(self._control, sys.byteorder))
            system = str(listed.get("System-Identifier", control))
        except (KeyError, TypeError, ValueError) as error:
            raise BackupError(DAMAGED, f"{LIST_FILE} is malformed") from error
        wrong = {
            name for name in files.keys() | self._found if files.get(name) != self._found.get(name)
        }
        if wrong:
            raise BackupError(DAMAGED, f"{min(wrong)} is not as the server listed it")
        for name in wal.segments():
            if self._segments.get(name) != SEGMENT_BYTES:
                raise BackupError(WAL_MISSING, f"the WAL segment {name} is missing or cut")
        since = _SINCE.search(self._label)
        return Whole(
            system, wal, files, "" if since is None else since[1].decode("ascii", "replace")
        )

    @property
    def listed(self) -> bytes:
        """The server's list, as it wrote it."""
        return bytes(self._list)

    def _passes(self, name: str) -> bool:
        return self._combined and name.startswith(WAL_FOLDER)

    def _read(self) -> dict[str, Any]:  # Any: JSON that is not judged yet
        content = self.listed
        at = content.rfind(_SELF_CHECKSUM)
        if at < 0:
            raise BackupError(DAMAGED, f"{LIST_FILE} is missing or has no checksum")
        try:
            listed = json.loads(content)
            told = listed["Manifest-Checksum"]
        except (ValueError, KeyError, TypeError) as error:
            raise BackupError(DAMAGED, f"{LIST_FILE} is malformed") from error
        if told != hashlib.sha256(content[:at]).hexdigest():
            raise BackupError(DAMAGED, f"{LIST_FILE} is not as the server wrote it")
        return dict(listed)


def _position(lsn: str) -> int:
    match = _LSN.fullmatch(lsn)
    if match is None:
        raise BackupError(DAMAGED, "a WAL position is malformed")
    return int(match[1], 16) << 32 | int(match[2], 16)
