"""A file that another process may replace while this one runs, looked at again at every use.

A look costs a microsecond and a half. Whoever writes such a file puts a new one in its place
(`folders.replace_public`), so inode, size and time tell that it changed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Read = TypeVar("Read")


class Watched:
    """A file, and which one it was when it was last read."""

    __slots__ = ("_path", "_seen")

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> bool:
        """Return whether it is another than was read; raises OSError."""
        return self.state() != self._seen

    def read(self, read: Callable[[Path], Read]) -> Read:
        """Read it, and know it from then on; raises OSError and what `read` raises."""
        # Before the content: a change meanwhile shows itself at the next look.
        state = self.state()
        content = read(self._path)
        self._seen = state
        return content

    def state(self) -> tuple[int, int, int]:
        """Return what tells the file there from any other; raises OSError."""
        found = self._path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
