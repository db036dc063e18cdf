"""What was not taken.

Kept and listed without its content, judged again when its child comes, rejected when its time is
over.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.clock import US_PER_S
from gateway.records.tables import Tables
from gateway.store.database import Transaction
from gateway.uploads.answer import finding_message
from gateway.uploads.held import WAITS, Waiting, columns_json, findings_json, findings_of
from gateway.uploads.judgement import TAKEN
from gateway.uploads.known import Known
from gateway.uploads.received import KIND_NAMES, Prepared, Received
from gateway.v1.upload_service_pb2 import (
    ITEM_STATE_DUPLICATE,
    ITEM_STATE_QUARANTINED,
    ITEM_STATE_REJECTED,
    QuarantinedItem,
)

_US_PER_HOUR = 3600 * US_PER_S
_HELD = frozenset({ITEM_STATE_QUARANTINED, ITEM_STATE_REJECTED})
_SETTLED = TAKEN | {ITEM_STATE_DUPLICATE}
_HOLD = """
INSERT INTO gateway.held (batch_id, item_index, organisation, unit_code, kind, state, record_id,
  findings, record_key, child_tag,
                          key_columns, deadline_us)
SELECT %s, r.i, %s, %s, r.k, r.s, r.r, r.f, r.y, r.c, r.j, r.d
FROM unnest(%b::int[], %b::smallint[], %b::smallint[], %s::text[], %s::text[]::jsonb[],
  %b::bytea[], %b::bytea[],
            %s::text[]::jsonb[], %b::bigint[]) AS r (i, k, s, r, f, y, c, j, d)
"""
_RELEASE = """
UPDATE gateway.held AS h SET state = r.s, findings = r.f, deadline_us = NULL, settled_us = r.t
FROM unnest(%b::bigint[], %b::int[], %b::smallint[], %s::text[]::jsonb[], %b::bigint[]) AS r (b,
  i, s, f, t)
WHERE h.batch_id = r.b AND h.item_index = r.i AND h.deadline_us IS NOT NULL
"""
_SETTLE = """
UPDATE gateway.held AS h SET settled_us = %s, deadline_us = NULL FROM unnest(%b::bigint[],
  %b::int[]) AS r (b, i)
WHERE h.batch_id = r.b AND h.item_index = r.i AND h.settled_us IS NULL
"""
_PAGE = """
SELECT b.request_id, h.item_index, h.record_id, h.kind, h.unit_code, h.state, h.findings,
  b.received_us, h.deadline_us, h.batch_id
FROM gateway.held AS h JOIN gateway.batch AS b USING (batch_id)
WHERE h.organisation = %s AND (h.batch_id, h.item_index) > (%s,
  %s) AND h.settled_us IS NULL AND (%s = '' OR h.unit_code = %s)
ORDER BY h.batch_id, h.item_index LIMIT %s
"""


async def hold(tx: Transaction, prepared: Prepared, batch_id: int) -> None:
    """Keep what was quarantined or rejected of a batch.

    Its findings, and the key columns of doses that wait.
    """
    rows = [_held_row(item, prepared) for item in prepared.items if item.state in _HELD]
    if rows:
        columns = [[row[column] for row in rows] for column in range(len(rows[0]))]
        where = (batch_id, prepared.desk.organisation, prepared.batch.unit_code)
        await tx.execute(_HOLD, (*where, *columns))


def _held_row(item: Received, prepared: Prepared) -> tuple[object, ...]:
    deadline_us = columns = None
    waits = any(finding.rule_id == WAITS for finding in item.findings)
    if item.dose is not None and waits and item.state == ITEM_STATE_QUARANTINED:
        hours = prepared.desk.tables.thresholds.child_waits_hours
        deadline_us = prepared.desk.now_us + hours * _US_PER_HOUR
        columns = json.dumps(columns_json(item.dose, has_reason=item.has_reason))
    findings = json.dumps(findings_json(item.findings))
    return (
        item.index,
        item.kind,
        item.state,
        item.record_id,
        findings,
        item.record_key,
        item.child_tag,
        columns,
        deadline_us,
    )


async def release(tx: Transaction, waiting: Iterable[Waiting], now_us: int) -> int:
    """Write what became of waiting doses that were judged again; return how many were taken."""
    judged = [one for one in waiting if one.state]
    if not judged:
        return 0
    rows = [
        (
            one.dose.batch_id,
            one.dose.item_index,
            one.state,
            json.dumps(findings_json(one.findings)),
            now_us if one.state in _SETTLED else None,
        )
        for one in judged
    ]
    await tx.execute(_RELEASE, [[row[column] for row in rows] for column in range(len(rows[0]))])
    return sum(one.state in TAKEN for one in judged)


async def settle(tx: Transaction, prepared: Prepared, known: Known) -> None:
    """Take held items off the list whose record was now taken, or was stored already."""
    places = [
        place
        for item in prepared.items
        if item.state in _SETTLED and item.record_key is not None
        for place in known.held.get(item.record_key, ())
    ]
    if places:
        await tx.execute(
            _SETTLE,
            (prepared.desk.now_us, [batch for batch, _ in places], [index for _, index in places]),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the next begins behind it."""

    batch_id: int
    item_index: int


START = Place(0, -1)


async def page(
    tx: Transaction, tables: Tables, organisation: str, unit_code: str, after: Place, size: int
) -> list[tuple[QuarantinedItem, Place]]:
    """Return up to `size` open items of an organisation, of one unit or.

    "") of all, oldest first.
    """
    rows = await tx.fetch(
        _PAGE, (organisation, after.batch_id, after.item_index, unit_code, unit_code, size)
    )
    return [(_listed(row, tables), Place(row[9], row[1])) for row in rows]


def _listed(row: Sequence[Any], tables: Tables) -> QuarantinedItem:  # Any: columns of _PAGE
    item = QuarantinedItem(
        request_id=str(row[0]),
        index=row[1],
        record_id=row[2],
        kind=KIND_NAMES[row[3]],
        unit_code=row[4],
        state=row[5],
        findings=[
            finding_message(finding.rule_id, finding.path, tables)
            for finding in findings_of(row[6])
        ],
    )
    item.received_time.FromMicroseconds(row[7])
    if row[8] is not None:
        item.deadline_time.FromMicroseconds(row[8])
    return item
