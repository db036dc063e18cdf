"""What the store knows about the records of one batch, read in one statement, and kept up to date while the batch is judged."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.records.keys import ChildKey, DocumentKey, DoseKey
from gateway.store.database import Transaction
from gateway.uploads.held import Waiting, waiting_of
from gateway.uploads.received import CARD, Prepared

# One round trip for everything: rows of several kinds, told apart by the first column, laid over DoseKey's columns.
_SEQUENCE, _CHILD, _DOSE, _RETIRED, _HELD, _WAITING, _IDENTITY, _DOCUMENT = range(8)
_FIRST = """
SELECT 0 AS what, NULL::bytea AS tag, NULL::bytea AS record, NULL::text AS unit, NULL::text AS code, NULL::text AS series,
       NULL::int AS number, NULL::date AS day, NULL::int AS route, NULL::int AS site, NULL::bytea AS content,
       sequence AS revision, NULL::bigint AS batch_id, NULL::int AS item_index, NULL::date AS day2, NULL::jsonb AS more
  FROM gateway.batch_sequence WHERE unit_code = %s
"""
_OF_CHILDREN = """
UNION ALL
SELECT 1, child_tag, name_tag, unit_code, NULL, NULL, sex, birth_date, status, NULL, content_tag, revision, batch_id, item_index,
       status_date, NULL FROM gateway.child WHERE child_tag = ANY(%s::bytea[])
UNION ALL
SELECT 2, child_tag, uuid_send(record_id), unit_code, vaccine_code, series, dose_number, vaccinated_date, route, site, content_tag,
       revision, batch_id, item_index, NULL, NULL FROM gateway.dose WHERE child_tag = ANY(%s::bytea[])
UNION ALL
SELECT 3, child_tag, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM gateway.retired_child WHERE child_tag = ANY(%s::bytea[])
"""
_OF_RECORDS = """
UNION ALL
SELECT 2, child_tag, uuid_send(record_id), unit_code, vaccine_code, series, dose_number, vaccinated_date, route, site, content_tag,
       revision, batch_id, item_index, NULL, NULL FROM gateway.dose WHERE record_id = ANY(%s::uuid[])
"""
_OF_HELD = """
UNION ALL
SELECT 4, record_key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, batch_id, item_index, NULL, NULL
  FROM gateway.held WHERE record_key = ANY(%s::bytea[]) AND settled_us IS NULL AND organisation = %s
"""
_OF_CARDS = """
UNION ALL
SELECT 5, child_tag, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, deadline_us, batch_id, item_index, NULL,
       jsonb_build_object('key', key_columns, 'findings', findings)
  FROM gateway.held WHERE child_tag = ANY(%s::bytea[]) AND deadline_us IS NOT NULL
UNION ALL
SELECT 6, tag, child_tag, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM gateway.child_identity WHERE tag = ANY(%s::bytea[]) AND child_tag IS NOT NULL
"""
_OF_DOCUMENTS = """
UNION ALL
SELECT 7, NULL, NULL, d.unit_code, d.document_id, NULL, d.kind, NULL, NULL, NULL, d.content_tag, d.revision, d.batch_id,
       d.item_index, NULL, NULL
  FROM gateway.document AS d JOIN unnest(%s::smallint[], %s::text[], %s::text[]) AS w (kind, unit_code, document_id)
    ON d.kind = w.kind AND d.unit_code = w.unit_code AND d.document_id = w.document_id
"""


@dataclass(slots=True)
class Known:
    """The stored key columns that bear on a batch. Judging adds what it accepts, so that items of one batch see each other."""

    sequence: int = 0
    cards: dict[bytes, ChildKey] = field(default_factory=dict)
    doses: dict[bytes, dict[tuple[bytes, str], DoseKey]] = field(default_factory=dict)
    records: dict[tuple[bytes, str], DoseKey] = field(default_factory=dict)
    retired: set[bytes] = field(default_factory=set)
    held: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    owners: dict[bytes, bytes] = field(default_factory=dict)
    documents: dict[tuple[int, str, str], DocumentKey] = field(default_factory=dict)

    def add_dose(self, key: DoseKey) -> None:
        """Take a dose as stored from now on, in place of its earlier revision."""
        name = (key.record_id, key.unit_code)
        earlier = self.records.get(name)
        if earlier is not None:
            self.doses[earlier.child_tag].pop(name, None)
        self.records[name] = key
        self.doses.setdefault(key.child_tag, {})[name] = key

    def others(self, key: DoseKey) -> Iterable[DoseKey]:
        """Return the child's doses without this record itself."""
        doses = self.doses.get(key.child_tag, {})
        own = (key.record_id, key.unit_code)
        return [dose for name, dose in doses.items() if name != own] if own in doses else doses.values()

    def add_row(self, row: tuple[Any, ...]) -> None:  # Any: columns of the union, their types stand in the statement
        """Take one row of the statement."""
        what = row[0]
        if what == _DOSE:
            self.add_dose(DoseKey._make(row[1:14]))
        elif what == _CHILD:
            self.cards[row[1]] = ChildKey(
                row[1], row[7], row[6], row[8], row[14], row[11], row[3], row[2], None, row[10], row[12], row[13]
            )
        elif what == _SEQUENCE:
            self.sequence = row[11]
        elif what == _HELD:
            self.held.setdefault(row[1], []).append((row[12], row[13]))
        elif what == _RETIRED:
            self.retired.add(row[1])
        elif what == _IDENTITY:
            self.owners[row[1]] = row[2]
        elif what == _DOCUMENT:
            key = DocumentKey(row[6], row[3], row[4], row[10], row[11], row[12], row[13])
            self.documents[key[:3]] = key
        elif what == _WAITING:
            self.waiting.append(waiting_of(row[1], row[15], row[11], row[12], row[13]))


async def load(tx: Transaction, prepared: Prepared) -> Known:
    """Return what the store knows about the records of a batch: one statement, one round trip."""
    items = prepared.items
    about = {tag for item in items for tag in (item.tags or (item.child_tag,)) if tag is not None}
    statement = _FIRST
    parameters: list[object] = [prepared.batch.unit_code]
    if about:
        tags = list(about)
        statement += _OF_CHILDREN
        parameters += [tags, tags, tags]
    records = [item.dose.record_id.hex() for item in items if item.dose is not None]
    if records:
        statement += _OF_RECORDS
        parameters.append(records)
    keys = [item.record_key for item in items if item.record_key is not None]
    if keys:
        statement += _OF_HELD
        parameters += [keys, prepared.desk.organisation]
    cards = [item.card for item in items if item.kind == CARD and item.card is not None]
    if cards:
        statement += _OF_CARDS
        parameters += [[card.child.child_tag for card in cards], [tag for card in cards for tag in card.identities]]
    documents = [item.document for item in items if item.document is not None]
    if documents:
        statement += _OF_DOCUMENTS
        parameters += [[document[part] for document in documents] for part in range(3)]
    known = Known()
    for row in await tx.fetch(statement, parameters):
        known.add_row(row)
    return known
