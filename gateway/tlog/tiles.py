"""C2SP tlog-tiles: where tiles and entry bundles lie, how wide they are, and what is in them.

`tile/<L>/<N>[.p/<W>]` holds W hashes of the nodes at height 8 * L; `tile/entries/<N>[.p/<W>]` holds
W entries, each after its length as a big-endian uint16. N is written in groups of three digits, all
but the last after an x: 1234067 is x001/x234/067.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.tlog.merkle import HASH_LENGTH, Node, node_hash, root_of

TILE_WIDTH = 256
TILE_HEIGHT = 8
TILE_BYTES = TILE_WIDTH * HASH_LENGTH
ENTRY_MAX_BYTES = 65_535
LEVEL_MAX = 7


class TileError(ValueError):
    """A tile or bundle is not of the size or form that the log's size demands.

    `code` is one word per cause.
    """

    def __init__(self, code: str, message: str) -> None:
        """Make an error; `code` is stable, the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of a tile: level 0-7 (None: an entry bundle), number from 0, width 1-256."""

    level: int | None
    n: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the log's folder or URL."""
        kind = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{kind}/{_grouped(self.n)}{partial}"


def _grouped(n: int) -> str:
    """Return a tile number in groups of three digits."""
    last = f"{n % 1000:03d}"
    while n >= 1000:  # noqa: PLR2004  three digits
        n //= 1000
        last = f"x{n % 1000:03d}/{last}"
    return last


def tiles_of(size: int) -> Iterator[Tile]:
    """Give every tile of a log of `size` entries.

    Level 0 upwards, the partial one last on each level.
    """
    level, nodes = 0, size
    while nodes and level <= LEVEL_MAX:
        yield from _row(level, nodes)
        level, nodes = level + 1, nodes >> TILE_HEIGHT


def bundles_of(size: int) -> Iterator[Tile]:
    """Give every entry bundle of a log of `size` entries."""
    yield from _row(None, size)


def _row(level: int | None, count: int) -> Iterator[Tile]:
    """Give the tiles over `count` things of one level."""
    full, rest = divmod(count, TILE_WIDTH)
    for n in range(full):
        yield Tile(level, n)
    if rest:
        yield Tile(level, full, rest)


@dataclass(slots=True)
class Rows:
    """The nodes of level 1 and more of a log that grows, row by row from level 1."""

    rows: list[list[bytes]] = field(default_factory=list)

    def grow(self, root: bytes) -> list[tuple[Tile, list[bytes]]]:
        """Put the root of the next complete tile of level 0 into the row above, and so on upwards.

        Returns each tile that this completes, with its hashes.
        """
        completed: list[tuple[Tile, list[bytes]]] = []
        for level in range(1, LEVEL_MAX + 1):
            if level > len(self.rows):
                self.rows.append([])
            row = self.rows[level - 1]
            row.append(root)
            if len(row) % TILE_WIDTH:
                break
            full = row[-TILE_WIDTH:]
            completed.append((Tile(level, len(row) // TILE_WIDTH - 1), full))
            root = root_of(full)
        return completed


def split_hashes(tile: Tile, content: bytes) -> list[bytes]:
    """Return the hashes of a tile's content.

    Raises TileError when it is not exactly its width long.
    """
    if len(content) != tile.width * HASH_LENGTH:
        raise TileError(
            "TILE_LENGTH", f"{tile.path} has {len(content)} bytes, not {tile.width * HASH_LENGTH}"
        )
    return [content[i : i + HASH_LENGTH] for i in range(0, len(content), HASH_LENGTH)]


def pack_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the content of an entry bundle.

    Raises TileError when an entry is longer than 65,535 bytes.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_MAX_BYTES:
            raise TileError("ENTRY_LENGTH", f"an entry of {len(entry)} bytes is too long")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def split_bundle(tile: Tile, content: bytes) -> list[bytes]:
    """Return a bundle's entries.

    Raises TileError unless it holds exactly as many as its width, with nothing after them.
    """
    entries: list[bytes] = []
    place = 0
    for _ in range(tile.width):
        length = int.from_bytes(content[place : place + 2], "big")
        begin, place = place + 2, place + 2 + length
        if place > len(content):
            raise TileError("BUNDLE_SHORT", f"{tile.path} ends within entry {len(entries)}")
        entries.append(content[begin:place])
    if place != len(content):
        raise TileError("BUNDLE_TRAILING", f"{tile.path} has {len(content) - place} bytes too many")
    return entries


def node_from_tiles(size: int, fetch: Callable[[Tile], Sequence[bytes]]) -> Node:
    """Return the node function of a log of `size`, which fetches each tile at most once."""
    read: dict[Tile, Sequence[bytes]] = {}

    def node(level: int, n: int) -> bytes:
        row, inner = divmod(level, TILE_HEIGHT)
        begin = n << inner
        number, offset = divmod(begin, TILE_WIDTH)
        tile = Tile(
            row, number, min(TILE_WIDTH, (size >> (TILE_HEIGHT * row)) - number * TILE_WIDTH)
        )
        if tile not in read:
            read[tile] = fetch(tile)
        hashes = list(read[tile][offset : offset + (1 << inner)])
        while len(hashes) > 1:
            hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
        return hashes[0]

    return node
