"""The rows of a batch itself: answer, sequence number, content keys, sealed items."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from gateway.records.keys import DoseKey
from gateway.store.database import Transaction
from gateway.store.seal import ContentKey
from gateway.uploads.received import Prepared, Received

_OPEN = """
WITH b AS (
  INSERT INTO gateway.batch
    (organisation, request_id, digest, unit_code, sequence, received_us, answer)
  VALUES (%s, %s, %b, %s, %s, %s, %b)
  ON CONFLICT (organisation, request_id) DO NOTHING RETURNING batch_id, unit_code, sequence
), s AS (
  INSERT INTO gateway.batch_sequence (unit_code, sequence) SELECT unit_code, sequence FROM b
  ON CONFLICT (unit_code)
  DO UPDATE SET sequence = greatest(batch_sequence.sequence, EXCLUDED.sequence)
)"""
_RETURN = " SELECT batch_id FROM b"
# A batch of one item in one statement: that is a round trip less for each of the three tables.
_ONE = """, i AS (
  INSERT INTO gateway.item (item_index, kind, state, key_id, nonce, body,
                            restricted_key_id, restricted_nonce, restricted_body, batch_id)
  SELECT %s::int, %s::smallint, %s::smallint, %s::uuid, %b::bytea, %b::bytea,
         %s::uuid, %b::bytea, %b::bytea, batch_id FROM b
)"""
_ONE_DOSE = """, d AS (
  INSERT INTO gateway.dose (child_tag, record_id, vaccine_code, dose_number, vaccinated_date,
                            route, site, content_tag, unit_code, series, revision, item_index,
                            batch_id)
  SELECT %b::bytea, %b::bytea, %s, %s::smallint, %s::date, %s::smallint, %s::smallint, %b::bytea,
         %s, %s, %s::bigint, %s::int, batch_id FROM b
)"""
# Several batches of one dose each. A batch is found again by its name: its id is made here.
_SINGLES = """
WITH r AS (
  SELECT * FROM unnest(%b::text[], %b::uuid[], %b::bytea[], %b::text[], %b::bigint[], %b::bigint[],
                       %b::bytea[], %b::smallint[], %b::smallint[], %b::uuid[], %b::bytea[],
                       %b::bytea[]) WITH ORDINALITY
    AS r (organisation, request_id, digest, unit_code, sequence, received_us, answer, kind, state,
          key_id, nonce, body, place)
), b AS (
  INSERT INTO gateway.batch
    (organisation, request_id, digest, unit_code, sequence, received_us, answer)
  SELECT organisation, request_id, digest, unit_code, sequence, received_us, answer
    FROM r ORDER BY place
  ON CONFLICT (organisation, request_id) DO NOTHING
  RETURNING batch_id, organisation, request_id, unit_code, sequence
), s AS (
  INSERT INTO gateway.batch_sequence (unit_code, sequence)
  SELECT unit_code, max(sequence) FROM b GROUP BY unit_code ORDER BY unit_code
  ON CONFLICT (unit_code)
  DO UPDATE SET sequence = greatest(batch_sequence.sequence, EXCLUDED.sequence)
), i AS (
  INSERT INTO gateway.item (batch_id, item_index, kind, state, key_id, nonce, body)
  SELECT batch_id, 0, kind, state, key_id, nonce, body
    FROM r JOIN b USING (organisation, request_id)
), d AS (
  INSERT INTO gateway.dose (child_tag, record_id, vaccine_code, dose_number, vaccinated_date,
                            route, site, content_tag, unit_code, series, revision, batch_id,
                            item_index)
  SELECT d.child_tag, d.record_id, d.vaccine_code, d.dose_number, d.vaccinated_date, d.route,
         d.site, d.content_tag, d.unit_code, d.series, d.revision, b.batch_id, 0
    FROM unnest(%b::bytea[], %b::bytea[], %b::text[], %b::smallint[], %b::date[], %b::smallint[],
                %b::smallint[], %b::bytea[], %b::text[], %b::text[], %b::bigint[], %b::bigint[])
      AS d (child_tag, record_id, vaccine_code, dose_number, vaccinated_date, route, site,
            content_tag, unit_code, series, revision, place)
    JOIN r USING (place) JOIN b USING (organisation, request_id)
)
SELECT organisation, request_id, batch_id FROM b
"""
_KEY = """
INSERT INTO gateway.content_key (key_id, recipient, wrapped, organisation, created_us)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT (key_id) DO NOTHING
"""
_COPY_ITEMS = """
COPY gateway.item (batch_id, item_index, kind, state, key_id, nonce, body,
                   restricted_key_id, restricted_nonce, restricted_body)
