"""How far each ticket has come, kept where the database's owner has no hands: HOME/exports.

A row and a leaf of yesterday fit each other, MAC and all: with the newer leaves deleted, or a
function put in that finds the older one, they would raise what was stopped. So the door keeps the
version of every move, a line of 22 bytes each, after COMMIT and before anybody is told; a row below
its mark is TICKET_TAMPERED. After a crash in between the row is ahead of its mark, which is no
fault: `continuity` takes the mark up at its next look.

No file, or one that is not as it must be, is no memory: a backup was put back (`continuity`). So
nothing that the database says makes a line that is none.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

from gateway import log
from gateway.config.folders import replace_private
from gateway.errors import Reason, refuse

MARKS_FILE = "ticket-versions"
_LINE = re.compile(rb"(EX-[0-9]{8}) ([0-9]{1,9})\n")
# No ticket moves so often: a row that says so is its writer's (0031_ticket_proofs.sql).
_VERSION_MAX = 999_999_999
_LOG = log.get("exports")


class Marks:
    """The marks of a door, in one file that grows; one per process."""

    def __init__(self, folder: Path) -> None:
        """Read what is in this folder."""
        self._file = folder / MARKS_FILE
        self._writing = asyncio.Lock()
        found = _read(self._file)
        self.known = found is not None
        self._versions, self._length = found or ({}, 0)

    def of(self, ticket_id: str) -> int:
        """Return the lowest version that a ticket may have, 0 where nothing is known of it."""
        return self._versions.get(ticket_id, 0)

    async def keep(self, ticket_id: str, version: int) -> None:
        """Keep that a ticket came so far; raises DISK_LOW where that cannot be written.

        This process remembers it all the same. TICKET_TAMPERED for a number that is none.
        """
        if version <= self.of(ticket_id):
            return
        line = _line(ticket_id, version)
        self._versions[ticket_id] = version
        async with self._writing:
            if not self.known:
                return  # `put_back` writes all of it
            try:
                await asyncio.to_thread(_write_at, self._file, self._length, line)
            except OSError as error:
                _LOG.error("marks.unwritten", why=str(error.strerror))
                raise refuse(Reason.DISK_LOW) from error
            self._length += len(line)

    async def put_back(self, versions: Mapping[str, int]) -> None:
        """Begin anew with what a backup that was put back holds; raises DISK_LOW."""
        async with self._writing:
            content = b"".join(_line(*one) for one in sorted(versions.items()))
            try:
                await asyncio.to_thread(replace_private, self._file, content)
            except OSError as error:
                raise refuse(Reason.DISK_LOW) from error
            self._versions, self._length, self.known = dict(versions), len(content), True


def _line(ticket_id: str, version: int) -> bytes:
    line = f"{ticket_id} {min(version, _VERSION_MAX)}\n".encode("ascii")
    if _LINE.fullmatch(line) is None:
        raise refuse(Reason.TICKET_TAMPERED)
    return line


def _read(path: Path) -> tuple[dict[str, int], int] | None:
    """Return the marks, and the length of the lines that are whole; None where there is no file."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    # What a crash left of a line is written over.
    length = content.rfind(b"\n") + 1
    versions: dict[str, int] = {}
    for line in content[:length].splitlines(keepends=True):
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        ticket_id, version = found[1].decode("ascii"), int(found[2])
        versions[ticket_id] = max(version, versions.get(ticket_id, 0))
    return versions, length


def _write_at(path: Path, length: int, line: bytes) -> None:
    """Write a line behind the whole ones, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.ftruncate(descriptor, length)
        os.pwrite(descriptor, line, length)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
