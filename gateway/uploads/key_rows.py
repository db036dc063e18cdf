"""The rows of key columns: doses, cards, documents; where earlier revisions lie; retired codes.

New rows go through COPY; what changes stored rows names the revision that it replaces. Whoever
meets what another process stored meanwhile raises REVISION_STALE or UniqueViolationError.
"""

from collections.abc import Iterable, Sequence

from gateway.errors import Reason, refuse
from gateway.records.keys import HERE, ChildKey, DoseKey
from gateway.store.database import Transaction
from gateway.uploads.batch_rows import columns
from gateway.uploads.judgement import TAKEN
from gateway.uploads.known import Known
from gateway.uploads.received import CARD, MERGE, Prepared

_COPY_DOSES = """
COPY gateway.dose (child_tag, record_id, vaccine_code, dose_number, vaccinated_date, route, site,
                   content_tag, unit_code, series, revision, batch_id, item_index)
FROM STDIN (FORMAT BINARY)
"""
_DOSE_TYPES = (
    "bytea",
    "bytea",
    "text",
    "int2",
    "date",
    "int2",
    "int2",
    "bytea",
    "text",
    "text",
    "int8",
    "int8",
    "int4",
)
_CORRECT_DOSES = """
UPDATE gateway.dose AS d
   SET child_tag = r.child_tag, vaccine_code = r.vaccine_code, series = r.series,
       dose_number = r.dose_number, vaccinated_date = r.vaccinated_date, route = r.route,
       site = r.site, content_tag = r.content_tag, revision = r.revision,
       batch_id = r.batch_id, item_index = r.item_index
  FROM unnest(%b::bytea[], %b::bytea[], %b::text[], %b::smallint[], %b::date[], %b::smallint[],
              %b::smallint[], %b::bytea[], %b::text[], %b::text[], %b::bigint[], %b::bigint[],
              %b::int[])
    AS r (child_tag, record_id, vaccine_code, dose_number, vaccinated_date, route, site,
          content_tag, unit_code, series, revision, batch_id, item_index)
 WHERE d.record_id = r.record_id AND d.unit_code = r.unit_code AND d.revision < r.revision
"""
_COPY_CARDS = """
COPY gateway.child (child_tag, birth_date, sex, status, status_date, revision, unit_code, name_tag,
                    mother_tag, content_tag, batch_id, item_index)
FROM STDIN (FORMAT BINARY)
"""
_CARD_TYPES = (
    "bytea",
    "date",
    "int2",
    "int2",
    "date",
    "int8",
    "text",
    "bytea",
    "bytea",
    "bytea",
    "int8",
    "int4",
)
_CORRECT_CARDS = """
UPDATE gateway.child AS c
   SET birth_date = r.birth_date, sex = r.sex, status = r.status, status_date = r.status_date,
       revision = r.revision, unit_code = r.unit_code, name_tag = r.name_tag,
       mother_tag = r.mother_tag, content_tag = r.content_tag, batch_id = r.batch_id,
       item_index = r.item_index
  FROM unnest(%b::bytea[], %b::date[], %b::smallint[], %b::smallint[], %b::date[], %b::bigint[],
              %b::text[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bigint[], %b::int[])
    AS r (child_tag, birth_date, sex, status, status_date, revision, unit_code, name_tag,
          mother_tag, content_tag, batch_id, item_index)
 WHERE c.child_tag = r.child_tag AND c.revision < r.revision
"""
# A number that a correction took from a card is free for the card it belongs to.
_FREE = """
UPDATE gateway.child_identity SET child_tag = NULL
 WHERE child_tag = ANY(%b::bytea[]) AND NOT tag = ANY(%b::bytea[])
"""
_COPY_IDENTITIES = "COPY gateway.child_identity (tag, child_tag) FROM STDIN (FORMAT BINARY)"
_KEEP_IDENTITIES = """
UPDATE gateway.child_identity AS i SET child_tag = r.child_tag
  FROM unnest(%b::bytea[], %b::bytea[]) AS r (tag, child_tag)
 WHERE i.tag = r.tag AND (i.child_tag IS NULL OR i.child_tag = r.child_tag)
"""
_EARLIER = """
INSERT INTO gateway.earlier_revision (kind, record_key, revision, batch_id, item_index)
SELECT * FROM unnest(%b::smallint[], %b::bytea[], %b::bigint[], %b::bigint[], %b::int[])
"""
_DOCUMENTS = """
INSERT INTO gateway.document AS d
       (kind, unit_code, document_id, content_tag, revision, batch_id, item_index)
SELECT * FROM unnest(%b::smallint[], %b::text[], %b::text[], %b::bytea[], %b::bigint[],
                     %b::bigint[], %b::int[])
ON CONFLICT (kind, unit_code, document_id) DO UPDATE
   SET content_tag = EXCLUDED.content_tag, revision = EXCLUDED.revision,
       batch_id = EXCLUDED.batch_id, item_index = EXCLUDED.item_index
 WHERE d.revision < EXCLUDED.revision
"""
_RETIRE = """
INSERT INTO gateway.retired_child (child_tag, kept_tag, batch_id, item_index)
SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bigint[], %b::int[])
"""


