"""Proves that a restored database still holds what was acknowledged: one batch of each city.

Of each organisation that sent any, one is drawn by chance from its leaves, and judged as the city's
own client judges its receipt (`client.verify`): the answer that is stored is of this batch and
counts what the leaf counts, and the leaf is in the log under the checkpoint that the backup names.
"""

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from google.protobuf.message import DecodeError

from gateway.audit.log import Log, LogError
from gateway.backups.errors import BackupError
from gateway.store.database import Database, Transaction
from gateway.tlog import checkpoint, leaf, note, proof
from gateway.tlog.keys import LogKeys
from gateway.tlog.leaf import LeafError
from gateway.tlog.merkle import MerkleError
from gateway.tlog.note import NoteError
from gateway.v1.upload_service_pb2 import BatchReceipt, ItemState

WRONG = "BACKUP_RECEIPT_WRONG"
_ORGANISATIONS = "SELECT code FROM gateway.organisation ORDER BY code"
_UPLOAD = "kind = 'upload' AND decision = 'allow'"
_DRAWN = (
    f"SELECT request_id FROM gateway.audit_entry WHERE organisation = %s AND {_UPLOAD}"  # noqa: S608  our own words
    " AND idx >= %s AND idx < %s ORDER BY idx LIMIT 1"
)
# The first one: each repetition leaves a later leaf of its own (uploads.idempotency).
_LEAF = (
    f"SELECT idx, leaf FROM gateway.audit_entry WHERE request_id = %s AND organisation = %s AND {_UPLOAD}"  # noqa: S608, E501  our own words
    " ORDER BY idx LIMIT 1"
)
_ANSWER = "SELECT answer FROM gateway.batch WHERE organisation = %s AND request_id = %s"


@dataclass(frozen=True, slots=True)
class Sample:
    """A batch as its sender named it, the answer that is stored, and its leaf."""

    organisation: str
    request_id: str
    answer: bytes
    index: int
    content: bytes


async def prove(database: Database, signed_note: str, keys: LogKeys) -> int:
    """Return of how many organisations a batch was proven under this checkpoint.

    Raises BackupError (BACKUP_RECEIPT_WRONG), StoreError.
    """
    size = checkpoint.parse(note.split(signed_note)[0]).size
    async with database.transaction() as tx:
        samples = await _draw(tx, size)
    for one in samples:
        judge(one)
        try:
            path = await Log(database).inclusion(one.index, size)
            made = proof.Proof(one.index, tuple(path), signed_note).text()
            proof.parse(made).verify(one.content, keys)
        except (LogError, NoteError, MerkleError, proof.ProofFormError) as error:
            raise _wrong(one.organisation, f"its leaf is not proven: {error}") from error
    return len(samples)


def judge(one: Sample) -> None:
    """Pass an answer that is of its batch and says what its leaf says; raises BackupError."""
    try:
        receipt, told = BatchReceipt.FromString(one.answer), leaf.parse(one.content)
        counted = Counter(
            ItemState.Name(item.state).removeprefix("ITEM_STATE_").lower() for item in receipt.items
        )
    except (DecodeError, LeafError, ValueError) as error:
        raise _wrong(one.organisation, "the stored answer or its leaf is malformed") from error
    of = (receipt.request_id, told.get("request_id"), told.get("organisation"))
    if of != (one.request_id, one.request_id, one.organisation):
        raise _wrong(one.organisation, "the stored answer is of another batch")
    counts = told.get("counts", {})
    states = {name.removeprefix("ITEM_STATE_").lower() for name in ItemState.keys()}  # noqa: SIM118  no mapping
    said = {name: count for name, count in _numbers(counts) if name in states and count}
    if said != dict(counted) or told.get("sequence", 0) != receipt.sequence:
        raise _wrong(one.organisation, "the stored answer says something else than its leaf")


def _numbers(counts: object) -> list[tuple[str, object]]:
    return list(counts.items()) if isinstance(counts, Mapping) else []


async def _draw(tx: Transaction, size: int) -> list[Sample]:
    """Return a batch of each organisation that has one below this size of the log."""
    samples = []
    for (organisation,) in await tx.fetch(_ORGANISATIONS):
        middle = secrets.randbelow(size) if size else 0
        row = await tx.fetch_one(_DRAWN, (organisation, middle, size))
        row = row or await tx.fetch_one(_DRAWN, (organisation, 0, middle))
        if row is None:
            continue
        request_id = str(row[0])
        answer = await tx.fetch_one(_ANSWER, (organisation, UUID(request_id)))
        entry = await tx.fetch_one(_LEAF, (request_id, organisation))
        if answer is None or entry is None:
            raise _wrong(organisation, "the log tells of a batch that is not there")
        found = (bytes(answer[0]), int(entry[0]), bytes(entry[1]))
        samples.append(Sample(organisation, request_id, *found))
    return samples


def _wrong(organisation: str, text: str) -> BackupError:
    return BackupError(WRONG, f"{organisation}: {text}")
