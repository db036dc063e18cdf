"""The newest part of the log's tree in memory.

Roots, and proofs of recent leaves without asking the database.
"""

from gateway.tlog.merkle import HASH_LENGTH, MerkleError, node_hash, range_root

# Leaves whose proofs come from memory: older ones are asked for rarely and come from the tiles.
WINDOW = 8192
# On high levels a few nodes suffice: a recent leaf needs its ancestors' left siblings only.
_KEPT_AT_LEAST = 4
_LEVELS = 64


class Tree:
    """A tree of `size` leaves that remembers the last nodes of each level."""

    __slots__ = ("_nodes", "size")

    def __init__(self, size: int, frontier: list[bytes]) -> None:
        """Begin with the roots of the perfect subtrees of `size` leaves, largest first."""
        if len(frontier) != size.bit_count():
            raise MerkleError("FRONTIER_SHAPE", f"these are not the subtrees of a log of {size}")
        self._nodes: list[dict[int, bytes]] = [{} for _ in range(_LEVELS)]
        self.size = size
        place = 0
        for each in frontier:
            level = (size - place).bit_length() - 1
            self._nodes[level][place >> level] = each
            place += 1 << level

    def append(self, leaf: bytes) -> None:
        """Append a leaf hash."""
        n, level = self.size, 0
        nodes = self._nodes
        nodes[0][n] = leaf
        while n & 1:
            leaf = node_hash(nodes[level][n - 1], leaf)
            n, level = n >> 1, level + 1
            nodes[level][n] = leaf
        self.size += 1
        if not self.size % WINDOW:
            self._forget()

    def extend(self, begin: int, hashes: bytes) -> None:
        """Append those of the concatenated leaf hashes begin, begin + 1, ...

        That are not known yet.
        """
        if begin > self.size:
            raise MerkleError("GAP", f"leaves {self.size} to {begin - 1} are missing")
        for place in range((self.size - begin) * HASH_LENGTH, len(hashes), HASH_LENGTH):
            self.append(hashes[place : place + HASH_LENGTH])

    def node(self, level: int, n: int) -> bytes:
        """Return the root of a perfect subtree (merkle.Node).

        Raises LookupError when it is too old to be here.
        """
        return self._nodes[level][n]

    def root(self) -> bytes:
        """Return the root, 32 bytes."""
        return range_root(self.node, 0, self.size)

    def hashes(self, begin: int) -> bytes:
        """Return the concatenated leaf hashes from `begin` on.

        Raises LookupError when they are too old.
        """
        leaves = self._nodes[0]
        return b"".join([leaves[n] for n in range(begin, self.size)])

    def _forget(self) -> None:
        for level, nodes in enumerate(self._nodes):
            keep = max(WINDOW >> level, _KEPT_AT_LEAST)
            if len(nodes) > 2 * keep:
                oldest = (self.size >> level) - keep
                self._nodes[level] = {n: each for n, each in nodes.items() if n >= oldest}
