"""RFC 6962 Merkle trees: hashes, roots, inclusion and consistency proofs, made and verified.

Leaf SHA-256(00 || entry), node SHA-256(01 || left || right), empty tree SHA-256 of nothing. Proofs
are made from a function that gives the roots of perfect subtrees, so that a tree in memory, tiles
in a database and tiles in files are all good for it.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence

HASH_LENGTH = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
# C2SP sizes are unsigned 63-bit; a path in such a tree has at most 63 hashes.
SIZE_MAX = 2**63 - 1

# Node(level, n): the root of the perfect subtree over the 2**level leaves from n * 2**level on.
Node = Callable[[int, int], bytes]


class MerkleError(ValueError):
    """A proof does not hold or cannot be made; `code` is one word per cause."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; `code` is stable, the message is for people."""
        super().__init__(message)
        self.code = code


def leaf_hash(entry: bytes) -> bytes:
    """Return the 32-byte hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over these leaf hashes (RFC 6962 section 2.1, iteratively)."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def range_root(node: Node, begin: int, end: int) -> bytes:
    """Return the root over leaves begin..end-1, folded from perfect subtrees.

    `begin` must be a multiple of the greatest power of two below end - begin, as in every split of
    RFC 6962.
    """
    if begin == end:
        return EMPTY_ROOT
    parts: list[bytes] = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        parts.append(node(level, begin >> level))
        begin += 1 << level
    root = parts.pop()
    while parts:
        root = node_hash(parts.pop(), root)
    return root


def inclusion_path(node: Node, index: int, size: int) -> list[bytes]:
    """Return the audit path of a leaf, its sibling first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise MerkleError("INDEX_OUT_OF_RANGE", f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        split = begin + _split(end - begin)
        if index < split:
            path.append(range_root(node, split, end))
            end = split
        else:
            path.append(range_root(node, begin, split))
            begin = split
    path.reverse()
    return path


def consistency_path(node: Node, old: int, new: int) -> list[bytes]:
    """Return the proof that the old tree is a prefix of the new one (RFC 6962 section 2.1.2).

    Empty for equal sizes and for old == 0, which the C2SP witness protocol takes as trivially
    consistent.
    """
    if not 0 <= old <= new:
        raise MerkleError("SIZE_OUT_OF_RANGE", f"sizes {old} and {new} are out of order")
    if old in (0, new):
        return []
    path: list[bytes] = []
    begin, end = 0, new
    while end != old:
        split = begin + _split(end - begin)
        if old <= split:
            path.append(range_root(node, split, end))
            end = split
        else:
            path.append(range_root(node, begin, split))
            begin = split
    # When the old tree is itself one perfect subtree from 0, the verifier knows its hash already.
    if begin:
        path.append(range_root(node, begin, end))
    path.reverse()
    return path


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Prove that a leaf hash is number `index` of the tree (size, root), or raise MerkleError.

    RFC 9162 section 2.1.3.2, with every length and bound checked first.
    """
    _check_hashes(leaf, root, *path)
    if not 0 <= index < size <= SIZE_MAX:
        raise MerkleError("INDEX_OUT_OF_RANGE", f"no leaf {index} in a tree of {size}")
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise MerkleError("PATH_LENGTH", "the inclusion path is too long")
        if place % 2 or place == last:
            found = node_hash(sibling, found)
            while not place % 2 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise MerkleError("PATH_LENGTH", "the inclusion path is too short")
    if not hmac.compare_digest(found, root):
        raise MerkleError("ROOT_DIFFERS", "the inclusion path leads to another root")


def verify_consistency(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Prove that the tree (new, new_root) begins with (old, old_root), or raise MerkleError.

    RFC 9162 section 2.1.4.2; for old == new and old == 0 the path must be empty and the root the
    known one.
    """
    _check_hashes(old_root, new_root, *path)
    if not 0 <= old <= new <= SIZE_MAX:
        raise MerkleError("SIZE_OUT_OF_RANGE", f"sizes {old} and {new} are out of order")
    if old in (0, new):
        known = new_root if old else EMPTY_ROOT
        if path:
            raise MerkleError("PATH_LENGTH", "the consistency path is too long")
        if not hmac.compare_digest(old_root, known):
            raise MerkleError("ROOT_DIFFERS", "two roots of one size differ")
        return
    _verify_growth(old, new, path, old_root, new_root)


def _verify_growth(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Verify a consistency path for 0 < old < new."""
    steps = list(path)
    if not old & (old - 1):
        steps.insert(0, old_root)
    before, after = grown_roots(old, new, steps)
    if not hmac.compare_digest(before, old_root) or not hmac.compare_digest(after, new_root):
        raise MerkleError("ROOT_DIFFERS", "the consistency path leads to other roots")


def grown_roots(old: int, new: int, steps: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the roots of the two trees that the steps of a consistency path lead to.

    The first step is the subtree from which both grow. Raises MerkleError with PATH_LENGTH.
    """
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    if not steps:
        raise MerkleError("PATH_LENGTH", "the consistency path is empty")
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise MerkleError("PATH_LENGTH", "the consistency path is too long")
        if place % 2 or place == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not place % 2 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, step)
        place, last = place >> 1, last >> 1
    if last:
        raise MerkleError("PATH_LENGTH", "the consistency path is too short")
    return before, after


def _split(count: int) -> int:
    """Return the greatest power of two below `count` (RFC 6962's k)."""
    return 1 << ((count - 1).bit_length() - 1)


def _check_hashes(*hashes: bytes) -> None:
    """Refuse what is not 32 bytes.

    An empty root over an empty leaf must not pass (transparency-dev/merkle vectors).
    """
    if any(len(each) != HASH_LENGTH for each in hashes):
        raise MerkleError("HASH_LENGTH", "a hash is not 32 bytes long")
