"""Finding leaves by closed filters, newest first, page by page.

A page is asked for by the index before which it begins, so that leaves which come in meanwhile
neither shift nor repeat anything. An organisation also finds who came through its tunnel with
another's certificate: such a leaf concerns both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.store.database import Transaction

# Times are not quite in the order of the log: each leaf's is taken before its group is committed.
# So many entries around a bound in time are looked at; after a told clock step the bound is not
# translated at all.
SLACK = 20_000
PAGE_MAX = 1_000

_PAGE = "SELECT idx, leaf FROM gateway.audit_entry"
_OF = "organisation = %s"
# As the index audit_entry_mismatch has it (0003_tunnels.sql).
_TARGETED = "reason = 'ORIGIN_MISMATCH' AND gateway.target_organisation(leaf) = %s"
# As the index audit_entry_subject has it (0041_side_parts.sql): few leaves are about one child.
_ABOUT = (
    r"position('\x227375626a6563745f746167223a'::bytea IN leaf) > 0"
    " AND gateway.subject_tag(leaf) = ANY(%s)"
)
_STEPPED = "SELECT 1 FROM gateway.audit_entry WHERE kind = 'log.clock' LIMIT 1"
_HIGHEST = """
    SELECT max(idx) FROM (
        SELECT idx FROM gateway.audit_entry WHERE time_us < %s ORDER BY time_us DESC LIMIT %s
    ) AS nearest
"""
_LOWEST = """
    SELECT min(idx) FROM (
        SELECT idx FROM gateway.audit_entry WHERE time_us >= %s ORDER BY time_us LIMIT %s
    ) AS nearest
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What to find.

    None does not filter. Times are microseconds, `from_us` inclusive, `until_us` exclusive.
    """

    from_us: int | None = None
    until_us: int | None = None
    organisation: str | None = None
    kind: str | None = None
    decision: str | None = None
    reason: str | None = None
    request_id: str | None = None
    # The tags of one child, one of each quarter (`audit.subjects`).
    subject_tags: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An entry: its index and the leaf's bytes."""

    index: int
    leaf: bytes


async def search(
    transaction: Transaction, filters: Filters, *, before: int | None = None, limit: int = 50
) -> list[Found]:
    """Return at most `limit` (1 to 1,000) entries, newest first.

    The role must be one that reads leaves; `before` is the index of the previous page's last entry.
    """
    conditions, parameters = _conditions(filters)
    for text, bound in await _bounds(transaction, filters):
        conditions.append(text)
        parameters.append(bound)
    if before is not None:
        conditions.append("idx < %s")
        parameters.append(before)
    parameters.append(max(1, min(limit, PAGE_MAX)))
    query, given = _newest(conditions), [*parameters]
    if filters.organisation is not None:
        # Each half by an index of its own; no leaf is in both, for the two organisations differ.
        swapped = [_TARGETED if one == _OF else one for one in conditions]
        query = f"({query}) UNION ALL ({_newest(swapped)}) ORDER BY idx DESC LIMIT %s"
        given = [*parameters, *parameters, parameters[-1]]
    rows = await transaction.fetch(query, given)
    return [Found(row[0], bytes(row[1])) for row in rows]


def _newest(conditions: list[str]) -> str:
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    return f"{_PAGE}{where} ORDER BY idx DESC LIMIT %s"


def _conditions(filters: Filters) -> tuple[list[str], list[object]]:
    """Return the conditions of the filters that are set, all constants, and their values."""
    possible: list[tuple[str, object]] = [
        ("time_us >= %s", filters.from_us),
        ("time_us < %s", filters.until_us),
        (_OF, filters.organisation),
        ("kind = %s", filters.kind),
        ("decision = %s", filters.decision),
        ("reason = %s", filters.reason),
        ("request_id = %s", filters.request_id),
        (_ABOUT, None if filters.subject_tags is None else [*filters.subject_tags]),
    ]
    given = [(text, value) for text, value in possible if value is not None]
    return [text for text, _ in given], [value for _, value in given]


async def _bounds(transaction: Transaction, filters: Filters) -> list[tuple[str, object]]:
    """Return bounds of the index that follow from those in time.

    They spare reading the rest of the log.
    """
    if filters.from_us is None and filters.until_us is None:
        return []
    if await transaction.fetch_one(_STEPPED) is not None:
        return []
    bounds: list[tuple[str, object]] = []
    for query, moment, text in (
        (_LOWEST, filters.from_us, "idx >= %s"),
        (_HIGHEST, filters.until_us, "idx <= %s"),
    ):
        if moment is not None:
            row = await transaction.fetch_one(query, (moment, SLACK))
            bounds.append((text, row[0] if row and row[0] is not None else -1))
    return bounds
