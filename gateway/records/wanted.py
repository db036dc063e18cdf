"""Which records are wanted, as a value and as SQL over the key columns; nothing here reads a body.

Every filter narrows. One that a dataset has no key for is refused, never left out, and no list of
places means no rows: an empty `divisions` is an error, not everywhere.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.v1.upload_service_pb2 import Item

# The record's name in Item, and its number there: the kind of a stored document.
FIELDS: Mapping[str, str] = {
    "children": "child",
    "vaccinations": "vaccination",
    "stock": "stock_movement",
    "adverse_events": "aefi_report",
}
ORDER_KEY_BYTES = 32
# What each dataset can be narrowed by, besides divisions and units.
_FILTERS: Mapping[str, frozenset[str]] = {
    "children": frozenset({"born"}),
    "vaccinations": frozenset({"born", "happened", "vaccine_codes"}),
    "stock": frozenset({"happened", "vaccine_codes"}),
    "adverse_events": frozenset({"happened", "vaccine_codes"}),
}
_DIVISION = re.compile(r"[0-9]{6}", re.ASCII)
# GB/T 2260: a province and a city end in zeros for what is not said.
_LEVELS = ("0000", "00")

# A card that was kept may be retired in favour of another later: each tag to the last one.
KEPT = """
WITH RECURSIVE line AS (
  SELECT child_tag, kept_tag FROM gateway.retired_child
  UNION
  SELECT line.child_tag, next.kept_tag
    FROM line JOIN gateway.retired_child AS next ON next.child_tag = line.kept_tag
), kept AS (
  SELECT child_tag, kept_tag FROM line
   WHERE NOT EXISTS (SELECT FROM gateway.retired_child AS r WHERE r.child_tag = line.kept_tag)
)"""
_CHILDREN = """
  FROM gateway.child AS r LEFT JOIN kept ON kept.child_tag = r.child_tag"""
_DOSES = """
  FROM gateway.dose AS r LEFT JOIN kept ON kept.child_tag = r.child_tag"""
_DOCUMENTS = """
  FROM gateway.document AS r"""
_CARD = " JOIN gateway.child AS card ON card.child_tag = coalesce(kept.kept_tag, r.child_tag)"
_BODY = """
  JOIN gateway.batch AS b ON b.batch_id = r.batch_id
  JOIN gateway.item AS i ON i.batch_id = r.batch_id AND i.item_index = r.item_index"""
_COLUMNS = """
SELECT b.request_id, i.item_index, i.key_id, i.nonce, i.body, {child}, {record}"""
_CHILD_TAG = "coalesce(kept.kept_tag, r.child_tag)"
# What tells a record apart within its dataset: also what the keyed order is made of.
_RECORDS: Mapping[str, str] = {
    "children": "r.child_tag",
    "vaccinations": "r.record_id || convert_to(r.unit_code, 'UTF8')",
    "stock": "convert_to(r.unit_code || '|' || r.document_id, 'UTF8')",
    "adverse_events": "convert_to(r.unit_code || '|' || r.document_id, 'UTF8')",
}
_SOURCES: Mapping[str, tuple[str, str]] = {
    "children": (_CHILDREN, _CHILD_TAG),
    "vaccinations": (_DOSES, _CHILD_TAG),
    "stock": (_DOCUMENTS, "''::bytea"),
    "adverse_events": (_DOCUMENTS, "''::bytea"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted. Days are inclusive, None is open; an empty list of codes or units is all.

    `divisions` are six digits each: a county, a city (its counties) or a province; `order_key` 32
    random or derived bytes. Raises ValueError, naming what is wrong.
    """

    dataset: str
    divisions: tuple[str, ...]
    order_key: bytes
    born_from: date | None = None
    born_until: date | None = None
    happened_from: date | None = None
    happened_until: date | None = None
    vaccine_codes: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would widen."""
        if not self.divisions or not all(map(_DIVISION.fullmatch, self.divisions)):
            raise ValueError("divisions")
        if len(self.order_key) != ORDER_KEY_BYTES:
            raise ValueError("order_key")
        asked = {
            "born": (self.born_from, self.born_until) != (None, None),
            "happened": (self.happened_from, self.happened_until) != (None, None),
            "vaccine_codes": self.vaccine_codes != (),
        }
        for name, is_asked in asked.items():
            if is_asked and name not in _FILTERS[self.dataset]:
                raise ValueError(name)


def select(wanted: Wanted) -> tuple[str, Sequence[object]]:
    """Return the query of what is wanted, in its keyed order, and its parameters.

    Its columns: request id, item index, content key id, nonce, body, child tag, record key.
    """
    source, child = _SOURCES[wanted.dataset]
    record = _RECORDS[wanted.dataset]
    joins, conditions, parameters = _narrowed(wanted)
    columns = _COLUMNS.format(child=child, record=record)
    statement = (
        f"{KEPT}{columns}{source}{joins}{_BODY}\n WHERE {conditions}"
        f"\n ORDER BY sha256(%b::bytea || {record})"
    )
    return statement, [*parameters, wanted.order_key]


def count(wanted: Wanted) -> tuple[str, Sequence[object]]:
    """Return the query of how many rows and distinct children there are, of cards and doses."""
    source, child = _SOURCES[wanted.dataset]
    joins, conditions, parameters = _narrowed(wanted)
    columns = f"\nSELECT count(*), count(DISTINCT {child})"
    return f"{KEPT}{columns}{source}{joins}\n WHERE {conditions}", parameters


def _narrowed(wanted: Wanted) -> tuple[str, str, list[object]]:
    """Return the joins, the conditions and their parameters."""
    joins, conditions = "", ["r.unit_code LIKE ANY(%b::text[])"]
    parameters: list[object] = [[_prefix(one) for one in wanted.divisions]]
    born = "r.birth_date"
    if wanted.dataset == "children":
        # A retired card is not a child: the kept one is.
        conditions.append("kept.kept_tag IS NULL")
    elif wanted.dataset == "vaccinations":
        born = "card.birth_date"
        if (wanted.born_from, wanted.born_until) != (None, None):
            joins = _CARD
        if wanted.vaccine_codes:
            conditions.append("r.vaccine_code = ANY(%b::text[])")
            parameters.append(list(wanted.vaccine_codes))
    else:
        conditions.append("r.kind = %s::smallint")
        parameters.append(Item.DESCRIPTOR.fields_by_name[FIELDS[wanted.dataset]].number)
    days = [(born, wanted.born_from, wanted.born_until)]
    if wanted.dataset == "vaccinations":
        days.append(("r.vaccinated_date", wanted.happened_from, wanted.happened_until))
    for column, first, last in days:
        for sign, day in ((">=", first), ("<=", last)):
            if day is not None:
                conditions.append(f"{column} {sign} %s::date")
                parameters.append(day)
    if wanted.units:
        conditions.append("r.unit_code = ANY(%b::text[])")
        parameters.append(list(wanted.units))
    return joins, " AND ".join(conditions), parameters


def _prefix(division: str) -> str:
    """Return the pattern of the unit codes of a division (county, city or province)."""
    for zeros in _LEVELS:
        if division.endswith(zeros):
            return f"{division.removesuffix(zeros)}%"
    return f"{division}%"
