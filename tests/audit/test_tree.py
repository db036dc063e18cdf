"""The tree in memory gives the roots and proofs of the whole tree, for what is recent."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.tree import WINDOW, Tree
from gateway.tlog.frontier import Frontier
from gateway.tlog.merkle import MerkleError, inclusion_path, leaf_hash, root_of, verify_inclusion

HASHES = [leaf_hash(i.to_bytes(4, "big")) for i in range(40_000)]


@given(st.integers(0, 5000), st.integers(0, 600))
@settings(max_examples=25)
def test_a_tree_taken_up_anywhere_goes_on_like_the_whole(begin: int, more: int) -> None:
    frontier = Frontier()
    frontier.extend(HASHES[:begin])
    tree = Tree(begin, frontier.hashes)
    assert tree.root() == root_of(HASHES[:begin])
    tree.extend(begin, b"".join(HASHES[begin : begin + more]))
    assert tree.size == begin + more
    assert tree.root() == root_of(HASHES[: begin + more])
    for index in {begin, begin + more // 2, begin + more - 1}:
        if begin <= index < tree.size:
            path = inclusion_path(tree.node, index, tree.size)
            verify_inclusion(HASHES[index], index, tree.size, path, tree.root())


def test_what_is_known_already_is_skipped_and_a_gap_is_refused() -> None:
    tree = Tree(0, [])
    tree.extend(0, b"".join(HASHES[:10]))
    tree.extend(5, b"".join(HASHES[5:12]))
    tree.extend(3, b"".join(HASHES[3:7]))
    assert tree.root() == root_of(HASHES[:12])
    assert tree.hashes(9) == b"".join(HASHES[9:12])
    assert tree.hashes(12) == b""
    with pytest.raises(MerkleError) as error:
        tree.extend(13, HASHES[13])
    assert error.value.code == "GAP"


def test_old_leaves_are_forgotten_but_recent_ones_stay_provable() -> None:
    tree = Tree(0, [])
    sizes = range(1000, 40_000, 3900)
    for size in sizes:
        tree.extend(tree.size, b"".join(HASHES[tree.size : size]))
        root = root_of(HASHES[:size])
        assert tree.root() == root
        for index in {max(0, size - WINDOW), max(0, size - 100), size - 1}:
            path = inclusion_path(tree.node, index, size)
            verify_inclusion(HASHES[index], index, size, path, root)
    assert sum(len(level) for level in tree._nodes) < 5 * WINDOW
    with pytest.raises(LookupError):
        inclusion_path(tree.node, 5, tree.size)
    with pytest.raises(LookupError):
        tree.hashes(5)


def test_a_frontier_of_another_size() -> None:
    with pytest.raises(MerkleError) as error:
        Tree(3, [HASHES[0]])
    assert error.value.code == "FRONTIER_SHAPE"
