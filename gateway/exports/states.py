"""The states of a ticket and the only ways between them, as data (exports.md section 5).

`TABLE` is the whole of it: which act leads from where to where, whose it is, and when. What a table
cannot say (persons, the number of approvals, times between them) says `ticket`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gateway.identity import roles


class State(StrEnum):
    """Where a ticket stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    ONCE_APPROVED = "once_approved"
    APPROVED = "approved"
    BUILDING = "building"
    SEALED = "sealed"
    FETCHING = "fetching"
    RECEIVED = "received"
    RELEASED = "released"
    ACKNOWLEDGED = "acknowledged"
    DESTROYED = "destroyed"
    WITHDRAWN = "withdrawn"
    DENIED = "denied"
    EXPIRED = "expired"
    FAILED = "failed"
    REVOKED = "revoked"
    RECALLED = "recalled"
    OVERDUE = "overdue"


class Act(StrEnum):
    """What moves a ticket."""

    SUBMIT = "submit"
    WITHDRAW = "withdraw"
    APPROVE = "approve"
    DENY = "deny"
    EXPIRE = "expire"
    BUILD = "build"
    SEAL = "seal"
    FAIL = "fail"
    FETCH = "fetch"
    RECEIVE = "receive"
    RELEASE = "release"
    ACKNOWLEDGE = "acknowledge"
    REVOKE = "revoke"
    HOLD = "hold"
    UNHOLD = "unhold"
    RECALL = "recall"
    DESTROY = "destroy"
    LAPSE = "lapse"


_S = State
PENDING = frozenset({_S.SUBMITTED, _S.ONCE_APPROVED})
# Past both approvals, and nothing readable has left: what one person may still stop.
UNRELEASED = frozenset({_S.APPROVED, _S.BUILDING, _S.SEALED, _S.FETCHING, _S.RECEIVED})
# The recipient can read it.
OUT = frozenset({_S.RELEASED, _S.ACKNOWLEDGED, _S.RECALLED, _S.OVERDUE})
# The header is there for whoever gets it; with any further move it goes.
KEYED = UNRELEASED | {_S.RELEASED}
# What stops a ticket, or meets a duty: possible while no rules of exports are in force, too.
UNRULED = frozenset(
    {Act.WITHDRAW, Act.DENY, Act.FAIL, Act.ACKNOWLEDGE, Act.REVOKE, Act.HOLD, Act.RECALL}
    | {Act.DESTROY, Act.LAPSE}
)
ENDED = frozenset({_S.DESTROYED, _S.WITHDRAWN, _S.DENIED, _S.EXPIRED, _S.FAILED, _S.REVOKED})


@dataclass(frozen=True, slots=True)
class Transition:
    """From which states to which (None: it stays), by whom, and whether a held ticket moves so."""

    froms: frozenset[State]
    to: State | None
    by: frozenset[str]
    while_held: bool = False
    # Whether it must lie within the plan's window, or at least before its end.
    in_window: bool = False
    before_end: bool = False


_GATEWAY, _OFFICER = "gateway", roles.SECURITY_OFFICER
# Who may say that a file is destroyed (`ticket.sides`): the recipient, or who stands in for him.
ATTESTER = "attester"


def _by(*whom: str) -> frozenset[str]:
    return frozenset(whom)


TABLE: Mapping[Act, Transition] = MappingProxyType(
    {
        Act.SUBMIT: Transition(
            frozenset({_S.DRAFT}), _S.SUBMITTED, _by(roles.REQUESTER), before_end=True
        ),
        # Also between the approvals: whoever asks may always stop asking.
        Act.WITHDRAW: Transition(
            PENDING | {_S.DRAFT}, _S.WITHDRAWN, _by(roles.REQUESTER), while_held=True
        ),
        Act.APPROVE: Transition(PENDING, _S.APPROVED, _by(roles.APPROVER), before_end=True),
        Act.DENY: Transition(PENDING, _S.DENIED, _by(roles.APPROVER), while_held=True),
        Act.EXPIRE: Transition(
            PENDING | UNRELEASED | {_S.DRAFT}, _S.EXPIRED, _by(_GATEWAY), while_held=True
        ),
        Act.BUILD: Transition(frozenset({_S.APPROVED}), _S.BUILDING, _by(_GATEWAY), in_window=True),
        Act.SEAL: Transition(frozenset({_S.BUILDING}), _S.SEALED, _by(_GATEWAY), in_window=True),
        Act.FAIL: Transition(frozenset({_S.BUILDING}), _S.FAILED, _by(_GATEWAY), while_held=True),
        Act.FETCH: Transition(
            frozenset({_S.SEALED, _S.FETCHING}), _S.FETCHING, _by(roles.RECIPIENT), in_window=True
        ),
        Act.RECEIVE: Transition(
            frozenset({_S.FETCHING}), _S.RECEIVED, _by(roles.RECIPIENT), in_window=True
        ),
        Act.RELEASE: Transition(
            frozenset({_S.RECEIVED, _S.RELEASED}), _S.RELEASED, _by(roles.RECIPIENT), in_window=True
        ),
        Act.ACKNOWLEDGE: Transition(
            frozenset({_S.RELEASED}), _S.ACKNOWLEDGED, _by(roles.RECIPIENT), while_held=True
        ),
        Act.REVOKE: Transition(
            UNRELEASED | {_S.ONCE_APPROVED},
            _S.REVOKED,
            _by(roles.REQUESTER, roles.APPROVER, _OFFICER, _GATEWAY),
            while_held=True,
        ),
        Act.HOLD: Transition(frozenset(State) - ENDED, None, _by(_OFFICER), while_held=True),
        Act.UNHOLD: Transition(
            frozenset(State) - ENDED, None, _by(roles.APPROVER), while_held=True
        ),
        # Also what is overdue: a recall lets others than the recipient attest (decision 0020).
        Act.RECALL: Transition(
            frozenset({_S.RELEASED, _S.ACKNOWLEDGED, _S.OVERDUE}),
            _S.RECALLED,
            _by(_OFFICER),
            while_held=True,
        ),
        # From wherever it can be read: a duty can always be met, frozen or not.
        Act.DESTROY: Transition(OUT, _S.DESTROYED, _by(ATTESTER), while_held=True),
        Act.LAPSE: Transition(
            frozenset({_S.RELEASED, _S.ACKNOWLEDGED, _S.RECALLED}),
            _S.OVERDUE,
            _by(_GATEWAY),
            while_held=True,
        ),
    }
)
