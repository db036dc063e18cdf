"""A file that appears whole or not at all, and never in the place of another.

It has no name while it is written (O_TMPFILE, open(2)): whenever the process ends, by kill -9 too,
the kernel takes back what was there. A hard link gives it its name at the end; link(2) replaces
nothing and follows no link that somebody laid there.
"""

import errno
import os
from pathlib import Path
from typing import Self

from gateway.client.files import PRIVATE_FILE

# What a file system answers that cannot do it, where the C library does not do it in its place.
_SETS_NOTHING_ASIDE = frozenset({errno.EOPNOTSUPP, errno.EINVAL})


class LandingError(Exception):
    """The file cannot lie there: `cause` is a word.

    exists; folder: absent, closed, or cannot do it; space: not enough for it.
    """

    def __init__(self, cause: str) -> None:
        """Make an error."""
        super().__init__(cause)
        self.cause = cause


class Landing:
    """A file on its way, 0600, to be used as `with`; gone at the end of it unless `settle`d."""

    def __init__(self, target: Path, room_bytes: int = 0) -> None:
        """Write what will lie at `target`, with room for so many bytes taken at once."""
        self._target = target
        self._room_bytes = room_bytes
        self._folder = -1

    def __enter__(self) -> Self:
        require_free(self._target)
        try:
            self._folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
            flags = os.O_TMPFILE | os.O_RDWR
            self._file = os.fdopen(os.open(".", flags, PRIVATE_FILE, dir_fd=self._folder), "wb")
        except OSError as error:
            self._close_folder()
            raise LandingError("folder") from error
        self._take_room()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        finally:
            self._close_folder()

    def write(self, piece: bytes) -> None:
        """Write a piece; raises OSError."""
        self._file.write(piece)

    def settle(self) -> None:
        """Give it its name once its bytes are on the disk; raises LandingError, OSError."""
        self._file.truncate()
        os.fsync(self._file.fileno())
        own = f"/proc/self/fd/{self._file.fileno()}"
        try:
            os.link(own, self._target.name, dst_dir_fd=self._folder, follow_symlinks=True)
        except FileExistsError as error:
            raise LandingError("exists") from error
        os.fsync(self._folder)

    def _take_room(self) -> None:
        """Have the disk set aside what will be written (posix_fallocate(3))."""
        if not self._room_bytes:
            return
        try:
            os.posix_fallocate(self._file.fileno(), 0, self._room_bytes)
        except OSError as error:
            if error.errno in _SETS_NOTHING_ASIDE:
                return
            self.__exit__()
            raise LandingError("space") from error

    def _close_folder(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def require_free(target: Path) -> None:
    """Raise LandingError where something lies already, be it a link to nothing."""
    if os.path.lexists(target):
        raise LandingError("exists")