async def write_doses(tx: Transaction, known: Known, batch_id: int) -> None:
    """Write the doses that were taken and not stored before."""
    if known.taken.doses:
        await tx.copy(_COPY_DOSES, _placed(known.taken.doses.values(), batch_id), _DOSE_TYPES)


async def write_changes(tx: Transaction, prepared: Prepared, known: Known, batch_id: int) -> None:
    """Write everything but new doses."""
    await _write_cards(tx, known, batch_id)
    await write_corrections(tx, known, batch_id)
    await _write_documents(tx, prepared, known, batch_id)


async def write_corrections(tx: Transaction, known: Known, batch_id: int) -> None:
    """Write doses that replace a stored revision, and where replaced revisions of records lie."""
    corrections = list(_placed(known.taken.corrections.values(), batch_id))
    if corrections:
        changed = columns(corrections, len(_DOSE_TYPES))
        _expect(await tx.execute(_CORRECT_DOSES, changed), len(corrections))
    earlier = [
        one if one.batch_id != HERE else one._replace(batch_id=batch_id)
        for one in known.taken.earlier
    ]
    if earlier:
        await tx.execute(_EARLIER, columns(earlier, len(earlier[0])))


async def _write_cards(tx: Transaction, known: Known, batch_id: int) -> None:
    cards = known.taken.cards
    if not cards:
        return
    stored = {
        one.record_key for one in known.taken.earlier if one.kind == CARD and one.batch_id >= 0
    }
    new = [card.child for tag, card in cards.items() if tag not in stored]
    if new:
        await tx.copy(_COPY_CARDS, _placed(new, batch_id), _CARD_TYPES)
    pairs = [(tag, card.child.child_tag) for card in cards.values() for tag in card.identities]
    if stored:
        rows = list(_placed([cards[tag].child for tag in stored], batch_id))
        _expect(await tx.execute(_CORRECT_CARDS, columns(rows, len(_CARD_TYPES))), len(rows))
        await tx.execute(_FREE, (list(stored), [tag for tag, _ in pairs]))
    await _write_identities(tx, known, pairs)


async def _write_identities(
    tx: Transaction, known: Known, pairs: Sequence[tuple[bytes, bytes]]
) -> None:
    new = [pair for pair in pairs if pair[0] not in known.identities]
    if new:
        await tx.copy(_COPY_IDENTITIES, new, ("bytea", "bytea"))
    kept = [pair for pair in pairs if pair[0] in known.identities]
    if kept:
        _expect(await tx.execute(_KEEP_IDENTITIES, columns(kept, 2)), len(kept))


async def _write_documents(
    tx: Transaction, prepared: Prepared, known: Known, batch_id: int
) -> None:
    documents = [key._replace(batch_id=batch_id) for key in known.taken.documents.values()]
    if documents:
        changed = columns(documents, len(documents[0]))
        _expect(await tx.execute(_DOCUMENTS, changed), len(documents))
    retired = [
        (tag, item.tags[0], batch_id, item.index)
        for item in prepared.items
        if item.kind == MERGE and item.state in TAKEN
        for tag in item.tags[1:]
    ]
    if retired:
        await tx.execute(_RETIRE, columns(retired, 4))


def _placed(keys: Iterable[DoseKey | ChildKey], batch_id: int) -> Iterable[Sequence[object]]:
    """Yield rows; those of this batch get its id, a released dose keeps the place it came in at."""
    return (key if key.batch_id != HERE else (*key[:-2], batch_id, key.item_index) for key in keys)


def _expect(written: int, wanted: int) -> None:
    """Refuse what another process changed between our reading and our writing."""
    if written != wanted:
        raise refuse(Reason.REVISION_STALE)
