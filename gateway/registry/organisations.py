"""Organisations: the province, its cities and counties, and others that take part.

They form one tree.
"""

from collections.abc import Container
from dataclasses import dataclass, replace
from enum import IntEnum

from gateway.errors import Reason, refuse
from gateway.names import ORGANISATION_CODE
from gateway.registry.fields import Wrong, is_division, is_name
from gateway.store.database import Transaction

ACTIVE = 1
SUSPENDED = 2
_READ = "SELECT code, name, kind, parent, state FROM gateway.organisation WHERE code = %s"
_PROVINCE = "SELECT code FROM gateway.organisation WHERE kind = %s"
_INSERT = (
    "INSERT INTO gateway.organisation (code, name, kind, parent, state, created_us)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (code) DO NOTHING"
)
_SET_STATE = "UPDATE gateway.organisation SET state = %s WHERE code = %s AND state <> %s"


class Kind(IntEnum):
    """What an organisation is; the numbers of Organisation.Kind in the contract."""

    PROVINCE = 1
    CITY = 2
    COUNTY = 3
    OTHER = 4


_KINDS = frozenset(map(int, Kind))
# Whom an organisation of this kind may stand directly below. A county may stand directly below the
# province (as a county-level city that the province itself administers does).
_PARENTS = {
    Kind.PROVINCE: frozenset[Kind](),
    Kind.CITY: frozenset({Kind.PROVINCE}),
    Kind.COUNTY: frozenset({Kind.PROVINCE, Kind.CITY}),
    Kind.OTHER: frozenset(Kind),
}


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation: 6-12 digits, name, kind, the one above it or None, state 1 or 2."""

    code: str
    name: str
    kind: int
    parent: str | None
    state: int = ACTIVE

    @property
    def active(self) -> bool:
        """Whether it may come in."""
        return self.state == ACTIVE


async def read(tx: Transaction, code: str) -> Organisation | None:
    """Return the organisation, or None."""
    row = await tx.fetch_one(_READ, (code,))
    return None if row is None else Organisation(*row)


async def create(
    tx: Transaction, wanted: Organisation, divisions: Container[str], now_us: int
) -> Organisation:
    """Register an organisation, always as active, and return it.

    The same one again changes nothing. `divisions` are the known six-digit codes. Raises
    FIELD_INVALID with violations; ALREADY_EXISTS when the code is taken by an organisation with
    another name, kind or parent.
    """
    wanted = replace(wanted, state=ACTIVE)
    await _check(tx, wanted, divisions)
    row = (wanted.code, wanted.name, wanted.kind, wanted.parent, wanted.state, now_us)
    if await tx.execute(_INSERT, row):
        return wanted
    found = await read(tx, wanted.code)
    if found is None or replace(found, state=ACTIVE) != wanted:
        raise refuse(Reason.ALREADY_EXISTS)
    return found


async def set_state(tx: Transaction, code: str, state: int) -> tuple[Organisation, bool]:
    """Suspend an organisation (2) or let it in again (1).

    Return it and whether that changed anything. The province itself cannot be suspended: nobody
    could let it in again. Raises NOT_FOUND, FIELD_INVALID.
    """
    found = await read(tx, code)
    if found is None:
        raise refuse(Reason.NOT_FOUND)
    wrong = Wrong()
    wrong.unless(state in (ACTIVE, SUSPENDED), "state", "state-unknown")
    wrong.unless(found.kind != Kind.PROVINCE or state == ACTIVE, "state", "province-stays")
    wrong.refuse_if_any()
    changed = await tx.execute(_SET_STATE, (state, code, state))
    return replace(found, state=state), changed > 0


async def _check(tx: Transaction, wanted: Organisation, divisions: Container[str]) -> None:
    wrong = Wrong()
    if ORGANISATION_CODE.fullmatch(wanted.code) is None:
        wrong.add("organisation.organisation_code", "organisation-code")
    elif not is_division(wanted.code, divisions):
        wrong.add("organisation.organisation_code", "division-unknown")
    wrong.unless(is_name(wanted.name), "organisation.name", "name")
    if wanted.kind not in _KINDS:
        wrong.add("organisation.kind", "organisation-kind")
    elif wanted.kind == Kind.PROVINCE:
        wrong.unless(
            wanted.parent is None, "organisation.parent_organisation_code", "parent-surplus"
        )
        others = await tx.fetch(_PROVINCE, (int(Kind.PROVINCE),))
        wrong.unless(
            all(code == wanted.code for (code,) in others), "organisation.kind", "province-once"
        )
    else:
        await _check_parent(tx, wanted, wrong)
    wrong.refuse_if_any()


async def _check_parent(tx: Transaction, wanted: Organisation, wrong: Wrong) -> None:
    parent = None if wanted.parent is None else await read(tx, wanted.parent)
    if parent is None or parent.code == wanted.code:
        wrong.add("organisation.parent_organisation_code", "parent-unknown")
        return
    fits = parent.kind in _PARENTS[Kind(wanted.kind)]
    wrong.unless(fits, "organisation.parent_organisation_code", "parent-kind")
