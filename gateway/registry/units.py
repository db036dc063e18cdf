"""Vaccination units and disease control centres, and which organisation runs them."""

import re
from collections.abc import Container, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import date
from enum import IntEnum

from gateway.names import UNIT_CODE
from gateway.registry.fields import Wrong, is_division, is_name
from gateway.store.database import Transaction

_DIVISION_DIGITS = 6
# The contract's limit of one RegisterUnits.
MOST_UNITS = 1000
# GB 32100-2015, 4.1: registration department, category, division, body of nine, check character; no
# I, O, S, V, Z.
_CREDIT_CODE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}", re.ASCII)
_CREDIT_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_COLUMNS = (
    "unit_code, organisation, parent, division, level, name, credit_code, active_from, active_until"
)
# All rows in one statement: a parent may come in the same call, in any order (foreign keys are
# checked at its end).
_UPSERT = f"""
INSERT INTO gateway.unit AS old ({_COLUMNS})
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::smallint[], %s::text[],
                     %s::text[], %s::date[], %s::date[])
ON CONFLICT (unit_code) DO UPDATE SET
    organisation = excluded.organisation, parent = excluded.parent, division = excluded.division,
    level = excluded.level, name = excluded.name, credit_code = excluded.credit_code,
    active_from = excluded.active_from, active_until = excluded.active_until
WHERE (old.organisation, old.parent, old.division, old.level, old.name, old.credit_code,
       old.active_from, old.active_until)
   IS DISTINCT FROM
      (excluded.organisation, excluded.parent, excluded.division, excluded.level, excluded.name,
       excluded.credit_code, excluded.active_from, excluded.active_until)
RETURNING old.unit_code
"""  # noqa: S608  the columns' names, no value
_PARENTS = "SELECT unit_code, parent FROM gateway.unit WHERE unit_code = ANY(%s)"
_ORGANISATIONS = "SELECT code FROM gateway.organisation WHERE code = ANY(%s)"


class Level(IntEnum):
    """What a unit is; the numbers of Unit.Level in the contract."""

    PROVINCE_CDC = 1
    CITY_CDC = 2
    COUNTY_CDC = 3
    VACCINATION_UNIT = 4
    MATERNITY = 5
    RABIES_CLINIC = 6


_LEVELS = frozenset(map(int, Level))


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: ten digits (county and serial), who runs it, its parent unit, place and days.

    `division` is six digits; `active_until` None means open.
    """

    unit_code: str
    organisation: str
    parent: str | None
    division: str
    level: int
    name: str
    credit_code: str | None
    active_from: date
    active_until: date | None

    def active_on(self, day: date) -> bool:
        """Tell whether the unit's designation holds on a day."""
        return self.active_from <= day and (self.active_until is None or day <= self.active_until)


async def register(
    tx: Transaction, wanted: Sequence[Unit], divisions: Container[str]
) -> tuple[str, ...]:
    """Register units or change them; return the codes of those that were new or changed, sorted.

    The same again: none. All or nothing. `divisions` are the known six-digit codes. Raises
    FIELD_INVALID with violations (at most 50).
    """
    wrong = Wrong()
    wrong.unless(0 < len(wanted) <= MOST_UNITS, "units", "units-count")
    wrong.refuse_if_any()
    wanted = [
        replace(unit, parent=unit.parent or None, credit_code=unit.credit_code or None)
        for unit in wanted
    ]
    known = await tx.fetch(_ORGANISATIONS, (list({unit.organisation for unit in wanted}),))
    organisations = {code for (code,) in known}
    for index, unit in enumerate(wanted):
        _check(unit, f"units[{index}].", divisions, organisations, wrong)
    codes = [unit.unit_code for unit in wanted]
    wrong.unless(len(set(codes)) == len(codes), "units", "unit-twice")
    wrong.refuse_if_any()
    await _check_parents(tx, wanted)
    columns = [list(column) for column in zip(*(astuple(unit) for unit in wanted), strict=True)]
    return tuple(sorted(code for (code,) in await tx.fetch(_UPSERT, columns)))


def is_credit_code(code: str) -> bool:
    """Tell whether a unified social credit code is right (GB 32100-2015, 4.2: check character)."""
    if _CREDIT_CODE.fullmatch(code) is None:
        return False
    total = sum(
        _CREDIT_CHARACTERS.index(one) * pow(3, place, 31) for place, one in enumerate(code[:17])
    )
    return _CREDIT_CHARACTERS[-total % 31] == code[17]


def _check(
    unit: Unit, path: str, divisions: Container[str], organisations: Container[str], wrong: Wrong
) -> None:
    wrong.unless(UNIT_CODE.fullmatch(unit.unit_code), path + "unit_code", "unit-code")
    if is_division(unit.division, divisions) and len(unit.division) == _DIVISION_DIGITS:
        wrong.unless(
            unit.unit_code.startswith(unit.division), path + "division_code", "unit-division"
        )
    else:
        wrong.add(path + "division_code", "division-unknown")
    wrong.unless(is_name(unit.name), path + "name", "name")
    wrong.unless(unit.level in _LEVELS, path + "level", "unit-level")
    wrong.unless(
        unit.organisation in organisations, path + "organisation_code", "organisation-unknown"
    )
    in_order = unit.active_until is None or unit.active_from <= unit.active_until
    wrong.unless(in_order, path + "active_until_date", "unit-days")
    credit_code_fits = unit.credit_code is None or is_credit_code(unit.credit_code)
    wrong.unless(credit_code_fits, path + "credit_code", "credit-code")


async def _check_parents(tx: Transaction, wanted: Sequence[Unit]) -> None:
    """Refuse a parent that does not exist, and a circle.

    Climbs level by level: the tree is a few levels deep.
    """
    parents = {unit.unit_code: unit.parent for unit in wanted}
    seen: set[str] = set()
    while (
        missing := {parent for parent in parents.values() if parent is not None}
        - parents.keys()
        - seen
    ):
        seen |= missing
        parents.update(dict(await tx.fetch(_PARENTS, (list(missing),))))
    wrong = Wrong()
    for index, unit in enumerate(wanted):
        if unit.parent is not None and unit.parent not in parents:
            wrong.add(f"units[{index}].parent_unit_code", "parent-unknown")
        elif _in_circle(unit.unit_code, parents):
            wrong.add(f"units[{index}].parent_unit_code", "parent-circle")
    wrong.refuse_if_any()


def _in_circle(code: str, parents: dict[str, str | None]) -> bool:
    passed: set[str] = set()
    at: str | None = code
    while at is not None:
        if at in passed:
            return True
        passed.add(at)
        at = parents.get(at)
    return False
