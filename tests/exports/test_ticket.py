"""Tickets move as the reference says, by whom it says, and two persons start what one can stop."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.clock import US_PER_S
from gateway.errors import Reason, Refusal
from gateway.exports.plan import Party
from gateway.exports.ticket import (
    ENDED,
    OUT,
    PENDING,
    RELEASES_MAX,
    TABLE,
    UNRELEASED,
    UNRULED,
    Act,
    Caller,
    Counted,
    Given,
    State,
    Ticket,
    ends_us,
    moved,
    overdue_us,
    sides,
)
from tests.exports.tickets import (
    COUNTED,
    HOUR,
    PLAN,
    RECIPIENT,
    REQUESTER,
    RULES,
    START_US,
    WAY,
    S,
    along,
    approval,
    approver,
    draft,
    officer,
    step,
)

ZHAO, QIAN, SUN = approver("zhao"), approver("qian"), approver("sun")
LATER, DAY = START_US + HOUR, 24 * HOUR
SUBMITTED, ONCE, APPROVED = along(1), along(2), along(3)


def reason(
    ticket: Ticket, act: Act, by: Caller | None, at_us: int = LATER, **more: Given
) -> Reason:
    """Why an act is refused."""
    with pytest.raises(Refusal) as raised:
        step(ticket, act, by, at_us, **more)
    return raised.value.reason


def test_the_whole_way_takes_each_state_once() -> None:
    states = [along(number).state.value for number in range(len(WAY) + 1)]
    assert states == [
        *("draft", "submitted", "once_approved", "approved", "building", "sealed", "fetching"),
        *("received", "released", "acknowledged", "destroyed"),
    ]
    done = along(len(WAY))
    assert done.version == done.epoch == len(WAY) + 1
    assert [one.person for one in done.approvals] == ["zhao", "qian"]
    assert done.first is not None
    assert done.second is not None
    assert done.releases == 1


@pytest.mark.parametrize("act", list(Act))
@pytest.mark.parametrize("state", list(State))
def test_what_the_table_does_not_list_is_refused(state: State, act: Act) -> None:
    ticket = replace(along(9), state=state)
    if state in TABLE[act].froms:
        return
    for by in (None, REQUESTER, RECIPIENT, ZHAO, officer()):
        told = {
            *(Reason.TICKET_STATE, Reason.TICKET_NOT_APPROVED),
            *(Reason.TICKET_REVOKED, Reason.TICKET_EXPIRED),
        }
        own = sides(ticket, by) & TABLE[act].by
        assert reason(ticket, act, by) in (told if own else {Reason.TICKET_NOT_YOURS})


@pytest.mark.parametrize("act", list(Act))
def test_every_act_has_its_own_hands(act: Act) -> None:
    """Who is on another side of the ticket, or on none, moves nothing."""
    start = next(along(n) for n in range(10) if along(n).state in TABLE[act].froms)
    people = {
        "requester": REQUESTER,
        # Who takes it, or says that it is gone.
        "attester" if act is Act.DESTROY else "recipient": RECIPIENT,
        "approver": ZHAO,
        "security_officer": officer(),
        "gateway": None,
    }
    for side, by in people.items():
        if side not in TABLE[act].by:
            assert reason(start, act, by) is Reason.TICKET_NOT_YOURS
    strangers = [
        Caller(Party("140100", "zhou", "zhou.x"), frozenset({"requester", "recipient"}), False),
        Caller(
            Party("140100", "zhou", "zhou.x"), frozenset({"approver", "security_officer"}), False
        ),
        Caller(Party("140000", "root", "root.x"), frozenset({"admin", "auditor"}), True),
        Caller(PLAN.requester, frozenset({"duty_doctor"}), False),
        Caller(PLAN.recipient, frozenset(), False),
    ]
    for by in strangers:
        assert reason(start, act, by) is Reason.TICKET_NOT_YOURS


def test_one_approval_is_not_enough_for_anything() -> None:
    assert ONCE.state is State.ONCE_APPROVED
    assert reason(ONCE, Act.BUILD, None) is Reason.TICKET_NOT_APPROVED
    for act in (Act.FETCH, Act.RECEIVE, Act.RELEASE):
        assert reason(ONCE, act, RECIPIENT) is Reason.TICKET_NOT_APPROVED


def test_the_same_person_under_two_accounts_is_one() -> None:
    again = approver("zhao", "zhao.other")
    assert reason(ONCE, Act.APPROVE, again) is Reason.APPROVAL_SAME_PERSON
    assert reason(ONCE, Act.APPROVE, ZHAO) is Reason.APPROVAL_SAME_PERSON


def test_neither_requester_nor_recipient_approves() -> None:
    for name in ("requester", "recipient"):
        ticket = draft(**{name: Party("140000", "zhao", "zhao.else")})
        by = Caller(ticket.plan.requester, frozenset({"requester"}), provincial=False)
        ticket = step(ticket, Act.SUBMIT, by, START_US)
        assert reason(ticket, Act.APPROVE, ZHAO) is Reason.APPROVAL_SAME_PERSON


def test_an_approval_made_out_to_somebody_else_is_none() -> None:
    assert reason(ONCE, Act.APPROVE, QIAN, given=approval(SUN)) is Reason.APPROVAL_SAME_PERSON


def test_the_second_approval_keeps_its_distance() -> None:
    first = ONCE.approvals[0].at_us
    too_soon = first + RULES.apart_s * S - 1
    assert reason(ONCE, Act.APPROVE, QIAN, too_soon) is Reason.APPROVAL_TOO_SOON
    done = step(ONCE, Act.APPROVE, QIAN, first + RULES.apart_s * S)
    assert done.state is State.APPROVED


def test_a_clock_set_back_approves_nothing_sooner_and_nothing_expired() -> None:
    assert reason(ONCE, Act.APPROVE, QIAN, 0) is Reason.APPROVAL_TOO_SOON
    due = ends_us(SUBMITTED, RULES)
    expired = step(SUBMITTED, Act.EXPIRE, None, due)
    assert expired.state is State.EXPIRED
    assert reason(expired, Act.APPROVE, ZHAO, START_US) is Reason.TICKET_EXPIRED


def test_a_ticket_waits_for_its_approvals_for_three_days_and_never_past_its_window() -> None:
    due = ends_us(SUBMITTED, RULES)
    assert due == START_US + 120 * S + 72 * HOUR
    assert reason(SUBMITTED, Act.APPROVE, ZHAO, due) is Reason.TICKET_EXPIRED
    assert reason(SUBMITTED, Act.EXPIRE, None, due - 1) is Reason.TICKET_STATE
    short = along(1, not_after_us=START_US + HOUR)
    assert ends_us(short, RULES) == START_US + HOUR
    assert reason(short, Act.APPROVE, ZHAO, START_US + HOUR) is Reason.TICKET_EXPIRED


def test_a_draft_whose_window_is_over_is_not_submitted() -> None:
    over = PLAN.not_after_us
    assert reason(draft(), Act.SUBMIT, REQUESTER, over) is Reason.TICKET_EXPIRED


def test_nothing_happens_outside_the_window() -> None:
    early = along(3, not_before_us=START_US + 24 * HOUR)
    assert reason(early, Act.BUILD, None) is Reason.TICKET_EARLY
    late = PLAN.not_after_us
    assert reason(APPROVED, Act.BUILD, None, late) is Reason.TICKET_EXPIRED
    assert reason(along(5), Act.FETCH, RECIPIENT, late) is Reason.TICKET_EXPIRED
    assert reason(along(7), Act.RELEASE, RECIPIENT, late) is Reason.TICKET_EXPIRED
    assert step(along(7), Act.EXPIRE, None, late).state is State.EXPIRED


def test_three_persons_where_the_submission_asks_for_three() -> None:
    given = Given(counted=Counted(100, 100, 3))
    ticket = step(draft(), Act.SUBMIT, REQUESTER, START_US, given)
    for number, (by, state) in enumerate(
        ((ZHAO, State.ONCE_APPROVED), (QIAN, State.ONCE_APPROVED), (SUN, State.APPROVED)), 1
    ):
        ticket = step(ticket, Act.APPROVE, by, START_US + number * 120 * S)
        assert ticket.state is state


def test_a_submission_cannot_lower_the_number_of_approvals() -> None:
    given = Given(counted=Counted(100, 100, 1))
    ticket = step(draft(), Act.SUBMIT, REQUESTER, START_US, given)
    assert step(ticket, Act.APPROVE, ZHAO, LATER).state is State.ONCE_APPROVED


@pytest.mark.parametrize("by", [REQUESTER, ZHAO, officer(), None])
def test_one_person_stops_what_is_approved_and_nobody_what_is_out(by: Caller | None) -> None:
    for number in range(3, 8):
        stopped = step(along(number), Act.REVOKE, by, LATER)
        assert stopped.state is State.REVOKED
        assert reason(stopped, Act.RELEASE, RECIPIENT) is Reason.TICKET_REVOKED
    assert reason(along(8), Act.REVOKE, by) is Reason.TICKET_STATE


def test_a_held_ticket_stands_still_and_can_be_stopped() -> None:
    held = step(along(7), Act.HOLD, officer(), LATER)
    assert held.held
    assert held.state is State.RECEIVED
    assert reason(held, Act.RELEASE, RECIPIENT) is Reason.TICKET_HELD
    assert step(held, Act.REVOKE, ZHAO, LATER).state is State.REVOKED


def test_two_other_persons_let_it_go_on() -> None:
    held = step(along(7), Act.HOLD, officer(), LATER)
    once = step(held, Act.UNHOLD, ZHAO, LATER)
    assert once.held
    assert reason(once, Act.UNHOLD, approver("zhao", "zhao.other")) is Reason.APPROVAL_SAME_PERSON
    again = step(once, Act.HOLD, officer(), LATER)
    assert again.unheld_by is None
    free = step(once, Act.UNHOLD, QIAN, LATER)
    assert not free.held
    assert free.state is State.RECEIVED
    assert reason(free, Act.UNHOLD, QIAN) is Reason.TICKET_STATE
    own = replace(held, plan=replace(PLAN, requester=Party("140000", "zhao", "zhao.else")))
    assert reason(own, Act.UNHOLD, ZHAO) is Reason.APPROVAL_SAME_PERSON


def test_the_header_is_sent_again_three_times_at_most() -> None:
    ticket = along(8)
    while ticket.releases < RELEASES_MAX:
        ticket = step(ticket, Act.RELEASE, RECIPIENT, LATER)
    assert reason(ticket, Act.RELEASE, RECIPIENT) is Reason.TICKET_SPENT


def test_what_is_out_is_called_back_and_owed_after_its_day() -> None:
    recalled = along(9)
    due = overdue_us(recalled)
    assert due == 1_798_732_800 * US_PER_S  # 2027-01-01T00:00:00+08:00
    assert reason(recalled, Act.LAPSE, None, due - 1) is Reason.TICKET_STATE
    owed = step(recalled, Act.LAPSE, None, due)
    assert owed.state is State.OVERDUE
    assert step(owed, Act.DESTROY, RECIPIENT, due).state is State.DESTROYED


def test_a_draft_waits_so_many_days_and_its_window_at_most() -> None:
    far = draft(not_before_us=START_US + 20 * DAY, not_after_us=START_US + 25 * DAY)
    due = START_US + 14 * DAY
    assert ends_us(far, RULES) == due
    assert reason(far, Act.EXPIRE, None, due - 1) is Reason.TICKET_STATE
    assert step(far, Act.EXPIRE, None, due).state is State.EXPIRED
    assert step(far, Act.SUBMIT, REQUESTER, due - 1).state is State.SUBMITTED
    assert reason(far, Act.SUBMIT, REQUESTER, due) is Reason.TICKET_EXPIRED
    assert ends_us(draft(), RULES) == PLAN.not_after_us


def test_what_is_handed_out_is_counted() -> None:
    ticket = along(6)
    assert (ticket.fetches, along(5).fetches) == (1, 0)
    assert step(ticket, Act.FETCH, RECIPIENT, LATER).fetches == 2


def test_an_act_without_what_belongs_to_it_is_our_own_mistake() -> None:
    for ticket, act, by in ((draft(), Act.SUBMIT, REQUESTER), (SUBMITTED, Act.APPROVE, ZHAO)):
        with pytest.raises(TypeError):
            step(ticket, act, by, LATER, Given())


PEOPLE = st.sampled_from(
    [
        None,
        REQUESTER,
        RECIPIENT,
        ZHAO,
        approver("zhao", "zhao.other"),
        # Approvers of a city, and who is in the plan and an approver besides.
        approver("sun", organisation="140100"),
        Caller(PLAN.requester, frozenset({"requester", "approver"}), provincial=True),
        Caller(PLAN.recipient, frozenset({"recipient", "approver"}), provincial=True),
        officer(),
        Caller(Party("140000", "root", "root.x"), frozenset({"admin"}), provincial=True),
    ]
)
MINUTES = st.sampled_from([0, 1, 2, 60, 24 * 60])


class OneApprover(RuleBasedStateMachine):
    """Everybody does everything, at any time, and of the province's approvers only one is there."""

    def __init__(self) -> None:
        super().__init__()
        self.ticket, self.now_us = draft(), START_US

    @rule(act=st.sampled_from(list(Act)), by=PEOPLE, minutes=MINUTES, back=st.booleans())
    def anything(self, act: Act, by: Caller | None, minutes: int, back: bool) -> None:
        """Try an act; the clock goes on, or back."""
        self.now_us += minutes * 60 * S * (-1 if back else 1)
        before = self.ticket
        try:
            self.ticket = step(before, act, by, self.now_us)
        except Refusal:
            return
        assert self.ticket.version == before.version + 1
        assert self.ticket.moved_us >= before.moved_us
        assert self.ticket.plan_sha256 == before.plan_sha256 == PLAN.sha256

    @rule()
    def submit(self) -> None:
        """Come to where it waits for approvals."""
        self.anything(Act.SUBMIT, REQUESTER, 0, back=False)

    @rule(by=PEOPLE, minutes=MINUTES)
    def approve(self, by: Caller | None, minutes: int) -> None:
        """Try to be the second."""
        self.anything(Act.APPROVE, by, minutes, back=False)

    @invariant()
    def nothing_is_ever_approved(self) -> None:
        """No sequence gets past the approvals."""
        assert self.ticket.state not in UNRELEASED | OUT | {State.DESTROYED, State.FAILED}
        assert len(self.ticket.approvals) <= 1


