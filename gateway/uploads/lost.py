"""What a restore lost and nobody can send again: judged by receipts, and kept to the record.

A receipt counts where

1. its leaf is an allowed upload of the caller's organisation, and its results add up to what that
   counts
2. the leaf is in a log that a key of this gateway signed, at that size
3. a restore of this gateway cut it off: it is of before, and past what was kept

What the leaf counts is proven. Which records those were is the city's word: the leaf commits to
bytes that are gone. Nothing says here what came back later: readers join with `gateway.batch`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.config import log_keys
from gateway.config.home import Home
from gateway.errors import Reason, Refusal, refuse
from gateway.names import UNIT_CODE
from gateway.records.ids import is_document_id, record_id_bytes
from gateway.store.database import Transaction
from gateway.tlog import leaf, proof, restored
from gateway.tlog.keys import LogKeys
from gateway.tlog.leaf import LeafError
from gateway.tlog.merkle import MerkleError
from gateway.tlog.note import NoteError, parse_vkey
from gateway.uploads.idempotency import UPLOAD
from gateway.v1.upload_service_pb2 import BatchReceipt, ItemState

# What was on record: a duplicate was there before, what was rejected never was.
_RECORDED = frozenset(
    {
        ItemState.ITEM_STATE_ACCEPTED,
        ItemState.ITEM_STATE_FLAGGED,
        ItemState.ITEM_STATE_QUARANTINED,
    }
)
_INSERT = """
INSERT INTO gateway.lost_batch (organisation, request_id, statement, restored_us, unit_code,
  sequence, leaf_index, received_us, records, unnamed, receipt, presented_us)
VALUES (%s, %s, %b, %s, %s, %s, %s, %s, %s, %s, %b, %s)
ON CONFLICT (organisation, request_id) DO NOTHING RETURNING 1
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """A restore: its statement's digest, hex, how many entries were kept, when it was."""

    statement: str
    size: int
    restored_us: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A batch that was acknowledged and is gone.

    `counts` are its leaf's, by state; of what was on record `records` has the ids, and `unnamed` is
    how many have none that may be shown. `receipt` is the evidence, without findings.
    """

    cut: Cut
    request_id: UUID
    unit_code: str
    sequence: int
    index: int
    received_us: int
    counts: Mapping[str, int]
    records: tuple[str, ...]
    unnamed: int
    receipt: bytes


@dataclass(frozen=True, slots=True)
class Restores:
    """What judges receipts: the log's keys, and the restores of this gateway, oldest first."""

    keys: LogKeys
    cuts: tuple[Cut, ...]

    @classmethod
    def of(cls, home: Home) -> "Restores":
        """Return those of a HOME; raises OSError, NoteError where its public files are spoilt."""
        key = parse_vkey(home.log_key.read_text(encoding="utf-8").strip())
        keys = LogKeys.of(key, log_keys.read(home.log_keys))
        found = [(each, restored.read(each, keys)) for each in log_keys.read(home.restores)]
        cuts = [Cut(restored.digest(raw), said.size, said.restored_us) for raw, said in found]
        return cls(keys, tuple(cuts))

    def judge(self, receipt: BatchReceipt, organisation: str) -> Lost:
        """Return what a receipt proves to be lost.

        Raises RECEIPT_INVALID (with its cause), RECEIPT_FOREIGN, RECEIPT_KEPT.
        """
        told = _leaf(receipt)  # 1
        if told.get("organisation") != organisation:
            raise refuse(Reason.RECEIPT_FOREIGN)
        counts = _counts(receipt, told)
        try:
            found = proof.parse(receipt.proof)
            found.verify(receipt.leaf, self.keys)  # 2
        except (proof.ProofFormError, NoteError, MerkleError) as error:
            raise _invalid(error.code) from error
        received_us = told["time_us"]
        if not isinstance(received_us, int):
            raise _invalid("LEAF")
        cut = self._cut(found.index, received_us)  # 3
        names = [each.record_id for each in receipt.items if each.state in _RECORDED]
        named = tuple(each for each in names if each)
        return Lost(
            *(cut, UUID(receipt.request_id), str(told["unit"]), receipt.sequence, found.index),
            *(received_us, counts, named, len(names) - len(named), _without_findings(receipt)),
        )

    def _cut(self, index: int, received_us: int) -> Cut:
        """Return the first restore after a leaf that did not keep it."""
        for one in self.cuts:
            if received_us < one.restored_us and index >= one.size:
                return one
        raise refuse(Reason.RECEIPT_KEPT)


async def record(
    tx: Transaction, organisation: str, every: Sequence[Lost], now_us: int
) -> list[Lost]:
    """Put lost batches on record; return those that were not before."""
    added = []
    for one in every:
        named = (organisation, one.request_id, bytes.fromhex(one.cut.statement))
        batch = (one.cut.restored_us, one.unit_code, one.sequence, one.index, one.received_us)
        rest = (list(one.records), one.unnamed, one.receipt, now_us)
        if await tx.fetch_one(_INSERT, (*named, *batch, *rest)):
            added.append(one)
    return added


def counted(every: Sequence[Lost]) -> dict[str, int]:
    """Return what a leaf counts of lost batches: how many, their items by state."""
    total = Counter[str]()
    for one in every:
        total.update(one.counts)
    return {"batches": len(every), **total}


def _leaf(receipt: BatchReceipt) -> Mapping[str, object]:
    """Return the leaf of an allowed upload that this receipt names; raises RECEIPT_INVALID."""
    try:
        told = leaf.parse(receipt.leaf)
    except LeafError as error:
        raise _invalid("LEAF") from error
    named = (told.get("kind"), told.get("decision"), told.get("request_id"))
    if named != (UPLOAD, "allow", receipt.request_id):
        raise _invalid("LEAF")
    unit = told.get("unit")
    if not isinstance(unit, str) or UNIT_CODE.fullmatch(unit) is None:
        raise _invalid("LEAF")
    if told.get("sequence", 0) != receipt.sequence:
        raise _invalid("LEAF")
    return told


def _counts(receipt: BatchReceipt, told: Mapping[str, object]) -> dict[str, int]:
    """Return the results by state, which are the leaf's; raises RECEIPT_INVALID."""
    names = {number: name for name, number in ItemState.items() if number}
    if not all(each.state in names and _showable(each.record_id) for each in receipt.items):
        raise _invalid("ITEMS")
    found = Counter(names[each.state].removeprefix("ITEM_STATE_").lower() for each in receipt.items)
    counts = told.get("counts", {})
    said = counts if isinstance(counts, Mapping) else {}
    states = {name.removeprefix("ITEM_STATE_").lower() for name in names.values()}
    if {name: said[name] for name in states if said.get(name)} != dict(found):
        raise _invalid("ITEMS")
    return dict(found)


def _showable(record_id: str) -> bool:
    """Return whether an id is one that answers show: the leaf does not cover it."""
    return not record_id or record_id_bytes(record_id) is not None or is_document_id(record_id)


def _without_findings(receipt: BatchReceipt) -> bytes:
    kept = BatchReceipt.FromString(receipt.SerializeToString())
    for each in kept.items:
        del each.findings[:]
    return kept.SerializeToString()


def _invalid(cause: str) -> Refusal:
    word = cause.lower().replace("_", "-")
    return refuse(Reason.RECEIPT_INVALID, metadata={"cause": word})
