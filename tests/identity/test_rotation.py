"""The state machine of lives: total, monotone, and exact to a microsecond at every bound."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import rotation
from gateway.identity.rotation import STAGES, Life, Secret, judge, needs_somebody, sorted_by_urgency

SECRET = Secret("token-key", "kid", "host")
MOMENT = 1_790_000_000_000_000
MOMENTS = st.integers(MOMENT - 10**15, MOMENT + 10**15)
MAYBE = st.none() | MOMENTS
LIVES = st.builds(
    Life,
    made_us=MOMENTS,
    step=st.sampled_from(rotation.STEPS),
    due_us=MAYBE,
    late_us=MAYBE,
    warned_us=st.lists(MOMENTS, max_size=4).map(tuple),
    overlapping=st.booleans(),
    restricted_us=MAYBE,
    blocked_us=MAYBE,
    step_after=st.sampled_from(rotation.STEPS),
)


@given(LIVES, MOMENTS, st.integers(0, 10**15))
def test_a_life_goes_one_way(life, now_us, later_us):
    """Whatever its moments: with the clock no stage comes back, nothing late is timely again."""
    before, after = judge(SECRET, life, now_us), judge(SECRET, life, now_us + later_us)
    assert STAGES.index(before.stage) <= STAGES.index(after.stage)
    assert (before.late, before.warnings) <= (after.late, after.warnings)
    assert 0 <= before.age_us <= after.age_us


@given(LIVES, MOMENTS)
def test_every_moment_has_exactly_one_stage_and_it_is_the_furthest_that_came(life, now_us):
    came = {
        "blocked": life.blocked_us is not None and now_us >= life.blocked_us,
        "restricted": life.restricted_us is not None and now_us >= life.restricted_us,
        "overlapping": life.overlapping,
        "warned": any(now_us >= moment for moment in life.warned_us),
        "issued": True,
    }
    found = judge(SECRET, life, now_us)
    assert found.stage == next(stage for stage, there in came.items() if there)
    assert found.step == (life.step_after if found.stage == "blocked" else life.step)


@pytest.mark.parametrize(
    ("bound", "before", "after"),
    [
        ("warned_us", "issued", "warned"),
        ("restricted_us", "issued", "restricted"),
        ("blocked_us", "issued", "blocked"),
        ("late_us", False, True),
    ],
)
def test_a_bound_holds_from_its_microsecond_on(bound, before, after):
    moment = (MOMENT,) if bound == "warned_us" else MOMENT
    life = replace(Life(0), **{bound: moment})
    told = [judge(SECRET, life, MOMENT + off) for off in (-1, 0, 1)]
    assert [one.late if bound == "late_us" else one.stage for one in told] == [before, after, after]


def test_warnings_are_counted_as_they_come():
    life = Life(0, warned_us=tuple(MOMENT - days * rotation.DAY_US for days in (14, 7, 3, 1)))
    for days, told in ((15, 0), (14, 1), (7.5, 1), (7, 2), (3, 3), (1, 4), (0, 4)):
        now_us = MOMENT - round(days * rotation.DAY_US)
        assert judge(SECRET, life, now_us).warnings == told


def test_an_age_is_never_negative():
    assert judge(SECRET, Life(MOMENT), MOMENT - 1).age_us == 0


@given(st.lists(st.tuples(LIVES, st.sampled_from(rotation.KINDS)), max_size=12), MOMENTS)
def test_who_is_late_comes_first_and_who_needs_nobody_last(lives, now_us):
    found = sorted_by_urgency(
        judge(Secret(kind, str(number), "host"), life, now_us)
        for number, (life, kind) in enumerate(lives)
    )
    late = [one.late for one in found]
    assert late == sorted(late, reverse=True)
    quiet = [not needs_somebody(one) for one in found]
    assert quiet == sorted(quiet)
    due = [one.due_us for one in found if not needs_somebody(one) and one.due_us is not None]
    assert due == sorted(due)
