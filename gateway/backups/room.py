"""Whether a disk has room for what a backup holds, before it is opened; what a full one is called.

A server that finds its disk full says so in words of the C library, or by SQLSTATE 53100
(PostgreSQL documentation, "PostgreSQL Error Codes").
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.backups import manifest
from gateway.backups.checking import Checked
from gateway.backups.errors import BackupError
from gateway.backups.making import NOT_WRITTEN
from gateway.backups.replaying import Way
from gateway.config import disk
from gateway.config.disk import DiskRules
from gateway.store.database import StoreError
from gateway.store.embedded import ClusterError
from gateway.store.tools import ToolError
from gateway.store.wal import SEGMENT_BYTES

# What the server writes of its own when it starts: the segment it goes on in, and the next.
_OWN_SEGMENTS = 2
# A dump is compressed and has no indexes; its journal is written, too.
_LOADED = 4
_DISK_FULL = "53100"


def needed(found: Checked, ahead: Way | None, *, hosted: bool = False) -> int:
    """Return how many bytes a restore writes, with the WAL that lies ahead.

    A dump that is loaded into another's server needs room there, which is its operator's matter.
    """
    if found.manifest.form == manifest.DUMP:
        files, database = found.manifest.parts
        # The dump is copied, sealed, before it is opened.
        loaded = 0 if hosted else database.plain_bytes * _LOADED
        return files.plain_bytes + database.sealed_bytes + loaded
    parts = [part for one in found.whole for part in one.manifest.parts]
    # What a chain is combined to stands beside its parts, from which it is linked where it can be.
    parts += found.whole[0].manifest.parts if found.parents else ()
    segments = _OWN_SEGMENTS + (0 if ahead is None else len(ahead.entries))
    return sum(one.plain_bytes for one in parts) + segments * SEGMENT_BYTES


def require(folder: Path, wanted: int, rules: DiskRules | None = None) -> None:
    """Pass a disk with room for so many bytes; with rules, one where everything goes on beside it.

    Raises BackupError (BACKUP_NOT_WRITTEN), which says how much is missing, OSError.
    """
    room = disk.look(folder)
    kept = 0.0
    if rules is not None and room.free_percent:
        kept = room.free_bytes / room.free_percent * rules.exports_percent
    missing = wanted + round(kept) - room.free_bytes
    if missing > 0:
        text = f"{folder}: {wanted} bytes are to be written, room for {missing} is missing"
        raise BackupError(NOT_WRITTEN, text)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn what a disk says, and a server whose disk is full, into BACKUP_NOT_WRITTEN."""
    try:
        yield
    except OSError as error:
        text = f"{error.filename or ''} {error.strerror}".strip()
        raise BackupError(NOT_WRITTEN, text) from error
    except (ClusterError, ToolError, StoreError) as error:
        full = getattr(error, "sqlstate", "") == _DISK_FULL
        if full or os.strerror(errno.ENOSPC) in str(error):
            raise BackupError(NOT_WRITTEN, str(error)) from error
        raise
