"""A ticket and how it moves: a pure state machine (exports.md section 5, decision 0017).

`states` says which way leads where; here stand the values, and what a table cannot say: persons,
times, the number of approvals. Nothing reads or writes anything.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from datetime import datetime, time, timedelta
from typing import TypeVar

from gateway.clock import SHANGHAI, US_PER_S, from_datetime
from gateway.config.exports import ApprovalRules
from gateway.errors import Reason, Refusal, refuse
from gateway.exports.plan import Party, Plan
from gateway.exports.states import ENDED, OUT, PENDING, TABLE, UNRELEASED, Act, State
from gateway.identity import roles
from gateway.tlog import leaf

__all__ = ["ENDED", "OUT", "PENDING", "TABLE", "UNRELEASED", "Act", "State"]

_US_PER_HOUR = 3600 * US_PER_S
# The header is sent again when its answer was lost, so often (exports.md section 5, row 15).
RELEASES_MAX = 1 + 3
# What only an approved ticket can come to: refused before that, the answer says what is missing.
_AFTER_APPROVAL = frozenset(
    {Act.BUILD, Act.SEAL, Act.FETCH, Act.RECEIVE, Act.RELEASE, Act.ACKNOWLEDGE}
)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts: the person with the account used, its roles, and whether of the province itself."""

    party: Party
    roles: frozenset[str]
    provincial: bool


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's signature (ECDSA, DER) over the plan's digest, and by which certificate."""

    organisation: str
    person: str
    account: str
    certificate_sha256: str
    signature: bytes
    at_us: int

    @property
    def who(self) -> tuple[str, str]:
        """The person, whatever the account."""
        return self.organisation, self.person


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: how much, and the SHA-256 (lower hex) of the payload and of its manifest."""

    rows: int
    children: int
    payload_bytes: int
    payload_sha256: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class Counted:
    """The dry run's answer at the submission, rounded up, and how many approvals it takes."""

    rows: int
    children: int
    needed: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as it stands; times in microseconds. `version` grows with every move."""

    ticket_id: str
    plan: Plan
    plan_sha256: str
    state: State
    version: int
    created_us: int
    moved_us: int
    held: bool = False
    submitted_us: int | None = None
    counted: Counted | None = None
    approvals: tuple[Approval, ...] = ()
    # The first of the two who let a held ticket go on.
    unheld_by: Party | None = None
    built: Built | None = None
    # How often the header was handed out.
    releases: int = 0

    @property
    def epoch(self) -> int:
        """What a stream compares before each chunk: it grows with every move."""
        return self.version

    @property
    def first(self) -> Approval | None:
        """The first approval."""
        return self.approvals[0] if self.approvals else None

    @property
    def second(self) -> Approval | None:
        """The second approval."""
        return self.approvals[1] if len(self.approvals) > 1 else None

    @property
    def sha256(self) -> str:
        """The digest of everything above, lower hex: what the leaf of every move tells."""
        return hashlib.sha256(leaf.encode(_document(self))).hexdigest()


@dataclass(frozen=True, slots=True)
class Given:
    """What comes with an act: a count at the submission, an approval, what was built."""

    counted: Counted | None = None
    approval: Approval | None = None
    built: Built | None = None


NOTHING = Given()


def opened(ticket_id: str, plan: Plan, now_us: int) -> Ticket:
    """Return the draft of a plan."""
    return Ticket(ticket_id, plan, plan.sha256, State.DRAFT, 1, now_us, now_us)


def moved(
    ticket: Ticket,
    act: Act,
    by: Caller | None,
    now_us: int,
    rules: ApprovalRules,
    given: Given = NOTHING,
) -> Ticket:
    """Return the ticket after an act by somebody, None being the gateway itself.

    Raises the refusal that says why not. `now_us` never lies before the ticket's last move.
    """
    rule, now_us = TABLE[act], max(now_us, ticket.moved_us)
    # First: where a ticket stands is no stranger's business.
    if not sides(ticket, by) & rule.by:
        raise refuse(Reason.TICKET_NOT_YOURS)
    if ticket.state not in rule.froms:
        raise _misplaced(ticket, act)
    if ticket.held and not rule.while_held:
        raise refuse(Reason.TICKET_HELD)
    _require_time(ticket, act, now_us, rules)
    after = replace(ticket, version=ticket.version + 1, moved_us=now_us)
    match act:
        case Act.APPROVE:
            return _approved(after, _there(given.approval), _there(by), rules)
        case Act.UNHOLD:
            return _unheld(after, _there(by))
        case Act.HOLD:
            return replace(after, held=True, unheld_by=None)
        case Act.SUBMIT:
            after = replace(after, submitted_us=now_us, counted=_there(given.counted))
        case Act.SEAL:
            after = replace(after, built=_there(given.built))
        case Act.RELEASE if ticket.releases >= RELEASES_MAX:
            raise refuse(Reason.TICKET_SPENT)
        case Act.RELEASE:
            after = replace(after, releases=ticket.releases + 1)
    return replace(after, state=rule.to or ticket.state)


def sides(ticket: Ticket, by: Caller | None) -> frozenset[str]:
    """Return on which sides of a ticket a caller stands; None is the gateway itself.

    An approver and a security officer are of the province; requester and recipient are persons,
    the recipient under the plan's very account.
    """
    if by is None:
        return frozenset({"gateway"})
    plan, found = ticket.plan, set[str]()
    if by.provincial:
        found |= by.roles & {roles.APPROVER, roles.SECURITY_OFFICER}
    if by.party.person == plan.requester.person:
        found |= by.roles & {roles.REQUESTER}
    if by.party == plan.recipient:
        found |= by.roles & {roles.RECIPIENT}
    return frozenset(found)


def overdue_us(ticket: Ticket) -> int:
    """Return when its destruction is overdue: when the plan's day is over in the province."""
    after = datetime.combine(ticket.plan.destroy_by + timedelta(days=1), time.min, SHANGHAI)
    return from_datetime(after)


