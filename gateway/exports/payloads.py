"""The payloads on the disk: what was encrypted, without the header that opens it; noise by itself.

A payload is written under another name and renamed when its last byte is on the disk, so that there
is a whole one or none, whenever the process ends.
"""

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Self

from gateway.config.folders import PRIVATE_FILE

_PART = ".part"
_TICKET = re.compile(r"EX-[0-9]{8}", re.ASCII)


def path(folder: Path, ticket_id: str) -> Path:
    """Return where a ticket's payload lies: named by its number, never by a text of somebody's.

    Raises ValueError for what is no ticket's number.
    """
    if not _TICKET.fullmatch(ticket_id):
        raise ValueError("not a ticket's number")
    return folder / f"{ticket_id}.payload"


def remove(folder: Path, ticket_id: str) -> None:
    """Unlink what there is of a ticket's payload, whole or not."""
    whole = path(folder, ticket_id)
    for one in (whole, whole.with_suffix(_PART)):
        one.unlink(missing_ok=True)


class Payload:
    """A payload on its way to the disk: under another name until all of it is there."""

    def __init__(self, whole: Path) -> None:
        """Write what will lie at `whole`; the file is opened by `with`."""
        self._path = whole
        self._partial = whole.with_suffix(_PART)
        self._digest, self.length = hashlib.sha256(), 0

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self._partial, flags, PRIVATE_FILE), "wb")
        return self

    def __exit__(self, *_: object) -> None:
        # What could not be written is tried again at the closing: that was told already.
        with contextlib.suppress(OSError):
            self._file.close()

    @property
    def sha256(self) -> str:
        """The digest of what was written, lower hex."""
        return self._digest.hexdigest()

    def write(self, piece: bytes) -> None:
        """Write a piece; raises OSError."""
        self._file.write(piece)
        self._digest.update(piece)
        self.length += len(piece)

    def settle(self) -> None:
        """Put it into its place once its bytes are on the disk; raises OSError."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._partial.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
