"""Writes a judged batch.

One statement for a single item, COPY for more, further statements only where there is need.

Every write that meets what another process stored meanwhile fails as a whole (REVISION_STALE, or
UniqueViolationError): the
caller rolls back and judges again beside the new state.
"""

from collections.abc import Iterable, Sequence

from gateway.errors import Reason, refuse
from gateway.records.keys import HERE, DoseKey
from gateway.store.database import Transaction
from gateway.uploads.judgement import TAKEN
from gateway.uploads.known import Known
from gateway.uploads.received import MERGE, Prepared, Received

_OPEN = """
WITH b AS (
  INSERT INTO gateway.batch (organisation, request_id, digest, unit_code, sequence, received_us,
    answer)
  VALUES (%s, %s, %b, %s, %s, %s, %b) ON CONFLICT (organisation,
    request_id) DO NOTHING RETURNING batch_id, unit_code, sequence
), s AS (
  INSERT INTO gateway.batch_sequence (unit_code, sequence) SELECT unit_code, sequence FROM b
  ON CONFLICT (unit_code) DO UPDATE SET sequence = greatest(batch_sequence.sequence,
    EXCLUDED.sequence)
)"""
_RETURN = " SELECT batch_id FROM b"
# A batch of one item in one statement, which is a round trip for each of the three tables less.
_ONE = """, i AS (
  INSERT INTO gateway.item (item_index, kind, state, key_id, nonce, body, restricted_key_id,
    restricted_nonce, restricted_body, batch_id)
  SELECT %s::int, %s::smallint, %s::smallint, %s::uuid, %b::bytea, %b::bytea, %s::uuid,
    %b::bytea, %b::bytea, batch_id FROM b
)"""
_ONE_DOSE = """, d AS (
  INSERT INTO gateway.dose (child_tag, record_id, vaccine_code, dose_number, vaccinated_date,
    route, site, content_tag,
                            unit_code, series, revision, item_index, batch_id)
  SELECT %b::bytea, %b::bytea, %s, %s::smallint, %s::date, %s::smallint, %s::smallint, %b::bytea,
    %s, %s, %s::bigint, %s::int, batch_id
  FROM b
)"""
_KEY = """
INSERT INTO gateway.content_key (key_id, recipient, wrapped, organisation,
  created_us) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (key_id) DO NOTHING
"""
_COPY_ITEM = """
COPY gateway.item (batch_id, item_index, kind, state, key_id, nonce, body, restricted_key_id,
  restricted_nonce, restricted_body)
FROM STDIN (FORMAT BINARY)
"""
# COPY sends a UUID as its 16 bytes, which is what bytea sends too.
_ITEM_TYPES = ("int8", "int4", "int2", "int2", *("bytea",) * 6)
_COPY_DOSE = """
COPY gateway.dose (child_tag, record_id, vaccine_code, dose_number, vaccinated_date, route, site,
  content_tag, unit_code, series,
                   revision, batch_id, item_index) FROM STDIN (FORMAT BINARY)
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
_CARDS = """
INSERT INTO gateway.child AS c (child_tag, birth_date, sex, status, status_date, revision,
  unit_code, name_tag, mother_tag, content_tag,
                                batch_id, item_index)
SELECT * FROM unnest(%b::bytea[], %b::date[], %b::smallint[], %b::smallint[], %b::date[],
  %b::bigint[], %b::text[], %b::bytea[],
                     %b::bytea[], %b::bytea[], %b::bigint[], %b::int[])
ON CONFLICT (child_tag) DO UPDATE
SET birth_date = EXCLUDED.birth_date, sex = EXCLUDED.sex, status = EXCLUDED.status,
  status_date = EXCLUDED.status_date,
    revision = EXCLUDED.revision, unit_code = EXCLUDED.unit_code, name_tag = EXCLUDED.name_tag,
    mother_tag = EXCLUDED.mother_tag,
    content_tag = EXCLUDED.content_tag, batch_id = EXCLUDED.batch_id,
    item_index = EXCLUDED.item_index
