"""What the policy says of the gateway's own acts on a ticket, and what their leaves tell of it."""

from dataclasses import dataclass

from gateway.audit.event import Event
from gateway.exports.facts import Around
from gateway.exports.plan import Plan
from gateway.policy import facts, request
from gateway.policy.engine import Decision, Engine
from gateway.policy.request import Actor, Calling, Context, Request, Resource

# The gateway's own role and acts in the policies; none of them is an rpc.
BUILDER, BUILD, KEEP = "builder", "BuildExport", "KeepExport"


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision, and on what."""

    decision: Decision
    request: Request

    def told(self, event: Event, **detail: str | int) -> Event:
        """Return the leaf of what follows: policies, bundle, and what it takes to ask again."""
        named = tuple(name.lower() for name in self.decision.policies)
        told = {**(event.detail or {}), **facts.words(self.request), **detail}
        return event.with_(policies=named, bundle=self.decision.bundle, detail=told)


def asked(action: str, plan: Plan, known: request.Ticket, around: Around) -> Request:
    """Return what the gateway asks before an act of its own."""
    registry = around.registry
    actor = Actor(known.province, registry.chain(known.province), frozenset({BUILDER}), "proven")
    chain = registry.chain(plan.requester.organisation)
    resource = Resource("ExportTicket", chain, ticket=known)
    calling = Calling("", "", "", confirmed=False, now_us=around.now_us)
    context = Context(password_current=True, weak_origin_allowed=False, calling=calling)
    return Request(action, actor, resource, context)


def judged(
    engine: Engine, action: str, plan: Plan, known: request.Ticket, around: Around
) -> Judged:
    """Return what the policy in force says of it."""
    wanted = asked(action, plan, known, around)
    return Judged(engine.decide(wanted), wanted)
