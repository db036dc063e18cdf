"""A request as Cedar sees it, with the small slice of entities that it refers to."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from gateway.policy import ticket_facts
from gateway.policy.request import Actor, Request, Resource

Uid = dict[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the engine is given: the request, and as JSON text its context and the entities."""

    request: Mapping[str, object]
    entities: str


def of(request: Request) -> Facts:
    """Return the facts of a request; the schema judges them, an unknown action or kind included."""
    principal = _uid("Principal", request.actor.organisation)
    resource = _uid(request.resource.kind, _resource_id(request.resource))
    context: dict[str, object] = {
        "passwordCurrent": request.context.password_current,
        "weakOriginAllowed": request.context.weak_origin_allowed,
        "systemInGrace": request.context.system_in_grace,
    }
    entities = [_principal(principal, request.actor), _resource(resource, request.resource)]
    alone = {request.actor.organisation}
    ticket = request.resource.ticket
    if ticket is not None:
        alone |= ticket_facts.organisations(ticket)
        if request.context.calling is not None:
            context |= ticket_facts.circumstances(request.context.calling, ticket)
    entities += _organisations(request.actor.chain, request.resource.chain, sorted(alone))
    entities += [_entity(_uid("Role", role)) for role in sorted(request.actor.roles)]
    asked = {"principal": principal, "action": _uid("Action", request.action), "resource": resource}
    return Facts(asked | {"context": json.dumps(context)}, json.dumps(entities))


def words(request: Request) -> dict[str, str | int]:
    """Return what a leaf tells of a decision on a ticket, that it may be asked again: no data.

    The digest of all that Cedar was asked with, and the moment, microseconds.
    """
    calling = request.context.calling
    if calling is None:
        return {}
    found = of(request)
    asked = json.dumps([found.request, found.entities], sort_keys=True).encode()
    return {"facts_sha256": hashlib.sha256(asked).hexdigest(), "judged_us": calling.now_us}


def _principal(uid: Uid, actor: Actor) -> dict[str, object]:
    attributes = {
        "organisation": _reference("Organisation", actor.organisation),
        "origin": actor.origin,
    }
    return _entity(uid, attributes, [_uid("Role", role) for role in sorted(actor.roles)])


def _resource(uid: Uid, resource: Resource) -> dict[str, object]:
    own = [_uid("Organisation", code) for code in resource.chain[:1]]
    if resource.kind == "Evidence":
        return _entity(uid, _owner(own))
    if resource.kind == "Session":
        return _entity(uid, _owner(own), own)
    if resource.kind == "UnitRecords":
        uploaders = [_reference("Organisation", code) for code in sorted(resource.uploaders)]
        return _entity(uid, {"uploaders": uploaders}, own)
    if resource.ticket is not None:
        return _entity(uid, ticket_facts.attributes(resource.ticket), own)
    return _entity(uid, None, own)


def _owner(own: Sequence[Uid]) -> dict[str, object]:
    """Return the attribute that names the owner; without one the schema refuses the entity."""
    return {"organisation": {"__entity": own[0]}} if own else {}


def _resource_id(resource: Resource) -> str:
    if resource.ticket is not None:
        return resource.ticket.ticket_id
    return resource.unit or (resource.chain[0] if resource.chain else "")


def _organisations(
    first: Sequence[str], second: Sequence[str], alone: Sequence[str]
) -> list[dict[str, object]]:
    """Return each organisation once, in the one above it; those of no chain stand alone.

    Both chains lead up one tree, so they cannot disagree.
    """
    above: dict[str, str | None] = dict.fromkeys(alone)
    for chain in (first, second):
        above |= dict(zip_longest(chain, chain[1:]))
    return [
        _entity(
            _uid("Organisation", code),
            None,
            [] if parent is None else [_uid("Organisation", parent)],
        )
        for code, parent in above.items()
    ]


def _entity(
    uid: Uid, attributes: Mapping[str, object] | None = None, parents: Sequence[Uid] = ()
) -> dict[str, object]:
    return {"uid": uid, "attrs": dict(attributes or {}), "parents": list(parents)}


def _uid(kind: str, name: str) -> Uid:
    return {"type": kind, "id": name}


def _reference(kind: str, name: str) -> dict[str, Uid]:
    return {"__entity": _uid(kind, name)}
