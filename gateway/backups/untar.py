"""Reads a tar that is pushed piece by piece, as it comes out of a cipher or goes into one.

The pieces are of any size; what stands in the tar is told to a `Visitor`. Only plain files and
folders are taken (POSIX ustar, as PostgreSQL and we write it), with names that stay inside.
"""

import tarfile
from pathlib import PurePosixPath
from tarfile import TarInfo
from typing import Protocol

from gateway.backups.errors import BackupError

_BLOCK = tarfile.BLOCKSIZE
DAMAGED = "BACKUP_DAMAGED"


class Visitor(Protocol):
    """Is told what a tar holds."""

    def begin(self, info: TarInfo) -> None:
        """Take up a file or folder."""
        ...

    def content(self, piece: bytes) -> None:
        """Take the next piece of the file that began last."""
        ...

    def end(self) -> None:
        """Finish the file that began last."""
        ...


class Untar:
    """Takes a tar piece by piece."""

    def __init__(self, visitor: Visitor) -> None:
        """Tell this one."""
        self._visitor = visitor
        self._rest = b""
        self._left = 0  # of the content of the file that began last
        self._padding = 0
        self._open = False
        self._over = False

    def write(self, piece: bytes) -> int:
        """Take the next piece; raises BackupError (BACKUP_DAMAGED), and what the visitor raises."""
        data = memoryview(self._rest + piece if self._rest else piece)
        self._rest = b""
        at = 0
        while at < len(data):
            if self._left:
                at += self._content(data[at : at + self._left])
            elif self._padding:
                skipped = min(self._padding, len(data) - at)
                self._padding -= skipped
                at += skipped
            elif len(data) - at < _BLOCK:
                self._rest = bytes(data[at:])
                break
            else:
                self._header(bytes(data[at : at + _BLOCK]))
                at += _BLOCK
        return len(piece)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Say that this was all; raises BackupError where the tar did not come to its end."""
        if not self._over or self._left or self._rest:
            raise BackupError(DAMAGED, "the tar breaks off")

    def _content(self, piece: memoryview) -> int:
        self._visitor.content(bytes(piece))
        self._left -= len(piece)
        if not self._left:
            self._finish()
        return len(piece)

    def _finish(self) -> None:
        self._open = False
        self._visitor.end()

    def _header(self, block: bytes) -> None:
        if not block.strip(b"\0"):
            self._over = True
            return
        if self._over:
            raise BackupError(DAMAGED, "something follows the tar's end")
        try:
            info = TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.TarError, ValueError) as error:
            raise BackupError(DAMAGED, "a tar header is malformed") from error
        name = PurePosixPath(info.name)
        if name.is_absolute() or ".." in name.parts or not (info.isreg() or info.isdir()):
            raise BackupError(DAMAGED, "the tar holds what is neither file nor folder inside it")
        self._left = info.size if info.isreg() else 0
        self._padding = -self._left % _BLOCK
        self._open = True
        self._visitor.begin(info)
        if not self._left:
            self._finish()
