"""What row and log tell differently is stopped by one person, and never carried on."""

from dataclasses import replace

import pytest

from gateway.errors import Reason, Refusal
from gateway.exports.states import ENDED, OUT, State
from gateway.exports.stopping import stopped
from gateway.exports.ticket import Act, Given
from tests.exports.tickets import (
    RECIPIENT,
    REQUESTER,
    START_US,
    along,
    approver,
    officer,
)

DUE = Given(due_us=START_US + 9)
NOW_US = START_US + 1


def stop(state, act, by, version=0):
    return stopped(replace(along(9), state=state), version, act, by, NOW_US, DUE)


@pytest.mark.parametrize("state", list(State))
def test_where_a_file_may_be_out_it_is_called_back_else_revoked_what_is_over_stays(state):
    for act, to in ((Act.REVOKE, State.REVOKED), (Act.RECALL, State.RECALLED)):
        if state in ENDED or (state in OUT) != (act is Act.RECALL):
            with pytest.raises(Refusal) as raised:
                stop(state, act, officer())
            assert raised.value.reason is Reason.TICKET_STATE
        else:
            assert stop(state, act, officer()).state is to


def test_the_higher_version_is_followed_and_no_time_of_the_rows():
    own = along(9).version
    for version, expected in ((0, own + 1), (own, own + 1), (own + 5, own + 6)):
        after = stop(State.APPROVED, Act.REVOKE, REQUESTER, version)
        assert (after.version, after.moved_us) == (expected, NOW_US)


@pytest.mark.parametrize("by", [RECIPIENT, approver("hang", organisation="140100")])
def test_by_those_alone_who_may_stop_any_ticket(by):
    for state in (State.APPROVED, State.REVOKED, State.RELEASED):
        for act in (Act.REVOKE, Act.RECALL):
            with pytest.raises(Refusal) as raised:
                stop(state, act, by)
            assert raised.value.reason is Reason.TICKET_NOT_YOURS


def test_a_held_one_too():
    ticket = replace(along(3), held=True)
    after = stopped(ticket, 0, Act.REVOKE, approver("suny"), NOW_US)
    assert after.state is State.REVOKED