FROM STDIN (FORMAT BINARY)
"""
# COPY sends a UUID as its 16 bytes, which is what bytea sends too.
_ITEM_TYPES = ("int8", "int4", "int2", "int2", *("bytea",) * 6)
_NOTHING = (None, None, None)
# What the sender calls a batch: organisation and request id.
Name = tuple[str, UUID]


async def open_batch(tx: Transaction, prepared: Prepared, answer: bytes) -> int | None:
    """Write the batch's row and sequence; return its id, or None when its request id is taken."""
    row = await tx.fetch_one(_OPEN + _RETURN, _envelope(prepared, answer))
    return None if row is None else int(row[0])


async def open_single(
    tx: Transaction, prepared: Prepared, doses: Iterable[DoseKey], answer: bytes
) -> int | None:
    """Do the same for a batch of one item, whose item and dose (if it is one) are written too."""
    statement = _OPEN + _ONE
    parameters = [*_envelope(prepared, answer), *_single_item(prepared.items[0], prepared)]
    for key in doses:
        statement += _ONE_DOSE
        parameters += (*key[:-2], key.item_index)
    row = await tx.fetch_one(statement + _RETURN, parameters)
    return None if row is None else int(row[0])


async def open_singles(
    tx: Transaction, batches: Sequence[Prepared], answers: Sequence[bytes], doses: Sequence[DoseKey]
) -> Mapping[Name, int]:
    """Do the same for several batches of one dose; return the ids of those that were not taken.

    `doses` are those that are stored: each belongs to the batch that came with its record id.
    """
    rows = [
        (*_envelope(prepared, answer), *_single_item(prepared.items[0], prepared)[1:6])
        for prepared, answer in zip(batches, answers, strict=True)
    ]
    places = {prepared.items[0].record_key: place for place, prepared in enumerate(batches, 1)}
    placed = [(*key[:-2], places[key.record_id]) for key in doses]
    parameters = [*columns(rows, 12), *columns(placed, 12)]
    return {(row[0], row[1]): row[2] for row in await tx.fetch(_SINGLES, parameters)}


async def write_keys(tx: Transaction, keys: Iterable[ContentKey]) -> None:
    """Write wrapped content keys that bodies are sealed with."""
    for key in keys:
        await tx.execute(_KEY, key.row)


async def write_items(tx: Transaction, prepared: Prepared, batch_id: int) -> None:
    """Write the sealed items of a batch of several."""
    await tx.copy(_COPY_ITEMS, _item_rows(prepared, batch_id), _ITEM_TYPES)


def _envelope(prepared: Prepared, answer: bytes) -> tuple[object, ...]:
    batch, desk = prepared.batch, prepared.desk
    named = (desk.organisation, prepared.request_id, prepared.digest)
    return (*named, batch.unit_code, batch.sequence, desk.now_us, answer)


def _single_item(item: Received, prepared: Prepared) -> tuple[object, ...]:
    row = (item.index, item.kind, item.state, prepared.key.key_id, *item.body)
    if item.restricted is None or prepared.restricted_key is None:
        return (*row, *_NOTHING)
    return (*row, prepared.restricted_key.key_id, *item.restricted)


def _item_rows(prepared: Prepared, batch_id: int) -> Iterable[Sequence[object]]:
    key_id = prepared.key.key_id.bytes
    restricted_key = prepared.restricted_key
    for item in prepared.items:
        nonce, body = item.body
        apart: tuple[object, ...] = _NOTHING
        if item.restricted is not None and restricted_key is not None:
            apart = (restricted_key.key_id.bytes, *item.restricted)
        yield (batch_id, item.index, item.kind, item.state, key_id, nonce, body, *apart)


def columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Return rows as columns, for unnest."""
    return [[row[column] for row in rows] for column in range(width)]
