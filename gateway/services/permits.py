"""Check 8, the policy: what each rpc is about, and the decision on it, noted in the leaf.

What a resource is follows from the request and the register alone. Some rpcs learn it later and ask
then: UploadBatches for the unit of each batch, GetLeaf and GetSealedPart for the organisation that
the leaf names, ApproveEnrolment, CancelInvitation and RevokeCertificates for whom invitation or
certificate are of, all that act on an export for its ticket.
A call that never asked is not served (`guard`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from gateway.errors import Reason, refuse
from gateway.identity.principal import Principal
from gateway.policy import facts
from gateway.policy.engine import Engine
from gateway.policy.request import Actor, Calling, Context, Request, Resource, ResourceKind
from gateway.registry.snapshot import Registry
from gateway.services.call import Call
from gateway.v1.admin_service_pb2 import (
    AddTunnelRequest,
    CreateOrganisationRequest,
    RegisterUnitsRequest,
    SetRelationRequest,
)

# Any: each function takes the request of its own rpc.
About = Callable[[Principal, Any, Registry], Iterable[Resource]]


class _Named(Protocol):
    """A request that names an organisation."""

    @property
    def organisation_code(self) -> str: ...


class Permits:
    """Asks the policy engine on behalf of calls; one per process."""

    def __init__(self, engine: Callable[[], Engine], *, weak_origin_allowed: bool) -> None:
        """Ask the engine in force at each call; the settings say if a weak origin is taken."""
        self._engine = engine
        self._weak_origin_allowed = weak_origin_allowed

    def judge(self, call: Call, request: object, registry: Registry) -> None:
        """Decide on an rpc whose request says what it is about; raises POLICY_DENIED."""
        about = ABOUT.get(call.action)
        if about is not None:
            self.require(call, about(call.caller, request, registry), registry)

    def require(self, call: Call, resources: Iterable[Resource], registry: Registry) -> None:
        """Pass a call that may do its action to all of these.

        Raises POLICY_DENIED at the first it may not.
        """
        if not self.ask(call, call.action, resources, registry):
            raise refuse(Reason.POLICY_DENIED)
        call.permitted = True

    def ask(
        self,
        call: Call,
        action: str,
        resources: Iterable[Resource],
        registry: Registry,
        calling: Calling | None = None,
    ) -> bool:
        """Return whether the caller may do this to all of these; the leaf names who decided.

        `calling` are the circumstances where they are tickets. Whoever asks says that it is
        permitted (`call.permitted`), and otherwise refuses.
        """
        caller = call.caller
        actor = Actor(
            caller.organisation,
            registry.chain(caller.organisation),
            caller.roles,
            caller.origin.strength,
        )
        current = not caller.password_state.restricted
        context = Context(current, self._weak_origin_allowed, caller.system_in_grace, calling)
        engine = self._engine()
        named: dict[str, None] = {}
        allowed = True
        for resource in resources:
            request = Request(action, actor, resource, context)
            decision = engine.decide(request)
            call.note(detail=facts.words(request))
            named.update(dict.fromkeys(decision.policies))
            allowed = decision.allowed
            if not allowed:
                named = dict.fromkeys(decision.policies)
                break
        call.note(policies=tuple(name.lower() for name in named), bundle=engine.bundle.sha256)
        return allowed and bool(named)


def unit_records(unit_code: str, registry: Registry) -> Resource:
    """Return a unit's records; an unknown unit stands in no organisation, so nobody may."""
    unit = registry.unit(unit_code)
    if unit is None:
        return Resource("UnitRecords")
    chain = registry.chain(unit.organisation)
    return Resource("UnitRecords", chain, unit_code, registry.uploaders_for(unit.organisation))


def audit_log(organisation: str, registry: Registry) -> Resource:
    """Return the part of the log that concerns an organisation.

    "" is the whole log, which stands in the province.
    """
    return Resource("AuditLog", registry.chain(organisation or registry.province))


def _own(kind: ResourceKind) -> About:
    return lambda caller, _request, registry: [Resource(kind, registry.chain(caller.organisation))]


def part_of_register(organisation: str, registry: Registry) -> Resource:
    """Return the part of the register that stands in an organisation.

    "" is the whole register, which stands in the province.
    """
    return Resource("Register", registry.chain(organisation or registry.province))


