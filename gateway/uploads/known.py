"""What the store knows about the records of batches: read in one statement, kept up to date.

Judging adds what it takes, so that the items of one batch see each other, and those of batches that
are judged one after another beside the same Known.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.records.card import CardKey
from gateway.records.keys import ChildKey, DocumentKey, DoseKey, PastDose
from gateway.store.database import Transaction
from gateway.uploads.held import Waiting, waiting_of
from gateway.uploads.received import CARD, DOSE, Prepared

# One round trip for everything: rows of several kinds laid over the columns of DoseKey, told apart
# by the column `what`; what a kind has no use for is NULL.
_SEQUENCE, _CHILD, _PAST, _RECORD, _RETIRED, _HELD, _WAITING, _IDENTITY, _DOCUMENT = range(9)
_RECORD_ID, _WHAT, _DAY2, _MORE = 1, 13, 14, 15
_FIRST = """
SELECT NULL::bytea AS tag, NULL::bytea AS record, NULL::text AS code, NULL::int AS number,
       NULL::date AS day, NULL::int AS route, NULL::int AS site, NULL::bytea AS content,
       unit_code AS unit, NULL::text AS series, sequence AS revision, NULL::bigint AS batch_id,
       NULL::int AS item_index, 0 AS what, NULL::date AS day2, NULL::jsonb AS more
  FROM gateway.batch_sequence WHERE unit_code = ANY(%b::text[])
"""
_OF_CHILDREN = """
UNION ALL
SELECT child_tag, name_tag, NULL, sex, birth_date, status, NULL, content_tag, unit_code, NULL,
       revision, batch_id, item_index, 1, status_date, NULL
  FROM gateway.child WHERE child_tag = ANY(%b::bytea[])
UNION ALL
SELECT child_tag, record_id, vaccine_code, dose_number, vaccinated_date, route, site, content_tag,
       NULL, NULL, NULL, NULL, NULL, 2, NULL, NULL
  FROM gateway.dose WHERE child_tag = ANY(%b::bytea[])
UNION ALL
SELECT child_tag, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 4,
       NULL, NULL
  FROM gateway.retired_child WHERE child_tag = ANY(%b::bytea[])
"""
_OF_RECORDS = """
UNION ALL
SELECT child_tag, record_id, vaccine_code, dose_number, vaccinated_date, route, site, content_tag,
       unit_code, series, revision, batch_id, item_index, 3, NULL, NULL
  FROM gateway.dose WHERE record_id = ANY(%b::bytea[])
"""
_OF_HELD = """
UNION ALL
SELECT record_key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       batch_id, item_index, 5, NULL, NULL
  FROM gateway.held
 WHERE record_key = ANY(%b::bytea[]) AND settled_us IS NULL AND organisation = ANY(%b::text[])
"""
_OF_WAITING = """
UNION ALL
SELECT child_tag, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, deadline_us,
       batch_id, item_index, 6, NULL, jsonb_build_object('key', key_columns, 'findings', findings)
  FROM gateway.held WHERE child_tag = ANY(%b::bytea[]) AND deadline_us IS NOT NULL
"""
_OF_IDENTITIES = """
UNION ALL
SELECT tag, child_tag, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 7,
       NULL, NULL
  FROM gateway.child_identity WHERE tag = ANY(%b::bytea[])
"""
_OF_DOCUMENTS = """
UNION ALL
SELECT NULL, NULL, d.document_id, d.kind, NULL, NULL, NULL, d.content_tag, d.unit_code, NULL,
       d.revision, d.batch_id, d.item_index, 8, NULL, NULL
  FROM gateway.document AS d
  JOIN unnest(%b::smallint[], %b::text[], %b::text[]) AS w (kind, unit_code, document_id)
    ON d.kind = w.kind AND d.unit_code = w.unit_code AND d.document_id = w.document_id
