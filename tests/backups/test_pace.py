"""A copy is held at its rate on the average; without one it never waits."""

from gateway.backups.pace import Pace
from gateway.clock import TurnedClock


def test_it_waits_for_what_it_is_ahead() -> None:
    clock = TurnedClock(10**15)
    pace = Pace(100, clock)
    assert pace.ahead_s(102_400) == 1.0
    assert pace.ahead_s(51_200) == 1.5
    free = Pace(0, clock)
    assert free.ahead_s(10**12) == 0.0
    free.keep(10**12)
