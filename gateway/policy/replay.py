"""What the log's past decisions would be under other policies: nothing is taken on trust.

A leaf names who asked, by what origin, which rpc, about whose part, and which policies decided. It
does not hold the roles of that moment or the state of the password. So a request is rebuilt from
the leaf and today's register, in each way that there is; only one that comes to exactly the
recorded decision, by the policies that were in force then, is asked again. The others are counted:
by what is missing. A leaf about a ticket names the digest of all that was asked; whoever knows
tickets rebuilds that very request (`exports.replaying`), and it comes here ready.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from gateway.policy.engine import Engine
from gateway.policy.request import Actor, Context, Request, Resource, ResourceKind, Strength

# What cannot be asked again, and why.
NO_BUNDLE = "bundle-unknown"
ON_TICKETS = "on-a-ticket"
NOT_REPRODUCED = "not-reproduced"
# A case: its name, and what it asks.
Named = tuple[str, Request]
_CONTEXTS = ((True, False), (False, False), (False, True))
# The one role of a session of break-glass, which no account has.
_OTHER_ROLES = (frozenset({"break_glass"}), frozenset({"break_glass_drill"}))


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as its leaf has it; `policies` in the lower case of leaves."""

    action: str
    organisation: str
    account: str
    strength: str
    unit: str
    target: str
    allowed: bool
    policies: tuple[str, ...]
    bundle: str
    facts_sha256: str = ""

    @property
    def on_ticket(self) -> bool:
        """Whether it is about a ticket: an rpc of one, or an act of the gateway's own on one."""
        return self.action.endswith(("Export", "Destruction")) or self.action.startswith("export.")


@dataclass(frozen=True, slots=True)
class Register:
    """What the register says today; each answers "nothing" for what it does not know."""

    chain: Callable[[str], tuple[str, ...]]
    roles: Callable[[str, str], frozenset[str]]
    unit: Callable[[str], Resource]
    province: str
    weak_origin_allowed: bool


@dataclass(slots=True)
class Difference:
    """What came out otherwise, by what it is about, with how often; and what was not asked."""

    newly_allowed: dict[str, int] = field(default_factory=dict)
    newly_denied: dict[str, int] = field(default_factory=dict)
    replayed: int = 0
    not_replayed: dict[str, int] = field(default_factory=dict)

    def lines(self, found: Mapping[str, int]) -> tuple[str, ...]:
        """Return these as lines, what came most often first."""
        ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
        return tuple(f"{what} ({count})" for what, count in ordered)


class Replay:
    """Asks past decisions again; `engines` are those of every bundle that was in force."""

    def __init__(self, engines: Mapping[str, Engine], new: Engine, register: Register) -> None:
        """Compare with `new`."""
        self.difference = Difference()
        self._engines = engines
        self._new = new
        self._register = register

    def take(self, recorded: Recorded, count: int, about: Request | None = None) -> None:
        """Ask one decision again that the log holds so many times.

        `about` a ticket: the very request, None where it was not found again.
        """
        request, why = self._rebuilt(recorded, about)
        found = self.difference
        if request is None:
            found.not_replayed[why] = found.not_replayed.get(why, 0) + count
            return
        found.replayed += count
        before, decision = self._engines[recorded.bundle].judge(request), self._new.judge(request)
        if decision.allowed == before.allowed:
            return
        side = found.newly_allowed if decision.allowed else found.newly_denied
        what = _told(request, decision.policies)
        side[what] = side.get(what, 0) + count

    def _rebuilt(self, recorded: Recorded, about: Request | None) -> tuple[Request | None, str]:
        engine = self._engines.get(recorded.bundle)
        if engine is None:
            return None, NO_BUNDLE
        if recorded.on_ticket:
            return _as_recorded(engine, recorded, about)
        for request in _candidates(recorded, self._register):
            decision = engine.judge(request)
            # The leaf of a call about several resources names the policies of all of them.
            named = {name.lower() for name in decision.policies} <= set(recorded.policies)
            if named and not decision.error and decision.allowed == recorded.allowed:
                return request, ""
        return None, NOT_REPRODUCED


def _as_recorded(
    engine: Engine, recorded: Recorded, about: Request | None
) -> tuple[Request | None, str]:
    """Return a request about a ticket that the recorded policies decided, and no others."""
    if not recorded.facts_sha256:
        return None, ON_TICKETS
    decision = None if about is None else engine.judge(about)
    if decision is None or {name.lower() for name in decision.policies} != set(recorded.policies):
        return None, NOT_REPRODUCED
    return about, ""


def compare(old: Engine, new: Engine, asked: Iterable[Named]) -> Difference:
    """Return what these requests, each by its name, come to otherwise."""
    found = Difference()
    for name, request in asked:
        before, after = old.judge(request), new.judge(request)
        if before.allowed != after.allowed:
            side = found.newly_allowed if after.allowed else found.newly_denied
            line = f"case: {name}"
            side[line] = side.get(line, 0) + 1
    return found


def questions(old: Sequence[Named], new: Sequence[Named]) -> list[Named]:
    """Return all of the old cases and, of the new ones, those that ask something else.

    A name tells nothing: a case that only kept its name hides no other.
    """
    known = {question for _, question in old}
    return [*old, *((f"{name} (new)", one) for name, one in new if one not in known)]


def _candidates(recorded: Recorded, register: Register) -> Iterator[Request]:
    """Yield each way to read a leaf; the schema refuses the kinds that do not fit the action."""
    strength: Strength = "proven" if recorded.strength == "proven" else "weak"
    own = register.roles(recorded.organisation, recorded.account)
    resources = list(_resources(recorded, register))
    for roles, resource, (current, grace) in product((own, *_OTHER_ROLES), resources, _CONTEXTS):
        chain = register.chain(recorded.organisation)
        actor = Actor(recorded.organisation, chain, roles, strength)
        context = Context(current, register.weak_origin_allowed, grace)
        yield Request(recorded.action, actor, resource, context)


def _resources(recorded: Recorded, register: Register) -> Iterator[Resource]:
    if recorded.unit:
        yield register.unit(recorded.unit)
    for code in dict.fromkeys((recorded.target, recorded.organisation, register.province)):
        kinds: tuple[ResourceKind, ...] = (
            *("Register", "AuditLog", "Session", "Evidence", "ExportTickets"),
        )
        for kind in kinds:
            if code:
                yield Resource(kind, register.chain(code))
    yield Resource("Checkpoints")


def _told(request: Request, policies: tuple[str, ...]) -> str:
    roles = "+".join(sorted(request.actor.roles)) or "nobody"
    ticket = request.resource.ticket
    chain = next(iter(request.resource.chain), "")
    about = ticket.ticket_id if ticket else request.resource.unit or chain
    named = ", ".join(policies)
    whose = f"{request.resource.kind} {about}".strip()
    return f"{request.action} by {roles} of {request.actor.organisation} on {whose}: {named}"
