"""Opens the dump in a backup and counts its rows: each table has exactly those of the manifest.

pg_restore reads the dump to its end and knows no server; what it makes of it goes nowhere.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from pyrage import x25519

from gateway.backups import sealing
from gateway.backups.errors import BackupError
from gateway.backups.manifest import Manifest
from gateway.backups.untar import DAMAGED
from gateway.store import dump
from gateway.store.tools import ToolError

Progress = Callable[[int, int], object]
Write = Callable[[bytes], object]


def check(folder: Path, said: Manifest, key: x25519.Identity, tell: Progress) -> None:
    """Pass a backup whose dump opens to its end with these rows; raises BackupError."""
    try:
        with dump.counted() as (sink, script):
            unseal(folder, said, key, sink.write, tell)
    except ToolError as error:
        raise BackupError(DAMAGED, str(error)) from error
    require_rows(script.rows, said.rows)


def unseal(
    folder: Path, said: Manifest, key: x25519.Identity, write: Write, tell: Progress
) -> None:
    """Open a dump and write all of it; raises BackupError where it is not what was put in."""
    [part] = [one for one in said.parts if one.name == said.database_part]
    done = 0

    def watch(piece: bytes) -> None:
        nonlocal done
        write(piece)
        done += len(piece)
        tell(done, part.plain_bytes)

    inside = sealing.unseal(folder / part.name, key, watch)
    if inside != (part.plain_bytes, part.plain_sha256):
        raise BackupError(DAMAGED, f"{part.name} holds something else than was put in")


def require_rows(found: Mapping[str, int], counted: Mapping[str, int]) -> None:
    """Pass the same rows in each table; raises BackupError (BACKUP_DAMAGED)."""
    differing = {name for name in found.keys() | counted if found.get(name) != counted.get(name)}
    if differing:
        name = min(differing)
        text = f"{found.get(name)} rows of {name} are in it, {counted.get(name)} were counted"
        raise BackupError(DAMAGED, text)
