"""The log as it lies in the database: head, leaf hashes, tiles, and proofs read from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from gateway.audit.tree import WINDOW, Tree
from gateway.store.database import Database, Transaction
from gateway.tlog import merkle, tiles
from gateway.tlog.merkle import HASH_LENGTH
from gateway.tlog.tiles import TILE_WIDTH, Tile

Result = TypeVar("Result")

_HEAD = "SELECT size, root, frontier FROM gateway.audit_head WHERE id = 1"
_HASHES = """
    SELECT string_agg(leaf_hash, ''::bytea ORDER BY idx) FROM gateway.audit_entry
    WHERE idx >= %s AND idx < %s
"""
_FULL_TILE = "SELECT hashes FROM gateway.audit_tile WHERE level = %s AND n = %s"
_ROOTS = """
    SELECT string_agg(root, ''::bytea ORDER BY n) FROM gateway.audit_tile
    WHERE level = %s AND n >= %s AND n < %s
"""
# What a node is computed from while only its tiles are of interest.
_DUMMY: Sequence[bytes] = [bytes(HASH_LENGTH)] * TILE_WIDTH
_LEAF = "SELECT leaf FROM gateway.audit_entry WHERE idx = %s"


class LogError(Exception):
    """The log in the database is not whole; `code` is TILE_MISSING, ENTRY_MISSING, ROOT_DIFFERS."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; `code` is stable, the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Head:
    """The newest committed state of the log: size, root, and the roots of its perfect subtrees."""

    size: int
    root: bytes
    frontier: tuple[bytes, ...]


class Log:
    """Reads the log; every method may raise StoreAwayError, and LogError where rows are missing."""

    def __init__(self, database: Database) -> None:
        """Read from this database, as any role that may append."""
        self._database = database

    async def head(self) -> Head:
        """Return the newest committed head."""
        async with self._database.transaction() as transaction:
            return await head(transaction)

    async def tree(self) -> Tree:
        """Return the tree with its newest leaves in memory.

        Raises LogError when the head row is not that of the entries.
        """
        async with self._database.transaction() as transaction:
            newest = await head(transaction)
            begin = newest.size - newest.size % WINDOW
            made = Tree(begin, list(newest.frontier[: begin.bit_count()]))
            made.extend(begin, await _hashes(transaction, begin, newest.size))
        if made.root() != newest.root:
            raise LogError("ROOT_DIFFERS", f"the head of {newest.size} is not that of its entries")
        return made

    async def hashes(self, begin: int, end: int) -> bytes:
        """Return the concatenated leaf hashes of entries begin..end-1."""
        async with self._database.transaction() as transaction:
            return await _hashes(transaction, begin, end)

    async def leaf(self, index: int) -> bytes | None:
        """Return a leaf's bytes, None when there is no such entry.

        For roles that may read leaves.
        """
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one(_LEAF, (index,))
        return None if row is None else bytes(row[0])

    async def root(self, size: int) -> bytes:
        """Return the root of the log when it had `size` entries."""
        return await self._read(size, lambda node: merkle.range_root(node, 0, size))

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of an entry in the log of `size`."""
        return await self._read(size, lambda node: merkle.inclusion_path(node, index, size))

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the log of `old` entries is a prefix of that of `new`."""
        return await self._read(new, lambda node: merkle.consistency_path(node, old, new))

    async def _read(self, size: int, compute: Callable[[merkle.Node], Result]) -> Result:
        async with self._database.transaction() as transaction:
            return await _computed(transaction, size, compute)


async def require_included(transaction: Transaction, leaves: Mapping[int, bytes]) -> None:
    """Pass leaves, by index, that are in the tree of the newest head; raises LogError.

    The head is what the signer signs, or nothing is served: an entry that was changed is not in it.
    """
    newest = await head(transaction)
    for index, leaf in leaves.items():
        path = partial(_path, index=index, size=newest.size)
        try:
            proof = await _computed(transaction, newest.size, path)
            hashed = merkle.leaf_hash(leaf)
            merkle.verify_inclusion(hashed, index, newest.size, proof, newest.root)
        except merkle.MerkleError as error:
            raise LogError("ROOT_DIFFERS", f"entry {index} is not in the tree") from error


def _path(node: merkle.Node, *, index: int, size: int) -> list[bytes]:
    return merkle.inclusion_path(node, index, size)


async def _computed(
    transaction: Transaction, size: int, compute: Callable[[merkle.Node], Result]
) -> Result:
    """Run `compute` twice: first to learn which tiles it needs, then on their hashes."""
    needed: dict[Tile, Sequence[bytes]] = {}

    def note(tile: Tile) -> Sequence[bytes]:
        needed[tile] = ()
        return _DUMMY

    compute(tiles.node_from_tiles(size, note))
    for tile in needed:
        needed[tile] = await fetch_tile(transaction, tile)
    return compute(tiles.node_from_tiles(size, needed.__getitem__))


async def head(transaction: Transaction) -> Head:
    """Return the newest head that this transaction sees."""
    row = await transaction.fetch_one(_HEAD)
    if row is None:
        raise LogError("ENTRY_MISSING", "the head row is gone")
    return Head(row[0], bytes(row[1]), tuple(bytes(each) for each in row[2]))


async def fetch_tile(transaction: Transaction, tile: Tile) -> list[bytes]:
    """Return the hashes of a tile, full or partial, as its log of whatever later size has them."""
    level = tile.level or 0
    begin, end = tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width
    if tile.width == TILE_WIDTH:
        row = await transaction.fetch_one(_FULL_TILE, (level, tile.n))
        content = b"" if row is None else bytes(row[0])
    elif level == 0:
        content = await _hashes(transaction, begin, end)
    else:
        row = await transaction.fetch_one(_ROOTS, (level - 1, begin, end))
        content = b"" if row is None or row[0] is None else bytes(row[0])
    if len(content) != tile.width * HASH_LENGTH:
        raise LogError("TILE_MISSING", f"the database does not hold {tile.path}")
    return tiles.split_hashes(tile, content)


async def _hashes(transaction: Transaction, begin: int, end: int) -> bytes:
    if begin == end:
        return b""
    row = await transaction.fetch_one(_HASHES, (begin, end))
    content = b"" if row is None or row[0] is None else bytes(row[0])
    if len(content) != (end - begin) * HASH_LENGTH:
        raise LogError("ENTRY_MISSING", f"not all entries from {begin} to before {end} are there")
    return content
