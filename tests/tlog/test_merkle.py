"""RFC 6962 vectors, pymerkle as a foreign oracle, and every way in which a proof must fail."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from gateway.tlog import merkle
from gateway.tlog.merkle import MerkleError

# The eight leaves and roots of the Certificate Transparency reference implementation.
LEAVES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [merkle.leaf_hash(each) for each in LEAVES]
# RFC 6962 section 2.1.3 draws this tree of seven: a b c d e f j = leaves, g h i = pairs, k = first four.
PATHS = {(0, 7): [1, "h", "l"], (3, 7): [2, "g", "l"], (4, 7): [5, 6, "k"], (6, 7): ["i", "k"]}


def node_over(hashes: Sequence[bytes]) -> merkle.Node:
    def node(level: int, n: int) -> bytes:
        return merkle.root_of(hashes[n << level : (n + 1) << level])

    return node


def made(count: int) -> list[bytes]:
    return [merkle.leaf_hash(i.to_bytes(4, "big")) for i in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_the_reference_vectors(size: int) -> None:
    assert merkle.root_of(HASHES[:size]).hex() == ROOTS[size]
    assert merkle.range_root(node_over(HASHES), 0, size).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_the_paths_drawn_in_the_rfc(index: int, size: int) -> None:
    g, h, i = (merkle.root_of(HASHES[n : n + 2]) for n in (0, 2, 4))
    k, last = merkle.root_of(HASHES[:4]), merkle.root_of(HASHES[4:7])
    named = {"g": g, "h": h, "i": i, "k": k, "l": last}
    expected = [
        HASHES[each] if isinstance(each, int) else named[each] for each in PATHS[index, size]
    ]
    assert merkle.inclusion_path(node_over(HASHES), index, size) == expected


def test_the_consistency_proofs_drawn_in_the_rfc() -> None:
    # RFC 6962 section 2.1.3: PROOF(3, D[7]) = [c, d, g, l], PROOF(4, D[7]) = [l], PROOF(6, D[7]) = [i, j, k].
    node = node_over(HASHES)
    g, i = merkle.root_of(HASHES[:2]), merkle.root_of(HASHES[4:6])
    k, last = merkle.root_of(HASHES[:4]), merkle.root_of(HASHES[4:7])
    assert merkle.consistency_path(node, 3, 7) == [HASHES[2], HASHES[3], g, last]
    assert merkle.consistency_path(node, 4, 7) == [last]
    assert merkle.consistency_path(node, 6, 7) == [i, HASHES[6], k]


@given(st.integers(1, 300), st.data())
@settings(max_examples=60)
def test_inclusion_agrees_with_pymerkle_and_verifies(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    tree = InmemoryTree(algorithm="sha256")
    for i in range(size):
        tree.append_entry(i.to_bytes(4, "big"))
    hashes = made(size)
    root = merkle.root_of(hashes)
    assert tree.get_root(size) == root
    path = merkle.inclusion_path(node_over(hashes), index, size)
    merkle.verify_inclusion(hashes[index], index, size, path, root)
    foreign = tree.prove_inclusion(index + 1, size)
    assert [bytes.fromhex(each) for each in foreign.serialize()["path"]][1:] == path


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=100)
def test_consistency_verifies_and_binds_both_roots(one: int, other: int) -> None:
    old, new = sorted((one, other))
    hashes = made(new)
    old_root, new_root = merkle.root_of(hashes[:old]), merkle.root_of(hashes)
    path = merkle.consistency_path(node_over(hashes), old, new)
    merkle.verify_consistency(old, new, path, old_root, new_root)
    wrong = hashlib.sha256(b"wrong").digest()
    for roots in ((wrong, new_root), (old_root, wrong)):
        if old == 0 and roots[1] is wrong:
            continue  # every log begins with the empty one
        with pytest.raises(MerkleError) as error:
            merkle.verify_consistency(old, new, path, *roots)
        assert error.value.code == "ROOT_DIFFERS"


@given(st.integers(1, 200), st.data())
@settings(max_examples=60)
def test_every_change_of_an_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = made(size)
    root, leaf = merkle.root_of(hashes), hashes[index]
    path = merkle.inclusion_path(node_over(hashes), index, size)
    wrong = hashlib.sha256(b"wrong").digest()
    changes = [
        (wrong, index, size, path, root),
        (leaf, index, size, path, wrong),
        (leaf, index, size, [*path, wrong], root),
        (leaf, index + 1, size, path, root),
    ]
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        changes.append((leaf, index, size, path[:-1], root))
        changes.append((leaf, index, size, [*path[:place], wrong, *path[place + 1 :]], root))
    for each in changes:
        with pytest.raises(MerkleError):
            merkle.verify_inclusion(*each)


@given(st.integers(1, 200), st.integers(1, 200), st.data())
@settings(max_examples=60)
def test_every_change_of_a_consistency_proof_is_refused(
    one: int, other: int, data: st.DataObject
) -> None:
    old, new = sorted((one, other))
    hashes = made(new)
    roots = merkle.root_of(hashes[:old]), merkle.root_of(hashes)
    path = merkle.consistency_path(node_over(hashes), old, new)
    wrong = hashlib.sha256(b"wrong").digest()
    changes = [[*path, wrong]]
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        changes += [path[:-1], [], [*path[:place], wrong, *path[place + 1 :]]]
    for each in changes:
        with pytest.raises(MerkleError):
            merkle.verify_consistency(old, new, each, *roots)


EMPTY = hashlib.sha256(b"").digest()
X = hashlib.sha256(b"x").digest()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (
            (b"", 0, 1, [], b""),
            "HASH_LENGTH",
        ),  # empty root and empty leaf, as in the foreign vectors
        ((X, 0, 2, [b""], X), "HASH_LENGTH"),
        ((X[:31], 0, 1, [], X), "HASH_LENGTH"),
        ((X, 0, 0, [], X), "INDEX_OUT_OF_RANGE"),
        ((X, 5, 4, [X, X], X), "INDEX_OUT_OF_RANGE"),  # sigstore-python 4.5.1 accepted this shape
        ((X, -1, 4, [X, X], X), "INDEX_OUT_OF_RANGE"),
        ((X, 0, 2**63, [X] * 63, X), "INDEX_OUT_OF_RANGE"),
        ((X, 0, 1, [X], X), "PATH_LENGTH"),
        ((X, 0, 2**62, [X] * 64, X), "PATH_LENGTH"),
        ((X, 0, 4, [X], X), "PATH_LENGTH"),
        ((X, 0, 1, [], EMPTY), "ROOT_DIFFERS"),
    ],
)
def test_bounds_of_inclusion(
    arguments: tuple[bytes, int, int, list[bytes], bytes], code: str
) -> None:
    with pytest.raises(MerkleError) as error:
        merkle.verify_inclusion(*arguments)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((1, 1, [], b"", b""), "HASH_LENGTH"),
        ((1, 2, [b"x"], X, X), "HASH_LENGTH"),
        ((2, 1, [], X, X), "SIZE_OUT_OF_RANGE"),
        ((-1, 1, [], X, X), "SIZE_OUT_OF_RANGE"),
        ((1, 2**63, [X], X, X), "SIZE_OUT_OF_RANGE"),
        ((0, 1, [X], EMPTY, X), "PATH_LENGTH"),
        ((0, 1, [], X, X), "ROOT_DIFFERS"),
        ((1, 1, [X], X, X), "PATH_LENGTH"),
        ((1, 1, [], X, EMPTY), "ROOT_DIFFERS"),
        ((3, 5, [], X, X), "PATH_LENGTH"),
        ((1, 2, [X, X], X, X), "PATH_LENGTH"),
        ((2, 8, [X], X, X), "PATH_LENGTH"),
    ],
)
def test_bounds_of_consistency(
    arguments: tuple[int, int, list[bytes], bytes, bytes], code: str
) -> None:
    with pytest.raises(MerkleError) as error:
        merkle.verify_consistency(*arguments)
    assert error.value.code == code


def test_the_largest_sizes_are_within_the_bounds() -> None:
    """2^63 - 1 is a size; what then fails is the proof."""
    for verify in (
        lambda: merkle.verify_inclusion(X, 0, 2**63 - 1, [X] * 63, X),
        lambda: merkle.verify_consistency(5, 2**63 - 1, [X] * 66, X, X),
    ):
        with pytest.raises(MerkleError) as error:
            verify()
        assert error.value.code in ("ROOT_DIFFERS", "PATH_LENGTH")


def test_no_proof_is_made_out_of_range() -> None:
    with pytest.raises(MerkleError, match="no leaf"):
        merkle.inclusion_path(node_over(HASHES), 8, 8)
    with pytest.raises(MerkleError, match="out of order"):
        merkle.consistency_path(node_over(HASHES), 5, 4)
