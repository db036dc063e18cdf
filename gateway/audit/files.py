"""The log's files one at a time, by their C2SP tlog-tiles paths, byte for byte as an export's.

A path has one spelling: what is not exactly what `Tile.path` writes names no file. Entries beyond
the head are in no file, though their tile has been begun. Side parts lie beside them, under the
digest that their leaf names.
"""

import re

from gateway.audit.log import LogError, fetch_tile
from gateway.store.database import Transaction
from gateway.tlog import side_parts, tiles
from gateway.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, Tile

_PATH = re.compile(
    r"tile/(entries|[0-7])((?:/x[0-9]{3}){0,6}/[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)
_LEAVES = "SELECT leaf FROM gateway.audit_entry WHERE idx >= %s AND idx < %s ORDER BY idx"
_PART = "SELECT salt || ciphertext FROM gateway.audit_sealed WHERE digest = %s"


def tile_at(path: str) -> Tile | None:
    """Return the tile or bundle of a path; None where it names none, of a log of any size."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    kind, number, width = match.groups()
    level = None if kind == "entries" else int(kind)
    tile = Tile(level, int(re.sub("/x?", "", number)), int(width or TILE_WIDTH))
    return tile if tile.width <= TILE_WIDTH and tile.path == path else None


def is_within(tile: Tile, size: int) -> bool:
    """Return whether a log of `size` entries has all that is in the tile."""
    return tile.n * TILE_WIDTH + tile.width <= size >> (TILE_HEIGHT * (tile.level or 0))


async def read(transaction: Transaction, tile: Tile) -> bytes:
    """Return the content of a tile or bundle within the head; raises LogError where rows miss."""
    if tile.level is not None:
        return b"".join(await fetch_tile(transaction, tile))
    begin = tile.n * TILE_WIDTH
    rows = await transaction.fetch(_LEAVES, (begin, begin + tile.width))
    if len(rows) != tile.width:
        raise LogError("ENTRY_MISSING", f"the database does not hold all of {tile.path}")
    return tiles.pack_bundle([bytes(row[0]) for row in rows])


def part_at(path: str) -> str | None:
    """Return the digest in the path of a side part; None where it is no such path."""
    digest = path.removeprefix(side_parts.path_of(""))
    found = side_parts.DIGEST.fullmatch(digest)
    return digest if found and path == side_parts.path_of(digest) else None


async def read_part(transaction: Transaction, digest: str) -> bytes | None:
    """Return salt and ciphertext of a side part, None where there is none (any more)."""
    row = await transaction.fetch_one(_PART, (bytes.fromhex(digest),))
    return None if row is None else bytes(row[0])
