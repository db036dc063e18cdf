"""The whole register as one frozen value, read once per registry epoch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.names import SubjectKind
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.relations import UPLOADS_FOR, USES_TUNNEL_OF, Relation
from gateway.registry.systems import System
from gateway.registry.units import Unit
from gateway.store.database import Transaction

# One row per object; the register of a province is some 200 organisations and 3,000 units.
_ORGANISATIONS = "SELECT code, name, kind, parent, state FROM gateway.organisation ORDER BY code"
_SYSTEMS = (
    "SELECT organisation, kind, name, state FROM gateway.system ORDER BY organisation, kind, name"
)
_UNITS = (
    "SELECT unit_code, organisation, parent, division, level, name, credit_code, active_from,"
    " active_until FROM gateway.unit ORDER BY unit_code"
)
_RELATIONS = (
    "SELECT organisation, relative, kind FROM gateway.relation"
    " ORDER BY organisation, relative, kind"
)


@dataclass(frozen=True, slots=True)
class Registry:
    """What is registered; made by `of` or `load`.

    Mappings are read-only; an unknown code is answered as "nothing". `provinces` are the codes of
    what is registered as the province: one, or somebody wrote rows.
    """

    organisations: Mapping[str, Organisation]
    systems: Mapping[tuple[str, SubjectKind, str], System]
    units: Mapping[str, Unit]
    relations: frozenset[Relation]
    provinces: frozenset[str]
    _chains: Mapping[str, tuple[str, ...]]
    _units_below: Mapping[str, tuple[Unit, ...]]
    _delegates: Mapping[str, frozenset[str]]

    @property
    def province(self) -> str:
        """The code of the province's organisation, "" where there is none."""
        return min(self.provinces, default="")

    @classmethod
    def of(
        cls,
        organisations: Iterable[Organisation],
        systems: Iterable[System] = (),
        units: Iterable[Unit] = (),
        relations: Iterable[Relation] = (),
    ) -> "Registry":
        """Return the snapshot of these rows, with all chains and lists worked out."""
        by_code = {one.code: one for one in organisations}
        unit_by_code = {one.unit_code: one for one in units}
        chains = {code: _climb(code, by_code) for code in by_code}
        related = frozenset(relations)
        return cls(
            MappingProxyType(by_code),
            MappingProxyType({(one.organisation, one.kind, one.name): one for one in systems}),
            MappingProxyType(unit_by_code),
            related,
            frozenset(one.code for one in by_code.values() if one.kind == Kind.PROVINCE),
            MappingProxyType(chains),
            MappingProxyType(_units_below(unit_by_code.values(), chains)),
            MappingProxyType(_delegates(related)),
        )

    def organisation(self, code: str) -> Organisation | None:
        """Return the organisation, or None."""
        return self.organisations.get(code)

    def organisation_active(self, code: str) -> bool:
        """Tell whether the organisation is registered and not suspended."""
        found = self.organisations.get(code)
        return found is not None and found.active

    def system_active(self, organisation: str, kind: SubjectKind, name: str) -> bool:
        """Tell whether the bearer of a certificate is registered and not suspended."""
        found = self.systems.get((organisation, kind, name))
        return found is not None and found.active

    def unit(self, code: str) -> Unit | None:
        """Return the unit, or None."""
        return self.units.get(code)

    def chain(self, code: str) -> tuple[str, ...]:
        """Return the organisation and those above it, nearest first.

        Empty when it is not registered.
        """
        return self._chains.get(code, ())

    def is_at_or_below(self, organisation: str, top: str) -> bool:
        """Tell whether an organisation is `top` or stands below it."""
        return top in self.chain(organisation)

    def is_within(self, unit_code: str, organisation: str) -> bool:
        """Tell whether a unit belongs to the organisation or to one below it."""
        unit = self.units.get(unit_code)
        return unit is not None and organisation in self.chain(unit.organisation)

    def units_of(self, organisation: str) -> tuple[Unit, ...]:
        """Return the units of the organisation and of those below it, by code."""
        return self._units_below.get(organisation, ())

    def uploaders_for(self, organisation: str) -> frozenset[str]:
        """Return the organisations that upload for this one by a registered relation."""
        return self._delegates.get(organisation, frozenset())

    def may_use_tunnel(self, organisation: str, owner: str) -> bool:
        """Return whether an organisation may come in by this owner's tunnel.

        Its own, or one that a registered relation lets it use.
        """
        return (
            organisation == owner or Relation(organisation, owner, USES_TUNNEL_OF) in self.relations
        )


def _climb(code: str, organisations: Mapping[str, Organisation]) -> tuple[str, ...]:
    chain: list[str] = []
    at: str | None = code
    # A circle cannot be written (organisations.create asks for an existing parent); if one is
    # there, stop at it.
    while at is not None and at in organisations and at not in chain:
        chain.append(at)
        at = organisations[at].parent
    return tuple(chain)


def _units_below(
    units: Iterable[Unit], chains: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[Unit, ...]]:
    gathered: dict[str, list[Unit]] = {}
    for unit in units:
        for code in chains.get(unit.organisation, ()):
            gathered.setdefault(code, []).append(unit)
    return {code: tuple(found) for code, found in gathered.items()}


def _delegates(relations: Iterable[Relation]) -> dict[str, frozenset[str]]:
    gathered: dict[str, set[str]] = {}
    for relation in relations:
        if relation.kind == UPLOADS_FOR:
            gathered.setdefault(relation.relative, set()).add(relation.organisation)
    return {code: frozenset(found) for code, found in gathered.items()}


async def load(tx: Transaction) -> Registry:
    """Return the register as this transaction sees it."""
    return Registry.of(
        [Organisation(*row) for row in await tx.fetch(_ORGANISATIONS)],
        [System(*row) for row in await tx.fetch(_SYSTEMS)],
        [Unit(*row) for row in await tx.fetch(_UNITS)],
        [Relation(*row) for row in await tx.fetch(_RELATIONS)],
    )
