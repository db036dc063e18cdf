"""A ticket and how it moves: a pure state machine (exports.md section 5, decision 0017).

`states` says which way leads where, `shape` what a ticket is; here stands what a table cannot say:
persons, times, the number of approvals. Nothing reads or writes anything.
"""

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TypeVar

from gateway.clock import SHANGHAI, US_PER_S, from_datetime
from gateway.config.exports import ApprovalRules
from gateway.errors import Reason, Refusal, refuse
from gateway.exports.plan import Party
from gateway.exports.shape import (
    NOTHING,
    Approval,
    Built,
    Caller,
    Counted,
    Given,
    Recall,
    Ticket,
    opened,
)
from gateway.exports.states import (
    ATTESTER,
    ENDED,
    KEYED,
    OUT,
    PENDING,
    TABLE,
    UNRELEASED,
    UNRULED,
    Act,
    State,
)
from gateway.identity import roles

# A ticket is spoken of by this name.
# fmt: off
__all__ = [
    "ENDED", "KEYED", "NOTHING", "OUT", "PENDING", "TABLE", "UNRELEASED", "UNRULED", "Act",
    "Approval", "Built", "Caller", "Counted", "Given", "Recall", "State", "Ticket", "ends_us",
    "moved", "opened", "overdue_us", "sides",
]
# fmt: on

_US_PER_HOUR = 3600 * US_PER_S
_US_PER_DAY = 24 * _US_PER_HOUR
# The header is sent again when its answer was lost, so often (exports.md section 5, row 15).
RELEASES_MAX = 1 + 3
# What only an approved ticket can come to: refused before that, the answer says what is missing.
_AFTER_APPROVAL = frozenset(
    {Act.BUILD, Act.SEAL, Act.FETCH, Act.RECEIVE, Act.RELEASE, Act.ACKNOWLEDGE}
)
Found = TypeVar("Found")


def moved(
    ticket: Ticket,
    act: Act,
    by: Caller | None,
    now_us: int,
    rules: ApprovalRules | None,
    given: Given = NOTHING,
) -> Ticket:
    """Return the ticket after an act by somebody, None being the gateway itself.

    Raises the refusal that says why not. `now_us` never lies before the ticket's last move. An act
    of `UNRULED` needs no rules.
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
            return _approved(after, _there(given.approval), _there(by), _there(rules))
        case Act.UNHOLD:
            return _unheld(after, _there(by))
        case Act.HOLD:
            return replace(after, held=True, unheld_by=None)
        case Act.SUBMIT:
            after = replace(after, submitted_us=now_us, counted=_there(given.counted))
        case Act.SEAL:
            after = replace(after, built=_there(given.built))
        case Act.RECALL:
            recall = Recall(*_there(by).party.person, _there(given.due_us))
            after = replace(after, recalled=recall)
        case Act.FETCH | Act.RELEASE:
            after = _handed_out(after, act)
    return replace(after, state=rule.to or ticket.state)


def sides(ticket: Ticket, by: Caller | None) -> frozenset[str]:
    """Return on which sides of a ticket a caller stands; None is the gateway itself.

    An approver and a security officer are of the province; requester and recipient are persons,
    the recipient under the plan's very account. For the recipient attests any account of its; once
    the province has called the file back, another recipient of the organisation than who did that:
    whether the recipient is there to do it, the policy asks (decision 0020).
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
    if roles.RECIPIENT in by.roles and _attests(ticket, by.party):
        found.add(ATTESTER)
    return frozenset(found)


def overdue_us(ticket: Ticket) -> int:
    """Return when its destruction is overdue: when the plan's day is over in the province.

    Sooner where it was called back.
    """
    after = datetime.combine(ticket.plan.destroy_by + timedelta(days=1), time.min, SHANGHAI)
    due_us = from_datetime(after)
    return due_us if ticket.recalled is None else min(due_us, ticket.recalled.due_us)


def ends_us(ticket: Ticket, rules: ApprovalRules) -> int:
    """Return when it expires: with its window, before that when the approvals are not there.

    A draft, when nobody submitted it for so many days.
    """
    plan, submitted_us = ticket.plan, ticket.submitted_us
    if ticket.state is State.DRAFT:
        return min(ticket.created_us + rules.draft_days * _US_PER_DAY, plan.not_after_us)
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


def _require_time(ticket: Ticket, act: Act, now_us: int, rules: ApprovalRules | None) -> None:
    rule, plan = TABLE[act], ticket.plan
    late = now_us >= plan.not_after_us
    if act in (Act.SUBMIT, Act.APPROVE):
        late = now_us >= ends_us(ticket, _there(rules))
    if late and (rule.in_window or rule.before_end):
        raise refuse(Reason.TICKET_EXPIRED)
    if rule.in_window and now_us < plan.not_before_us:
        raise refuse(Reason.TICKET_EARLY)
    # The clock's own acts: never before their time.
    early = (act is Act.EXPIRE and now_us < ends_us(ticket, _there(rules))) or (
        act is Act.LAPSE and now_us < overdue_us(ticket)
    )
    if early:
        raise refuse(Reason.TICKET_STATE)


def _attests(ticket: Ticket, party: Party) -> bool:
    plan, recalled = ticket.plan, ticket.recalled
    if party.person == plan.recipient.person:
        return True
    same = party.organisation == plan.recipient.organisation
    return same and recalled is not None and party.person != recalled.by


def _handed_out(ticket: Ticket, act: Act) -> Ticket:
    """Count what was handed out: the sealed file, or the header, which is so only so often."""
    if act is Act.FETCH:
        return replace(ticket, fetches=ticket.fetches + 1)
    if ticket.releases >= RELEASES_MAX:
        raise refuse(Reason.TICKET_SPENT)
    return replace(ticket, releases=ticket.releases + 1)


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
