"""The frontier of a log: the roots of its perfect subtrees, largest first.

Enough to append and to know the root.
"""

from collections.abc import Iterable, Sequence

from gateway.tlog.merkle import EMPTY_ROOT, HASH_LENGTH, MerkleError, node_hash


class Frontier:
    """A tree of `size` leaves, remembered by at most 63 hashes of 32 bytes."""

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Take up a frontier.

        Raises MerkleError when the hashes cannot be those of a tree of this size.
        """
        if (
            size < 0
            or len(hashes) != size.bit_count()
            or any(len(each) != HASH_LENGTH for each in hashes)
        ):
            raise MerkleError("FRONTIER_SHAPE", f"these are not the subtrees of a log of {size}")
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Append a leaf hash (32 bytes)."""
        self.append_subtree(leaf, 0)

    def append_subtree(self, root: bytes, height: int) -> None:
        """Append 2**height leaves by the root over them; raises MerkleError inside a subtree."""
        rest = self.size >> height
        if rest << height != self.size:
            raise MerkleError("FRONTIER_SHAPE", f"no subtree of height {height} at {self.size}")
        while rest & 1:
            root = node_hash(self.hashes.pop(), root)
            rest >>= 1
        self.hashes.append(root)
        self.size += 1 << height

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes in their order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """Return the root, 32 bytes."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> "Frontier":
        """Return an independent copy."""
        return Frontier(self.size, self.hashes)
