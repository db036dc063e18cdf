"""How unlike a request is to what its requester has had released before: signs, counted. Pure.

A person's first request is like nothing before: where the policy says so its purpose and divisions
are new, and a person more reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import US_PER_S
from gateway.config.exports import ApprovalRules, UnusualRules
from gateway.errors import Reason, refuse
from gateway.exports.ticket import Ticket

_US_PER_HOUR = 3600 * US_PER_S
_HOURS = 24


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked now: a ticket that is about to be submitted, its count, and the time."""

    ticket: Ticket
    rows: int
    now_us: int


def signs(asked: Request, released: Sequence[Ticket], rules: UnusualRules) -> tuple[str, ...]:
    """Return in what a request is new: "purpose", "division", "size", "hour".

    `released` are this person's tickets of the policy's memory whose key was handed out.
    """
    if not released:
        return ("purpose", "division") if rules.first_is_new else ()
    plan = asked.ticket.plan
    purposes = {one.plan.purpose for one in released}
    divisions = {code for one in released for code in one.plan.divisions}
    largest = max(one.counted.rows if one.counted else 0 for one in released)
    hours = {_hour(one.submitted_us or one.created_us) for one in released}
    found = {
        "purpose": plan.purpose not in purposes,
        "division": not divisions.issuperset(plan.divisions),
        "size": asked.rows > largest * rules.size_factor,
        "hour": min(_apart(_hour(asked.now_us), hour) for hour in hours) > rules.hours_apart,
    }
    return tuple(name for name, new in found.items() if new)


def needed(found: Sequence[str], rules: UnusualRules, approvals: ApprovalRules) -> int:
    """Return how many persons must approve a request with these signs; raises TICKET_UNUSUAL."""
    if rules.blocked_from and len(found) >= rules.blocked_from:
        raise refuse(Reason.TICKET_UNUSUAL)
    raised = rules.three_persons_from and len(found) >= rules.three_persons_from
    return max(approvals.needed, 3 if raised else 2)


def _hour(at_us: int) -> int:
    return at_us // _US_PER_HOUR % _HOURS


def _apart(one: int, other: int) -> int:
    """Return how many hours of a day lie between two, the short way round."""
    distance = abs(one - other)
    return min(distance, _HOURS - distance)
