"""Exports the log as a static C2SP folder that anybody verifies without us.

    DIR/checkpoint      the signed note: everything below is of its size
    DIR/cosigned/SIZE   earlier ones that witnesses cosigned, the newest of them
    DIR/witness-policy  who is a witness, and who suffices; get it also from somewhere else
    DIR/log.vkey        the key that signs the log; this as well
    DIR/log-keys/N      the notes by which it followed the keys before, signed by both
    DIR/minimum-index   entries before it may be left out; their hashes never are
    DIR/tile/L/N        hashes, complete and partial
    DIR/tile/entries/N  the leaves
    DIR/sealed/DIGEST   side parts of these leaves (`audit.beside`), sealed: without their keys

These are the paths of C2SP tlog-tiles below the log's prefix: any static web server may serve them.
The folder appears whole or not at all. What the database no longer holds is missing in it, and
`verify` says so: an export hides nothing.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.log import LogError, fetch_tile, head
from gateway.audit.witnessing import CHECKPOINT_FILE, COSIGNED_FOLDER, MINIMUM_FILE, POLICY_FILE
from gateway.config import log_keys
from gateway.store.database import Database, Transaction
from gateway.tlog import checkpoint, note, tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.side_parts import Naming, path_of
from gateway.tlog.tiles import TILE_WIDTH, Tile

RESTORES = "log-restores"
KEY_FILE = "log.vkey"
# Bundles read in one transaction: 4,096 leaves of at most 64 KiB.
_BUNDLES_AT_ONCE = 16

_ENTRIES = """
    SELECT idx, leaf FROM gateway.audit_entry WHERE idx >= %s AND idx < %s ORDER BY idx
"""

# So many cosigned checkpoints go along, the newest; each with no more lines than a note may have.
_COSIGNED_MAX = 64
_COSIGNED = """
    SELECT o.size, o.note, array_to_string((array_agg(c.line ORDER BY c.vkey))[:90], '')
    FROM gateway.offered_checkpoint AS o JOIN gateway.cosignature AS c ON c.size = o.size
    WHERE o.size <= %s GROUP BY o.size, o.note ORDER BY o.size DESC LIMIT %s
"""

_PARTS_AT_ONCE = 256
_PARTS = """
    SELECT encode(digest, 'hex'), salt || ciphertext FROM gateway.audit_sealed
    WHERE digest = ANY(%b::bytea[])
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


async def export(  # noqa: PLR0913  what an export is made of
    database: Database,
    signed: str,
    key: str,
    folder: Path,
    progress: Progress = lambda *_: None,
    *,
    notes: Sequence[str] = (),
    restores: Sequence[str] = (),
    policy: str = "",
    begin: int = 0,
) -> Exported:
    """Write the log up to the checkpoint `signed` into `folder`, replacing an earlier export.

    `key` is the vkey line, `notes` those by which it followed the keys before, `restores` what the
    log says of each time it was put back, `policy` that of the witnesses; complete bundles before
    entry `begin` are left out. Raises ArchiveError, StoreAwayError, OSError.
    """
    try:
        newest = checkpoint.parse(note.split(signed)[0])
    except note.NoteError as error:
        raise ArchiveError("CHECKPOINT_FORM", str(error)) from error
    begin = min(begin, newest.size)
    files = {KEY_FILE: f"{key}\n", MINIMUM_FILE: f"{begin}\n"}
    files |= {POLICY_FILE: policy} if policy else {}
    files |= {f"{log_keys.FOLDER}/{number}": each for number, each in enumerate(notes, 1)}
    files |= {f"{RESTORES}/{number}": each for number, each in enumerate(restores, 1)}
    files |= await _checkpoints(database, signed, newest)
    fresh = _begin(folder, files)
    try:
        exported = await _write(database, newest, fresh, progress, begin)
        _replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return exported


async def _checkpoints(database: Database, signed: str, newest: Checkpoint) -> dict[str, str]:
    """Return the files of the checkpoint, with what witnesses said of it, and of earlier ones."""
    files = {CHECKPOINT_FILE: signed}
    async with database.transaction() as transaction:
        rows = await transaction.fetch(_COSIGNED, (newest.size, _COSIGNED_MAX))
    for size, offered, lines in rows:
        if size == newest.size and note.split(offered)[0] == newest.text():
            files[CHECKPOINT_FILE] = signed + lines
        else:
            files[f"{COSIGNED_FOLDER}/{size}"] = offered + lines
    return files


def _begin(folder: Path, files: Mapping[str, str]) -> Path:
    """Return a new folder beside `folder`, with these files in it."""
    if folder.exists() and not (folder / CHECKPOINT_FILE).is_file():
        raise ArchiveError("FOLDER_EXISTS", f"{folder} exists and is no export")
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    for name, content in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return fresh


async def _write(
    database: Database, newest: Checkpoint, folder: Path, progress: Progress, begin: int
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
    beside = Naming()
    kept = [one for one in tiles.bundles_of(newest.size) if (one.n + 1) * TILE_WIDTH > begin]
    for some in _chunks(kept):
        async with database.transaction() as transaction:
            missing += await _write_bundles(transaction, some, folder, beside)
        progress(some[-1].n * TILE_WIDTH + some[-1].width, newest.size)
    missing += await _write_parts(database, beside, folder)
    return Exported(newest.size, log_size, tuple(missing))


async def _write_parts(database: Database, beside: Naming, folder: Path) -> list[str]:
    """Write the side parts that leaves name; return those not there whose end no leaf tells.

    One that was destroyed since the checkpoint is among them: export again.
    """
    found: set[str] = set()
    order = sorted(beside.digests())
    for begin in range(0, len(order), _PARTS_AT_ONCE):
        some = [bytes.fromhex(one) for one in order[begin : begin + _PARTS_AT_ONCE]]
        async with database.transaction() as transaction:
            for name, content in await transaction.fetch(_PARTS, [some]):
                path = folder / path_of(name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
                found.add(name)
    return [path_of(one) for one in order if one not in found | beside.destroyed()]


async def _write_bundles(
    transaction: Transaction, some: list[Tile], folder: Path, beside: Naming
) -> list[str]:
    """Write these bundles, with whatever entries are there; `beside` takes what they name.

    Returns the paths of those not whole.
    """
    missing: list[str] = []
    begin, end = some[0].n * TILE_WIDTH, some[-1].n * TILE_WIDTH + some[-1].width
    leaves = {row[0]: bytes(row[1]) for row in await transaction.fetch(_ENTRIES, (begin, end))}
    for index, entry in leaves.items():
        beside.take(index, entry)
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
