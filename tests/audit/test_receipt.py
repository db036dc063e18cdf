"""A receipt's text is the C2SP proof of the entry."""

from gateway.audit.group import Entry
from gateway.audit.receipt import proof_text
from gateway.tlog import proof
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash, node_hash
from tests.tlog.test_proof import ORIGIN, SIGNER

LEAVES = b'{"a":1}', b'{"a":2}'


def test_it_proves_the_leaf_and_carries_the_salt() -> None:
    left, right = map(leaf_hash, LEAVES)
    note = Checkpoint(ORIGIN, 2, node_hash(left, right)).signed(SIGNER)
    entry = Entry(1, LEAVES[1], 2, note, (left,))
    read = proof.parse(proof_text(entry, b"salt"))
    assert read.extra == b"salt"
    assert read.verify(entry.leaf, LogKeys.of(SIGNER.verifier)).size == 2
    assert proof.parse(proof_text(entry)).extra is None
