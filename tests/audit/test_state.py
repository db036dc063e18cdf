"""Normal, degraded, recovering, closed; and counts that lose nobody."""

import pytest

from gateway.audit.state import State
from gateway.errors import Reason, Refusal


def reason(state: State) -> Reason:
    with pytest.raises(Refusal) as error:
        state.admit()
    return error.value.reason


def test_normal_admits() -> None:
    state = State()
    state.admit()
    assert not state.degraded
    assert state.refused == 0


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("store", Reason.AUDIT_DEGRADED),
        ("log", Reason.AUDIT_DEGRADED),
        ("signer", Reason.SIGNER_AWAY),
    ],
)
def test_degraded_refuses_and_counts(cause: str, expected: Reason) -> None:
    state = State()
    state.degrade(cause, 100)  # type: ignore[arg-type]
    assert [reason(state) for _ in range(3)] == [expected] * 3
    state.degrade("store", 200)
    state.refusal(unknown=True)
    event = state.recovering("intake", 300)
    assert event.counts == {"refused": 3, "unknown": 1}
    assert event.detail == {"cause": "store", "outage_from_us": 100, "outage_until_us": 300}
    state.admit()


def test_what_is_refused_after_the_leaf_was_made_is_told_in_the_next() -> None:
    state = State()
    state.degrade("store", 100)
    state.refusal()
    state.recovering("intake", 200)
    state.degrade("signer", 250)
    state.refusal()
    assert state.since_us == 100
    assert state.recovering("intake", 300).counts == {"refused": 2, "unknown": 0}
    state.refusal()
    state.recovered()
    assert (state.refused, state.phase) == (1, "normal")


def test_a_clock_that_went_back_during_the_outage() -> None:
    state = State()
    state.degrade("store", 100)
    assert state.recovering("intake", 50).detail == {
        "cause": "store",
        "outage_from_us": 100,
        "outage_until_us": 100,
    }


def test_closed_stays_closed() -> None:
    state = State(phase="closed")
    state.degrade("store", 1)
    assert reason(state) is Reason.SHUTTING_DOWN