def _register(organisation: str, registry: Registry) -> Resource:
    return Resource("Register", registry.chain(organisation))


def _named(_caller: Principal, request: _Named, registry: Registry) -> Iterable[Resource]:
    return [_register(request.organisation_code, registry)]


def _whole(_caller: Principal, _request: object, registry: Registry) -> Iterable[Resource]:
    """Return the province's part of the register: its break-glass is one for all."""
    return [part_of_register("", registry)]


def _listed(caller: Principal, request: _Named, registry: Registry) -> Iterable[Resource]:
    """Return the part of the register a list is of.

    The named organisation's, else the caller's own and below.
    """
    return [_register(request.organisation_code or caller.organisation, registry)]


def _created(
    _caller: Principal, request: CreateOrganisationRequest, registry: Registry
) -> Iterable[Resource]:
    """Return where a new organisation is put: below its parent."""
    return [_register(request.organisation.parent_organisation_code, registry)]


def _units(
    caller: Principal, request: RegisterUnitsRequest, registry: Registry
) -> Iterable[Resource]:
    """Return the organisations that the units go to and those that they come from.

    With none, the caller's own.
    """
    codes = {unit.organisation_code for unit in request.units}
    for unit in request.units:
        known = registry.unit(unit.unit_code)
        if known is not None:
            codes.add(known.organisation)
    return [_register(code, registry) for code in sorted(codes or {caller.organisation})]


def _tunnel(
    _caller: Principal, request: AddTunnelRequest, registry: Registry
) -> Iterable[Resource]:
    return [_register(request.tunnel.organisation_code, registry)]


def _related(
    _caller: Principal, request: SetRelationRequest, registry: Registry
) -> Iterable[Resource]:
    """Return both organisations of a relation: neither is bound to the other by one side alone."""
    relation = request.relation
    codes = (relation.organisation_code, relation.relative_code)
    return [_register(code, registry) for code in codes]


def _searched(_caller: Principal, request: _Named, registry: Registry) -> Iterable[Resource]:
    return [audit_log(request.organisation_code, registry)]


def _whole_log(_caller: Principal, _request: object, registry: Registry) -> Iterable[Resource]:
    """Return all of the log: a file of it holds whatever leaves come one after the other."""
    return [audit_log("", registry)]


def _checkpoints(*_: object) -> Iterable[Resource]:
    """Return the signed heads, which belong to nobody."""
    return [Resource("Checkpoints")]


ABOUT: Mapping[str, About] = {
    "RefreshToken": _own("Session"),
    "Logout": _own("Session"),
    "ChangePassword": _own("Session"),
    "RotateSecret": _own("Session"),
    "Confirm": _own("Session"),
    "WhoAmI": _own("Session"),
    "RenewCertificate": _own("Session"),
    "GetReceipt": _own("Evidence"),
    "ListQuarantine": _own("Evidence"),
    "PresentLostReceipts": _own("Evidence"),
    "CreateOrganisation": _created,
    "ListOrganisations": _own("Register"),
    "SetOrganisationState": _named,
    "CreateSystem": _named,
    "RegisterUnits": _units,
    "ListUnits": _listed,
    "CreateAccount": _named,
    "ResetPassword": _named,
    "SetAccountRoles": _named,
    "SetAccountState": _named,
    "UnlockAccount": _named,
    "ListAccounts": _listed,
    "InviteCertificate": _named,
    "ListInvitations": _listed,
    "ListCertificates": _listed,
    "AddTunnel": _tunnel,
    "ListTunnels": _listed,
    "SetTunnelState": _named,
    "SetRelation": _related,
    "SealBreakGlass": _whole,
    "RegisterBreakGlassCode": _whole,
    "CloseBreakGlass": _whole,
    "GetBreakGlass": _whole,
    "GetPolicies": _whole,
    "ApprovePolicies": _whole,
    "ListExports": _own("ExportTickets"),
    "SearchLeaves": _searched,
    "GetLogFile": _whole_log,
    "GetCheckpoint": _checkpoints,
    "GetConsistencyProof": _checkpoints,
    "GetWitnessing": _checkpoints,
    "AddCosignatures": _checkpoints,
    "RegisterWitness": _named,
    "EndWitness": _named,
}