def ends_us(ticket: Ticket, rules: ApprovalRules) -> int:
    """Return when it expires: with its window, before that when the approvals are not there."""
    plan, submitted_us = ticket.plan, ticket.submitted_us
    if ticket.state in PENDING and submitted_us is not None:
        return min(submitted_us + rules.within_hours * _US_PER_HOUR, plan.not_after_us)
    return plan.not_after_us


def _misplaced(ticket: Ticket, act: Act) -> Refusal:
    """Return why an act has no place in this state."""
    if ticket.state is State.REVOKED:
        return refuse(Reason.TICKET_REVOKED)
    if ticket.state is State.EXPIRED:
        return refuse(Reason.TICKET_EXPIRED)
    if act in _AFTER_APPROVAL and ticket.state in PENDING | {State.DRAFT}:
        return refuse(Reason.TICKET_NOT_APPROVED)
    return refuse(Reason.TICKET_STATE)


def _require_time(ticket: Ticket, act: Act, now_us: int, rules: ApprovalRules) -> None:
    rule, plan = TABLE[act], ticket.plan
    late = now_us >= plan.not_after_us
    if act is Act.APPROVE:
        late = now_us >= ends_us(ticket, rules)
    if late and (rule.in_window or rule.before_end):
        raise refuse(Reason.TICKET_EXPIRED)
    if rule.in_window and now_us < plan.not_before_us:
        raise refuse(Reason.TICKET_EARLY)
    # The clock's own acts: never before their time.
    early = (act is Act.EXPIRE and now_us < ends_us(ticket, rules)) or (
        act is Act.LAPSE and now_us < overdue_us(ticket)
    )
    if early:
        raise refuse(Reason.TICKET_STATE)


def _approved(ticket: Ticket, approval: Approval, by: Caller, rules: ApprovalRules) -> Ticket:
    """Add an approval: of another person than everyone who is in the ticket, and not at once."""
    involved = {ticket.plan.requester.person, ticket.plan.recipient.person}
    involved |= {one.who for one in ticket.approvals}
    if approval.who != by.party.person or by.party.person in involved:
        raise refuse(Reason.APPROVAL_SAME_PERSON)
    last_us = max((one.at_us for one in ticket.approvals), default=None)
    if last_us is not None and ticket.moved_us < last_us + rules.apart_s * US_PER_S:
        raise refuse(Reason.APPROVAL_TOO_SOON)
    approvals = (*ticket.approvals, replace(approval, at_us=ticket.moved_us))
    needed = max(rules.needed, ticket.counted.needed if ticket.counted else rules.needed)
    state = State.APPROVED if len(approvals) >= needed else State.ONCE_APPROVED
    return replace(ticket, approvals=approvals, state=state)


def _unheld(ticket: Ticket, by: Caller) -> Ticket:
    """Let a held ticket go on with the second of two approvers; neither is in the plan."""
    person = by.party.person
    if not ticket.held:
        raise refuse(Reason.TICKET_STATE)
    if person in (ticket.plan.requester.person, ticket.plan.recipient.person):
        raise refuse(Reason.APPROVAL_SAME_PERSON)
    if ticket.unheld_by is None:
        return replace(ticket, unheld_by=by.party)
    if person == ticket.unheld_by.person:
        raise refuse(Reason.APPROVAL_SAME_PERSON)
    return replace(ticket, held=False, unheld_by=None)


def _there(value: Found | None) -> Found:
    """Return what an act must come with; without it the caller is at fault, not the person."""
    if value is None:
        raise TypeError("the act came without what belongs to it")
    return value


def _document(ticket: Ticket) -> dict[str, leaf.Json]:
    """Return all of a ticket as canonical JSON has it; what is absent is left out."""
    document: dict[str, leaf.Json] = {
        "ticket_id": ticket.ticket_id,
        "plan_sha256": ticket.plan_sha256,
        "state": ticket.state.value,
        "version": ticket.version,
        "created_us": ticket.created_us,
        "moved_us": ticket.moved_us,
        "held": ticket.held,
        "releases": ticket.releases,
        "approvals": [_table(one) for one in ticket.approvals],
    }
    if ticket.submitted_us is not None:
        document["submitted_us"] = ticket.submitted_us
    for name in ("counted", "unheld_by", "built"):
        value = getattr(ticket, name)
        if value is not None:
            document[name] = _table(value)
    return document


def _table(value: Approval | Built | Counted | Party) -> dict[str, leaf.Json]:
    return {
        name: one.hex() if isinstance(one, bytes) else one for name, one in asdict(value).items()
    }