"""
_ARRAY = "ANY(%b::bytea[])"
# For a batch of one item: psycopg takes 7 us for an array and well under one for a value.
_SINGLE = {
    part: part.replace(_ARRAY, "%b::bytea")
    for part in (_OF_CHILDREN, _OF_RECORDS, _OF_HELD, _OF_WAITING, _OF_IDENTITIES)
}
_Row = tuple[Any, ...]  # Any: columns of the union, their types stand in the statement


class Earlier(NamedTuple):
    """Where the body of a replaced revision lies; batch_id HERE: in the same batch."""

    kind: int
    record_key: bytes
    revision: int
    batch_id: int
    item_index: int


@dataclass(slots=True)
class Taken:
    """What a batch adds to the stored key columns: of each record its newest revision."""

    cards: dict[bytes, CardKey] = field(default_factory=dict)
    doses: dict[tuple[bytes, str], DoseKey] = field(default_factory=dict)
    corrections: dict[tuple[bytes, str], DoseKey] = field(default_factory=dict)
    documents: dict[tuple[int, str, str], DocumentKey] = field(default_factory=dict)
    earlier: list[Earlier] = field(default_factory=list)


@dataclass(slots=True)
class Known:
    """The stored key columns that bear on batches, and what the batches themselves add to them."""

    sequences: dict[str, int] = field(default_factory=dict)
    cards: dict[bytes, ChildKey] = field(default_factory=dict)
    doses: defaultdict[bytes, list[PastDose]] = field(default_factory=lambda: defaultdict(list))
    records: dict[tuple[bytes, str], DoseKey] = field(default_factory=dict)
    retired: set[bytes] = field(default_factory=set)
    held: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    # Identity tags that have a row, also those that a correction freed; and whose they are.
    identities: set[bytes] = field(default_factory=set)
    owners: dict[bytes, bytes] = field(default_factory=dict)
    documents: dict[tuple[int, str, str], DocumentKey] = field(default_factory=dict)
    taken: Taken = field(default_factory=Taken)

    def take_sequence(self, unit_code: str, sequence: int) -> bool:
        """Take a batch's sequence number; return whether it leaves a gap behind the unit's last."""
        last = self.sequences.get(unit_code, 0)
        self.sequences[unit_code] = max(last, sequence)
        return sequence > last + 1

    def take_card(self, card: CardKey) -> None:
        """Take a card as stored from now on, and remember to write it."""
        tag = card.child.child_tag
        stored = self.cards.get(tag)
        if stored is not None:
            self.taken.earlier.append(
                Earlier(CARD, tag, stored.revision, stored.batch_id, stored.item_index)
            )
        self.cards[tag] = card.child
        self.taken.cards[tag] = card
        self.owners.update((identity, tag) for identity in card.identities)

    def take_dose(self, key: DoseKey) -> None:
        """Take a dose as stored from now on, and remember to write it."""
        name = (key.record_id, key.unit_code)
        stored = self.records.get(name)
        if stored is not None:
            self.taken.earlier.append(
                Earlier(DOSE, key.record_id, stored.revision, stored.batch_id, stored.item_index)
            )
            past = self.doses[stored.child_tag]
            past[:] = [dose for dose in past if dose[_RECORD_ID] != key.record_id]
        corrects = stored is not None and name not in self.taken.doses
        (self.taken.corrections if corrects else self.taken.doses)[name] = key
        self.records[name] = key
        self.doses[key.child_tag].append(key)

    def take_document(self, key: DocumentKey, record_key: bytes) -> None:
        """Take a document as stored from now on, and remember to write it."""
        name = (key.kind, key.unit_code, key.document_id)
        stored = self.documents.get(name)
        if stored is not None:
            self.taken.earlier.append(
                Earlier(key.kind, record_key, stored.revision, stored.batch_id, stored.item_index)
            )
        self.documents[name] = self.taken.documents[name] = key

    def others(self, key: DoseKey) -> Iterable[PastDose]:
        """Return the child's doses without this record itself."""
        doses = self.doses.get(key.child_tag, ())
        if (key.record_id, key.unit_code) in self.records:
            return [dose for dose in doses if dose[_RECORD_ID] != key.record_id]
        return doses

    def add_row(self, row: _Row) -> None:
        """Take one row of the statement that is not a past dose."""
        what = row[_WHAT]
        if what == _CHILD:
            tag, name, _, sex, birth, status, _, content, unit, _, *place = row[:_WHAT]
            dated = (birth, sex, status, row[_DAY2])
            revision, batch_id, item_index = place
            key = (tag, *dated, revision, unit, name, None, content, batch_id, item_index)
            self.cards[tag] = ChildKey._make(key)
        elif what == _RECORD:
            dose = DoseKey._make(row[:_WHAT])
            self.records[dose.record_id, dose.unit_code] = dose
        elif what == _SEQUENCE:
            self.sequences[row[8]] = row[10]
        elif what == _HELD:
            self.held.setdefault(row[0], []).append((row[11], row[12]))
        elif what == _RETIRED:
            self.retired.add(row[0])
        elif what == _IDENTITY:
            self.identities.add(row[0])
            if row[1] is not None:
                self.owners[row[0]] = row[1]
        elif what == _DOCUMENT:
            document = DocumentKey(row[3], row[8], row[2], row[7], row[10], row[11], row[12])
            self.documents[document.kind, document.unit_code, document.document_id] = document
        elif what == _WAITING:
            self.waiting.append(waiting_of(row[0], row[_MORE], row[10], row[11], row[12]))


