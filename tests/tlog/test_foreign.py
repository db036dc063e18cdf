"""Verifiers that nobody here wrote agree: sigstore's of inclusion, pymerkle's of roots and consistency."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree, verify_consistency
from pymerkle.proof import MerkleProof
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore.errors import VerificationError

from gateway.tlog import merkle
from tests.audit.folder import leaf

ENTRIES = [leaf(i) for i in range(400)]
HASHES = [merkle.leaf_hash(each) for each in ENTRIES]


def node(size: int) -> merkle.Node:
    return lambda level, n: merkle.root_of(HASHES[:size][n << level : (n + 1) << level])


def theirs(index: int, size: int, path: list[bytes], root: bytes, entry: bytes) -> None:
    """Ask sigstore's verifier, which takes what it needs off an entry of Rekor."""
    proof = SimpleNamespace(log_index=index, tree_size=size, hashes=path, root_hash=root)
    inner = SimpleNamespace(inclusion_proof=proof, canonicalized_body=entry)
    verify_merkle_inclusion(SimpleNamespace(_inner=inner))  # type: ignore[arg-type]


def places(data: st.DataObject) -> tuple[int, int]:
    size = data.draw(st.integers(1, len(ENTRIES)))
    return data.draw(st.integers(0, size - 1)), size


@given(st.data())
@settings(max_examples=150)
def test_sigstore_accepts_our_inclusion_proofs(data: st.DataObject) -> None:
    index, size = places(data)
    root = merkle.root_of(HASHES[:size])
    theirs(index, size, merkle.inclusion_path(node(size), index, size), root, ENTRIES[index])


@given(st.data())
@settings(max_examples=100)
def test_sigstore_and_we_refuse_the_same(data: st.DataObject) -> None:
    index, size = places(data)
    root, path = merkle.root_of(HASHES[:size]), merkle.inclusion_path(node(size), index, size)
    entry = ENTRIES[index]
    wrong = merkle.leaf_hash(b"wrong")
    spoilt = [(path, root, entry + b" "), (path, wrong, entry), ([*path, wrong], root, entry)]
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        spoilt += [
            (path[:-1], root, entry),
            ([*path[:place], wrong, *path[place + 1 :]], root, entry),
        ]
    for hashes, top, content in spoilt:
        with pytest.raises(VerificationError):
            theirs(index, size, hashes, top, content)
        with pytest.raises(merkle.MerkleError):
            merkle.verify_inclusion(merkle.leaf_hash(content), index, size, hashes, top)


def test_pymerkle_has_the_same_roots_and_proves_the_same_growth() -> None:
    tree = InmemoryTree(algorithm="sha256")
    for each in ENTRIES:
        tree.append_entry(each)
    for size in (1, 2, 255, 256, 257, 399, 400):
        root = merkle.root_of(HASHES[:size])
        assert tree.get_root(size) == root
        proof = tree.prove_consistency(size, 400)
        verify_consistency(root, merkle.root_of(HASHES), proof)
        assert isinstance(proof, MerkleProof)
        path = merkle.consistency_path(node(400), size, 400)
        merkle.verify_consistency(size, 400, path, root, merkle.root_of(HASHES))