class Everybody(RuleBasedStateMachine):
    """The same with three approvers: what is released has two distinct ones, and is in its window."""

    def __init__(self) -> None:
        super().__init__()
        self.ticket, self.now_us = draft(), START_US

    @rule(
        act=st.sampled_from([*Act, *[act for act, _ in WAY]]),
        by=st.one_of(PEOPLE, st.sampled_from([QIAN, SUN])),
        minutes=MINUTES,
    )
    def anything(self, act: Act, by: Caller | None, minutes: int) -> None:
        """Try an act."""
        self.now_us += minutes * 60 * S
        before = self.ticket
        try:
            self.ticket = step(before, act, by, self.now_us)
        except Refusal:
            return
        assert before.state not in ENDED
        if act is Act.RELEASE:
            assert not before.held
            assert PLAN.not_before_us <= self.now_us < PLAN.not_after_us

    @rule()
    def go_on(self) -> None:
        """Take the next step of the way, so that the far states are reached."""
        for act, by in WAY:
            try:
                self.ticket = step(self.ticket, act, by, self.now_us)
            except Refusal:
                continue
            self.now_us += 120 * S
            return

    @invariant()
    def two_persons_stand_behind_what_moves_on(self) -> None:
        """Past the approvals there are two distinct persons, neither of them in the plan."""
        who = [one.who for one in self.ticket.approvals]
        assert len(set(who)) == len(who)
        assert not {PLAN.requester.person, PLAN.recipient.person} & set(who)
        if self.ticket.state in UNRELEASED | OUT | {State.DESTROYED, State.FAILED}:
            assert len(who) >= 2
            assert all(organisation == "140000" for organisation, _ in who)
        if self.ticket.state in PENDING:
            assert len(who) < 2


TestOneApprover = OneApprover.TestCase
TestOneApprover.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestEverybody = Everybody.TestCase
TestEverybody.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_what_stops_or_meets_a_duty_needs_no_rules_and_what_brings_nearer_does() -> None:
    for act, steps in ((Act.REVOKE, 5), (Act.HOLD, 5), (Act.DESTROY, 9), (Act.ACKNOWLEDGE, 8)):
        assert act in UNRULED
        by = RECIPIENT if act in (Act.DESTROY, Act.ACKNOWLEDGE) else officer()
        assert moved(along(steps), act, by, START_US + HOUR, None).version == steps + 2
    nearer = {Act.SUBMIT, Act.APPROVE, Act.BUILD, Act.SEAL, Act.FETCH, Act.RECEIVE, Act.RELEASE}
    assert not UNRULED & (nearer | {Act.UNHOLD, Act.EXPIRE})
    with pytest.raises(TypeError):
        moved(draft(), Act.SUBMIT, REQUESTER, START_US, None, COUNTED)
