"""What restores lost that cities proved by their receipts, and what of it came back since.

A batch came back when it is in `gateway.batch` again; a record of it also when it is there by its
id since the restore, whatever batch brought it. What nobody presents is not here: a restored
gateway does not know what it lost.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.records.ids import record_id_bytes
from gateway.store.database import Row, Transaction

KIND = "backup.losses"
_LOST = """
SELECT l.statement, l.restored_us, l.organisation, l.request_id, l.unit_code, l.sequence,
       l.leaf_index, l.received_us, l.records, l.unnamed, b.batch_id IS NOT NULL
  FROM gateway.lost_batch AS l LEFT JOIN gateway.batch AS b USING (organisation, request_id)
 ORDER BY l.restored_us, l.organisation, l.received_us, l.leaf_index
"""
# Doses by their ids, documents by unit and number; both of the sender's own batches since.
_DOSES = """
SELECT DISTINCT d.record_id FROM gateway.dose AS d JOIN gateway.batch AS b USING (batch_id)
 WHERE d.record_id = ANY(%b::bytea[]) AND b.organisation = %s AND b.received_us > %s
"""
_DOCUMENTS = """
SELECT DISTINCT d.unit_code, d.document_id
  FROM gateway.document AS d JOIN gateway.batch AS b USING (batch_id)
 WHERE d.kind = ANY(%s::smallint[]) AND d.unit_code = ANY(%s::text[])
   AND d.document_id = ANY(%s::text[]) AND b.organisation = %s AND b.received_us > %s
"""
# The numbers of the kinds that are documents in the contract's Item.
_DOCUMENT_KINDS = [3, 4, 5, 6, 7]
_TOLD = """
SELECT coalesce(sum((convert_from(leaf, 'UTF8')::jsonb -> 'counts' ->> 'batches')::bigint), 0)
  FROM gateway.audit_entry WHERE kind = 'restore.loss' AND decision = 'allow'
"""


@dataclass(frozen=True, slots=True)
class LostBatch:
    """A batch that a restore lost; `statement` is the digest of what the restore said, hex.

    `records` is how many of its items were on record; `missing` the ids of those that are not back,
    `unnamed` how many more are not.
    """

    statement: str
    restored_us: int
    organisation: str
    request_id: str
    unit_code: str
    sequence: int
    leaf_index: int
    received_us: int
    records: int
    missing: tuple[str, ...]
    unnamed: int

    @property
    def still(self) -> int:
        """How many records are missing still."""
        return len(self.missing) + self.unnamed


async def read(tx: Transaction) -> list[LostBatch]:
    """Return all that was proven lost, oldest restore first, with what is missing still."""
    found = [_batch(row) for row in await tx.fetch(_LOST)]
    asked = defaultdict[tuple[str, int], list[LostBatch]](list)
    for one in found:
        if one.missing:
            asked[one.organisation, one.restored_us].append(one)
    back: dict[tuple[str, int], set[tuple[str, str]]] = {
        key: await _back(tx, *key, some) for key, some in asked.items()
    }
    return [_without(one, back.get((one.organisation, one.restored_us), set())) for one in found]


async def told(tx: Transaction) -> int:
    """Return how many batches the log says were put on record: the rows are as many."""
    row = await tx.fetch_one(_TOLD)
    return int(row[0]) if row else 0


def _batch(row: Row) -> LostBatch:
    statement, restored_us, organisation, request_id, *place, records, unnamed, back = row
    missing = ((), 0) if back else (tuple(records), unnamed)
    return LostBatch(
        *(bytes(statement).hex(), restored_us, organisation, str(request_id)),
        *(*place, len(records) + unnamed, *missing),
    )


async def _back(
    tx: Transaction, organisation: str, restored_us: int, some: Iterable[LostBatch]
) -> set[tuple[str, str]]:
    """Return unit and id of the records that are there again; of doses the unit is ""."""
    named = {(one.unit_code, each) for one in some for each in one.missing}
    keys = {name: record_id_bytes(name) for _, name in named}
    ids = {key: name for name, key in keys.items() if key is not None}
    since = (organisation, restored_us)
    doses = await tx.fetch(_DOSES, (list(ids), *since))
    units, names = {unit for unit, _ in named}, list(keys)
    documents = await tx.fetch(_DOCUMENTS, (_DOCUMENT_KINDS, list(units), names, *since))
    return {("", ids[bytes(key)]) for (key,) in doses} | {(str(a), str(b)) for a, b in documents}


def _without(one: LostBatch, back: set[tuple[str, str]]) -> LostBatch:
    missing = [each for each in one.missing if not {("", each), (one.unit_code, each)} & back]
    return replace(one, missing=tuple(missing))
