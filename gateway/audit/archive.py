"""Exports the log as a static C2SP folder that anybody verifies without us.

    DIR/checkpoint      the signed note: everything below is of its size
    DIR/log.vkey        the key that signs the log; get it also from somewhere else
    DIR/log-keys/N      the notes by which it followed the keys before, signed by both
    DIR/tile/L/N        hashes, complete and partial
    DIR/tile/entries/N  the leaves

The folder appears whole or not at all. What the database no longer holds is missing in it, and
`verify` says so: an export hides nothing.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.log import LogError, fetch_tile, head
from gateway.config import log_keys
from gateway.store.database import Database, Transaction
from gateway.tlog import checkpoint, note, tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.tiles import TILE_WIDTH, Tile

CHECKPOINT_FILE = "checkpoint"
KEY_FILE = "log.vkey"
# Bundles read in one transaction: 4,096 leaves of at most 64 KiB.
_BUNDLES_AT_ONCE = 16

_ENTRIES = """
    SELECT idx, leaf FROM gateway.audit_entry WHERE idx >= %s AND idx < %s ORDER BY idx
"""

Progress = Callable[[int, int], None]


class ArchiveError(Exception):
    """The folder cannot be written; `code` is FOLDER_EXISTS or CHECKPOINT_FORM."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; `code` is stable, the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    The checkpoint's size, the database's, and how many things were not there.
    """

    size: int
    log_size: int
    missing: tuple[str, ...]


async def export(
    database: Database,
    signed: str,
    key: str,
    folder: Path,
    progress: Progress = lambda *_: None,
    *,
    notes: Sequence[str] = (),
) -> Exported:
    """Write the log up to the checkpoint `signed` into `folder`, replacing an earlier export.

    `key` is the vkey line, `notes` those by which it followed the keys before. Raises
    ArchiveError, StoreAwayError, OSError.
    """
    try:
        newest = checkpoint.parse(note.split(signed)[0])
    except note.NoteError as error:
        raise ArchiveError("CHECKPOINT_FORM", str(error)) from error
    fresh = _begin(folder, signed, key, notes)
    try:
        exported = await _write(database, newest, fresh, progress)
        _replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return exported


def _begin(folder: Path, signed: str, key: str, notes: Sequence[str]) -> Path:
    """Return a new folder beside `folder`, with checkpoint and keys in it."""
    if folder.exists() and not (folder / CHECKPOINT_FILE).is_file():
        raise ArchiveError("FOLDER_EXISTS", f"{folder} exists and is no export")
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    fresh.mkdir(parents=True)
    (fresh / CHECKPOINT_FILE).write_text(signed, encoding="utf-8")
    (fresh / KEY_FILE).write_text(f"{key}\n", encoding="utf-8")
    for number, note_of_both in enumerate(notes, 1):
        path = fresh / log_keys.FOLDER / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_text(note_of_both, encoding="utf-8")
    return fresh


async def _write(
    database: Database, newest: Checkpoint, folder: Path, progress: Progress
) -> Exported:
    missing: list[str] = []
    async with database.transaction() as transaction:
        log_size = (await head(transaction)).size
        for tile in tiles.tiles_of(newest.size):
            try:
                content = b"".join(await fetch_tile(transaction, tile))
            except LogError:
                missing.append(tile.path)
            else:
                _put(folder, tile, content)
    for some in _chunks(list(tiles.bundles_of(newest.size))):
        async with database.transaction() as transaction:
            missing += await _write_bundles(transaction, some, folder)
        progress(some[-1].n * TILE_WIDTH + some[-1].width, newest.size)
    return Exported(newest.size, log_size, tuple(missing))


async def _write_bundles(transaction: Transaction, some: list[Tile], folder: Path) -> list[str]:
    """Write these bundles, with whatever entries are there.

    Returns the paths of those not whole.
    """
    missing: list[str] = []
    begin, end = some[0].n * TILE_WIDTH, some[-1].n * TILE_WIDTH + some[-1].width
    leaves = {row[0]: bytes(row[1]) for row in await transaction.fetch(_ENTRIES, (begin, end))}
    for tile in some:
        places = range(tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width)
        there = [leaves[place] for place in places if place in leaves]
        if len(there) < tile.width:
            missing.append(tile.path)
        if there:
            _put(folder, tile, tiles.pack_bundle(there))
    return missing


def _chunks(bundles: list[Tile]) -> Iterator[list[Tile]]:
    for begin in range(0, len(bundles), _BUNDLES_AT_ONCE):
        yield bundles[begin : begin + _BUNDLES_AT_ONCE]


def _put(folder: Path, tile: Tile, content: bytes) -> None:
    path = folder / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _replace(fresh: Path, folder: Path) -> None:
    """Put the finished folder in its place, durably; the one before is removed last."""
    for path in [*fresh.rglob("*"), fresh]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    old = fresh.with_name(f"{fresh.name}.old")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
