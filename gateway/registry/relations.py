"""Relations between organisations beside the tree, such as a delegated duty to upload."""

from dataclasses import dataclass

from gateway.registry import organisations
from gateway.registry.fields import Wrong
from gateway.store.database import Transaction

# `organisation` uploads records for the units of `relative` (a delegated duty).
UPLOADS_FOR = "uploads_for"
# `organisation` comes in by the tunnel of `relative` (a county's system in its city's tunnel).
USES_TUNNEL_OF = "uses_tunnel_of"
KINDS = (UPLOADS_FOR, USES_TUNNEL_OF)
_INSERT = (
    "INSERT INTO gateway.relation (organisation, relative, kind)"
    " VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
)
_DELETE = "DELETE FROM gateway.relation WHERE organisation = %s AND relative = %s AND kind = %s"


@dataclass(frozen=True, slots=True)
class Relation:
    """`organisation` stands to `relative` in a relation of this kind."""

    organisation: str
    relative: str
    kind: str


async def create(tx: Transaction, wanted: Relation) -> bool:
    """Register a relation; return whether it is new. Raises FIELD_INVALID with violations."""
    wrong = Wrong()
    wrong.unless(wanted.kind in KINDS, "kind", "relation-kind")
    wrong.unless(
        await organisations.read(tx, wanted.organisation),
        "organisation_code",
        "organisation-unknown",
    )
    wrong.unless(
        await organisations.read(tx, wanted.relative), "relative_code", "organisation-unknown"
    )
    wrong.unless(wanted.organisation != wanted.relative, "relative_code", "relation-self")
    wrong.refuse_if_any()
    return await tx.execute(_INSERT, (wanted.organisation, wanted.relative, wanted.kind)) > 0


async def remove(tx: Transaction, relation: Relation) -> bool:
    """End a relation; return whether there was one."""
    return await tx.execute(_DELETE, (relation.organisation, relation.relative, relation.kind)) > 0
