"""Systems and officers of an organisation: the bearers of certificates."""

from dataclasses import dataclass, replace

from gateway.errors import Reason, refuse
from gateway.names import SUBJECT_NAME, SubjectKind
from gateway.registry import organisations
from gateway.registry.fields import Wrong
from gateway.store.database import Transaction

ACTIVE = 1
SUSPENDED = 2
_READ = (
    "SELECT organisation, kind, name, state FROM gateway.system"
    " WHERE organisation = %s AND kind = %s AND name = %s"
)
_INSERT = (
    "INSERT INTO gateway.system (organisation, kind, name, state, created_us)"
    " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (organisation, kind, name) DO NOTHING"
)
_SET_STATE = (
    "UPDATE gateway.system SET state = %s"
    " WHERE organisation = %s AND kind = %s AND name = %s AND state <> %s"
)


@dataclass(frozen=True, slots=True)
class System:
    """A system ("sys") or a person ("officer") of an organisation.

    State 1 active or 2 suspended.
    """

    organisation: str
    kind: SubjectKind
    name: str
    state: int = ACTIVE

    @property
    def active(self) -> bool:
        """Whether its certificates are let in."""
        return self.state == ACTIVE


async def read(tx: Transaction, organisation: str, kind: SubjectKind, name: str) -> System | None:
    """Return the system, or None."""
    row = await tx.fetch_one(_READ, (organisation, kind, name))
    return None if row is None else System(*row)


async def create(tx: Transaction, wanted: System, now_us: int) -> System:
    """Register a system, as active.

    The same one again changes nothing and is returned as it is (suspended stays so). Raises
    FIELD_INVALID with violations.
    """
    wrong = Wrong()
    wrong.unless(SUBJECT_NAME.fullmatch(wanted.name), "system_name", "system-name")
    known = await organisations.read(tx, wanted.organisation)
    wrong.unless(known, "organisation_code", "organisation-unknown")
    wrong.refuse_if_any()
    row = (wanted.organisation, wanted.kind, wanted.name, ACTIVE, now_us)
    if await tx.execute(_INSERT, row):
        return replace(wanted, state=ACTIVE)
    # The conflict says that there is one, and rows are never deleted.
    return await read(tx, wanted.organisation, wanted.kind, wanted.name) or wanted


async def set_state(tx: Transaction, wanted: System) -> tuple[System, bool]:
    """Suspend a system or let it in again, as `wanted.state` says.

    Return it and whether that changed anything. Raises NOT_FOUND, FIELD_INVALID.
    """
    wrong = Wrong()
    wrong.unless(wanted.state in (ACTIVE, SUSPENDED), "state", "state-unknown")
    wrong.refuse_if_any()
    key = (wanted.organisation, wanted.kind, wanted.name)
    if await read(tx, *key) is None:
        raise refuse(Reason.NOT_FOUND)
    changed = await tx.execute(_SET_STATE, (wanted.state, *key, wanted.state))
    return wanted, changed > 0
