"""The frontier gives the same roots as the whole tree."""

import pytest

from gateway.tlog.frontier import Frontier
from gateway.tlog.merkle import MerkleError, leaf_hash, root_of

HASHES = [leaf_hash(bytes([i % 256, i // 256])) for i in range(300)]


def test_the_root_after_every_append() -> None:
    frontier = Frontier()
    for size, each in enumerate(HASHES):
        assert frontier.root() == root_of(HASHES[:size])
        frontier.append(each)
    assert frontier.size == 300
    assert Frontier(300, frontier.hashes).root() == root_of(HASHES)


def test_subtrees_are_appended_by_their_root() -> None:
    frontier, whole = Frontier(), Frontier()
    whole.extend(HASHES)
    for begin in range(0, 256, 64):
        frontier.append_subtree(root_of(HASHES[begin : begin + 64]), 6)
    frontier.extend(HASHES[256:])
    assert (frontier.size, frontier.hashes) == (whole.size, whole.hashes)
    with pytest.raises(MerkleError) as error:
        frontier.append_subtree(HASHES[0], 3)
    assert (error.value.code, frontier.size) == ("FRONTIER_SHAPE", 300)


def test_a_copy_is_independent() -> None:
    frontier = Frontier()
    frontier.extend(HASHES[:5])
    copy = frontier.copy()
    copy.append(HASHES[5])
    assert (frontier.size, copy.size) == (5, 6)
    assert frontier.root() == root_of(HASHES[:5])


@pytest.mark.parametrize(
    ("size", "hashes"), [(3, [HASHES[0]]), (-1, [HASHES[0]]), (1, [b"short"]), (0, [HASHES[0]])]
)
def test_a_shape_that_cannot_be(size: int, hashes: list[bytes]) -> None:
    with pytest.raises(MerkleError) as error:
        Frontier(size, hashes)
    assert error.value.code == "FRONTIER_SHAPE"
