"""What lies in a place, to which others may write: read as plain files, removed as what it is.

A link laid there leads root elsewhere, a pipe never ends, a file may be of any length: none of them
is ours, and none is followed, waited for or swallowed.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# Manifests, receipts, lines and entries are some KiB: a manifest names a hundred tables.
SMALL_MAX_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
# A pipe or a device is opened at once, to be told by its kind (open(2)).
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def opened(path: Path) -> IO[bytes]:
    """Return a plain file for reading; raises OSError where it is a link or anything else."""
    file = os.fdopen(os.open(path, _PLAIN), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return file


def content(path: Path) -> bytes:
    """Return a small file; raises OSError, also where it is not small."""
    with opened(path) as file:
        found = file.read(SMALL_MAX_BYTES + 1)
    if len(found) > SMALL_MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return found


def pieces(path: Path, length: int) -> Iterator[bytes]:
    """Yield a file of this length, or as much more of it as shows that it is longer.

    Raises OSError. Who adds to it while it is read keeps nobody reading.
    """
    with opened(path) as file:
        left = length + 1
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            left -= len(piece)
            yield piece


def folders(parent: Path) -> list[Path]:
    """Return the folders in a folder that is itself no link; links to folders are none."""
    if parent.is_symlink() or not parent.is_dir():
        return []
    return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]


def remove(path: Path) -> None:
    """Take away a folder with what is in it, or a file, or a link and not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)  # which follows no link (its `avoids_symlink_attacks`)
    else:
        path.unlink(missing_ok=True)
