"""Is a receipt good? All is recomputed here; the gateway's word counts for nothing.

1. The receipt answers this batch: request id, sequence, one result per item, in order.
2. Its leaf is canonical and says: an allowed upload of our organisation, this request id, unit and
   sequence, and the counts that the results add up to.
3. The leaf commits to exactly the bytes that were sent: SHA-256 of salt and message.
4. The leaf is in the log: inclusion proof, root, signature of the profile's key.

That the log of this receipt is the log of all others is the work of `checkpoints`.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.client.checkpoints import Checkpoints, LogError
from gateway.tlog import proof as tlog_proof
from gateway.tlog.leaf import LeafError
from gateway.tlog.leaf import parse as parse_leaf
from gateway.tlog.merkle import MerkleError, leaf_hash, verify_inclusion
from gateway.v1 import upload_service_pb2 as v1

KIND = "upload"
SALT_BYTES = 16
COUNTED: Mapping[int, str] = {
    v1.ITEM_STATE_ACCEPTED: "accepted",
    v1.ITEM_STATE_FLAGGED: "flagged",
    v1.ITEM_STATE_DUPLICATE: "duplicate",
    v1.ITEM_STATE_QUARANTINED: "quarantined",
    v1.ITEM_STATE_REJECTED: "rejected",
}


class ReceiptError(LogError):
    """A receipt proves nothing; `code` is one word per cause. Stop, and tell the province."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch as it was sent: what its receipt must be about."""

    request_id: str
    unit_code: str
    sequence: int
    item_count: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verified receipt proves: the leaf's place, and how many items became what."""

    index: int
    size: int
    counts: Mapping[str, int]


def verify(
    receipt: v1.BatchReceipt, sent: Sent, organisation: str, checkpoints: Checkpoints
) -> Evidence:
    """Return what the receipt proves; raises ReceiptError or LogError."""
    counts = _answers(receipt, sent)  # 1
    leaf = _leaf(receipt)  # 2
    _expect(leaf, "organisation", organisation)
    _expect(leaf, "unit", sent.unit_code)
    _expect(leaf, "sequence", sent.sequence)
    _expect(leaf, "request_id", sent.request_id)
    _expect_counts(leaf, counts)
    commitment = hashlib.sha256(receipt.salt + sent.message).hexdigest()  # 3
    if len(receipt.salt) != SALT_BYTES:
        raise ReceiptError("RECEIPT_COMMITMENT", "the salt does not have 16 bytes")
    if not hmac.compare_digest(str(leaf.get("commitment")), commitment):
        raise ReceiptError("RECEIPT_COMMITMENT", "the leaf commits to other bytes than were sent")
    return _included(receipt, checkpoints, counts)  # 4


def inspect(receipt: v1.BatchReceipt, organisation: str, checkpoints: Checkpoints) -> Evidence:
    """Return what a stored receipt proves without the bytes that were sent; raises as `verify`."""
    sent = Sent(receipt.request_id, "", receipt.sequence, len(receipt.items), b"")
    counts = _answers(receipt, sent)
    leaf = _leaf(receipt)
    _expect(leaf, "organisation", organisation)
    _expect(leaf, "sequence", sent.sequence)
    _expect(leaf, "request_id", sent.request_id)
    _expect_counts(leaf, counts)
    return _included(receipt, checkpoints, counts)


def _answers(receipt: v1.BatchReceipt, sent: Sent) -> dict[str, int]:
    if receipt.request_id != sent.request_id or receipt.sequence != sent.sequence:
        raise ReceiptError("RECEIPT_OTHER_BATCH", "the receipt is of another batch")
    if [item.index for item in receipt.items] != list(range(sent.item_count)):
        raise ReceiptError("RECEIPT_ITEMS", "the receipt has not one result per item, in order")
    tally = Counter(item.state for item in receipt.items)
    if not tally.keys() <= COUNTED.keys():
        raise ReceiptError("RECEIPT_ITEMS", "a result has no state")
    return {COUNTED[state]: count for state, count in tally.items()}


def _leaf(receipt: v1.BatchReceipt) -> dict[str, object]:
    try:
        leaf: dict[str, object] = dict(parse_leaf(receipt.leaf))
    except LeafError as error:
        raise ReceiptError("RECEIPT_LEAF", str(error)) from error
    _expect(leaf, "kind", KIND)
    _expect(leaf, "decision", "allow")
    return leaf


def _expect(leaf: Mapping[str, object], field: str, wanted: object) -> None:
    found = leaf.get(field)
    if found != wanted:
        raise ReceiptError("RECEIPT_LEAF", f"the leaf says something else about {field}")


def _expect_counts(leaf: Mapping[str, object], counts: Mapping[str, int]) -> None:
    """Compare the leaf's counts with the results'; a state that did not occur may be left out."""
    told = leaf.get("counts", {})
    if not isinstance(told, Mapping):
        raise ReceiptError("RECEIPT_LEAF", "the leaf's counts are no object")
    for state in COUNTED.values():
        if told.get(state, 0) != counts.get(state, 0):
            raise ReceiptError("RECEIPT_COUNTS", f"the leaf counts other {state} items")


def _included(
    receipt: v1.BatchReceipt, checkpoints: Checkpoints, counts: Mapping[str, int]
) -> Evidence:
    try:
        proof = tlog_proof.parse(receipt.proof)
        checkpoint = checkpoints.see(proof.checkpoint)
        leaf = leaf_hash(receipt.leaf)
        verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    except tlog_proof.ProofFormError as error:
        raise ReceiptError(error.code, str(error)) from error
    except MerkleError as error:
        raise ReceiptError(error.code, str(error)) from error
    return Evidence(proof.index, checkpoint.size, counts)