WHERE c.revision < EXCLUDED.revision
"""
# A number that a correction took from a card is free for the card it belongs to.
_FREE = """
UPDATE gateway.child_identity SET child_tag = NULL WHERE child_tag = ANY(%b::bytea[]) AND NOT tag
  = ANY(%b::bytea[])
"""
_IDENTITIES = """
INSERT INTO gateway.child_identity AS i (tag, child_tag) SELECT * FROM unnest(%b::bytea[],
  %b::bytea[])
ON CONFLICT (tag) DO UPDATE SET child_tag = EXCLUDED.child_tag WHERE i.child_tag IS NULL OR
  i.child_tag = EXCLUDED.child_tag
"""
_CORRECT_DOSES = """
UPDATE gateway.dose AS d
SET child_tag = r.child_tag, vaccine_code = r.vaccine_code, series = r.series,
  dose_number = r.dose_number,
    vaccinated_date = r.vaccinated_date, route = r.route, site = r.site,
    content_tag = r.content_tag, revision = r.revision,
    batch_id = r.batch_id, item_index = r.item_index
FROM unnest(%b::bytea[], %b::bytea[], %b::text[], %b::smallint[], %b::date[], %b::smallint[],
  %b::smallint[], %b::bytea[],
            %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::int[])
  AS r (child_tag, record_id, vaccine_code, dose_number, vaccinated_date, route, site,
    content_tag, unit_code, series, revision,
        batch_id, item_index)
WHERE d.record_id = r.record_id AND d.unit_code = r.unit_code AND d.revision < r.revision
"""
_EARLIER = """
INSERT INTO gateway.earlier_revision (kind, record_key, revision, batch_id, item_index)
SELECT * FROM unnest(%b::smallint[], %b::bytea[], %b::bigint[], %b::bigint[], %b::int[])
"""
_DOCUMENTS = """
INSERT INTO gateway.document AS d (kind, unit_code, document_id, content_tag, revision, batch_id,
  item_index)
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


async def write(
    tx: Transaction, prepared: Prepared, known: Known, answer: bytes, *, keys_stored: bool
) -> int | None:
    """Write a judged batch and return its id.

    None when its request id is taken: then nothing was written.

    `keys_stored`: the content keys' rows are committed already. Raises REVISION_STALE,
    UniqueViolationError: see above.
    """
    doses = known.taken.doses.values()
    # A released dose has another batch than this one.
    alone = len(prepared.items) == 1 and not known.waiting
    batch_id = await (_open_one if alone else _open)(tx, prepared, known, answer)
    if batch_id is None:
        return None
    if not keys_stored:
        for key in (prepared.key, prepared.restricted_key):
            if key is not None:
                await tx.execute(_KEY, key.row)
    if not alone:
        await tx.copy(_COPY_ITEM, _item_rows(prepared, batch_id), _ITEM_TYPES)
        if doses:
            await tx.copy(_COPY_DOSE, _dose_rows(doses, batch_id), _DOSE_TYPES)
    await _write_cards(tx, known, batch_id)
    await _write_corrections(tx, known, batch_id)
    await _write_documents(tx, prepared, known, batch_id)
    return batch_id


async def write_released(tx: Transaction, known: Known) -> None:
    """Write doses that were released outside a batch.

    Their places are those of the batches that they came in.
    """
    if known.taken.doses:
        await tx.copy(_COPY_DOSE, known.taken.doses.values(), _DOSE_TYPES)
    await _write_corrections(tx, known, HERE)


def _envelope(prepared: Prepared, answer: bytes) -> tuple[object, ...]:
    batch, desk = prepared.batch, prepared.desk
    envelope = (
        desk.organisation,
        prepared.request_id,
        prepared.digest,
        batch.unit_code,
        batch.sequence,
    )
    return (*envelope, desk.now_us, answer)


async def _open(tx: Transaction, prepared: Prepared, _known: Known, answer: bytes) -> int | None:
    row = await tx.fetch_one(_OPEN + _RETURN, _envelope(prepared, answer))
    return None if row is None else int(row[0])