class _Question:
    """The statement for some batches, put together of the parts that it needs."""

    def __init__(self, unit_codes: Sequence[str]) -> None:
        self.statement = _FIRST
        self.parameters: list[object] = [unit_codes]

    def add(self, part: str, tags: Sequence[bytes], *more: object) -> None:
        """Add a part whose every array is `tags`; nothing to ask for: not added."""
        if len(tags) == 1:
            self.statement += _SINGLE[part]
            self.parameters += [tags[0]] * part.count(_ARRAY)
        elif tags:
            self.statement += part
            self.parameters += [tags] * part.count(_ARRAY)
        if tags:
            self.parameters += more


async def load_waiting(tx: Transaction, waiting: Sequence[Waiting]) -> Known:
    """Return what the store knows about the children and records of waiting doses."""
    question = _Question([])
    question.add(_OF_CHILDREN, list({one.dose.child_tag for one in waiting}))
    question.add(_OF_RECORDS, [one.dose.record_id for one in waiting])
    return await _fetch(tx, question)


async def load(tx: Transaction, *batches: Prepared) -> Known:
    """Return what the store knows about the records of batches: one statement, one round trip."""
    items = [item for prepared in batches for item in prepared.items]
    about = {tag for item in items for tag in (item.tags or (item.child_tag,)) if tag is not None}
    question = _Question(list({prepared.batch.unit_code for prepared in batches}))
    question.add(_OF_CHILDREN, list(about))
    question.add(_OF_RECORDS, [item.dose.record_id for item in items if item.dose is not None])
    keys = [item.record_key for item in items if item.record_key is not None]
    question.add(_OF_HELD, keys, list({prepared.desk.organisation for prepared in batches}))
    cards = [item.card for item in items if item.card is not None]
    question.add(_OF_WAITING, [card.child.child_tag for card in cards])
    question.add(_OF_IDENTITIES, [tag for card in cards for tag in card.identities])
    documents = [item.document for item in items if item.document is not None]
    if documents:
        question.statement += _OF_DOCUMENTS
        question.parameters += (
            [document.kind for document in documents],
            [document.unit_code for document in documents],
            [document.document_id for document in documents],
        )
    return await _fetch(tx, question)


async def _fetch(tx: Transaction, question: _Question) -> Known:
    known = Known()
    past = known.doses
    for row in await tx.fetch(question.statement, question.parameters):
        if row[_WHAT] == _PAST:
            past[row[0]].append(row)
        else:
            known.add_row(row)
    return known