async def _open_one(tx: Transaction, prepared: Prepared, known: Known, answer: bytes) -> int | None:
    statement = _OPEN + _ONE
    parameters = [*_envelope(prepared, answer), *_item(prepared.items[0], prepared)]
    for key in known.taken.doses.values():
        statement += _ONE_DOSE
        parameters += (*key[:-2], key.item_index)
    row = await tx.fetch_one(statement + _RETURN, parameters)
    return None if row is None else int(row[0])


def _item(item: Received, prepared: Prepared) -> tuple[object, ...]:
    """Return the columns of `item` but its batch; keys' ids are UUIDs."""
    row = (item.index, item.kind, item.state, prepared.key.key_id, *item.body)
    if item.restricted is None or prepared.restricted_key is None:
        return (*row, None, None, None)
    return (*row, prepared.restricted_key.key_id, *item.restricted)


def _item_rows(prepared: Prepared, batch_id: int) -> Iterable[Sequence[object]]:
    key = prepared.key.key_id.bytes
    restricted_key = (
        None if prepared.restricted_key is None else prepared.restricted_key.key_id.bytes
    )
    for item in prepared.items:
        nonce, body = item.body
        apart: tuple[bytes | None, ...] = (None, None, None)
        if item.restricted is not None:
            apart = (restricted_key, *item.restricted)
        yield (batch_id, item.index, item.kind, item.state, key, nonce, body, *apart)


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Return rows as columns, for unnest; also of no rows."""
    return [[row[column] for row in rows] for column in range(width)]


def _expect(written: int, wanted: int) -> None:
    """Refuse what another process changed between our reading and our writing."""
    if written != wanted:
        raise refuse(Reason.REVISION_STALE)


async def _write_cards(tx: Transaction, known: Known, batch_id: int) -> None:
    cards = list(known.taken.cards.values())
    if not cards:
        return
    rows = [card.child._replace(batch_id=batch_id) for card in cards]
    _expect(await tx.execute(_CARDS, _columns(rows, len(rows[0]))), len(rows))
    pairs = [(tag, card.child.child_tag) for card in cards for tag in card.identities]
    corrected = {earlier.record_key for earlier in known.taken.earlier}
    changed = [row.child_tag for row in rows if row.child_tag in corrected]
    if changed:
        await tx.execute(_FREE, (changed, [tag for tag, _ in pairs]))
    if pairs:
        _expect(await tx.execute(_IDENTITIES, _columns(pairs, 2)), len(pairs))


async def _write_corrections(tx: Transaction, known: Known, batch_id: int) -> None:
    corrections = known.taken.corrections.values()
    if corrections:
        rows = list(_dose_rows(corrections, batch_id))
        _expect(await tx.execute(_CORRECT_DOSES, _columns(rows, len(_DOSE_TYPES))), len(rows))
    earlier = known.taken.earlier
    if earlier:
        placed = [
            one if one.batch_id != HERE else one._replace(batch_id=batch_id) for one in earlier
        ]
        await tx.execute(_EARLIER, _columns(placed, len(placed[0])))


def _dose_rows(keys: Iterable[DoseKey], batch_id: int) -> Iterable[Sequence[object]]:
    """Yield the rows of doses; those of this batch get its id, released ones keep theirs."""
    return (key if key.batch_id != HERE else (*key[:-2], batch_id, key.item_index) for key in keys)


async def _write_documents(
    tx: Transaction, prepared: Prepared, known: Known, batch_id: int
) -> None:
    documents = [key._replace(batch_id=batch_id) for key in known.taken.documents.values()]
    if documents:
        _expect(
            await tx.execute(_DOCUMENTS, _columns(documents, len(documents[0]))), len(documents)
        )
    retired = [
        (tag, item.tags[0], batch_id, item.index)
        for item in prepared.items
        if item.kind == MERGE and item.state in TAKEN
        for tag in item.tags[1:]
    ]
    if retired:
        await tx.execute(_RETIRE, _columns(retired, 4))
