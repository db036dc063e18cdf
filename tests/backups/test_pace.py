"""A copy is held at its rate on the average; without one it never waits."""

from gateway.backups.pace import Pace, paced
from gateway.clock import TurnedClock


def test_it_waits_for_what_it_is_ahead() -> None:
    clock = TurnedClock(10**15)
    pace = Pace(100, clock)
    assert pace.ahead_s(102_400) == 1.0
    assert pace.ahead_s(51_200) == 1.5
    free = Pace(0, clock)
    assert free.ahead_s(10**12) == 0.0
    free.keep(10**12)


def test_what_is_read_is_paced_too_one_backup_after_the_other(monkeypatch) -> None:
    clock, told, waited = TurnedClock(10**15), [], []
    monkeypatch.setattr("gateway.backups.pace.time.sleep", waited.append)
    watch = paced(100, lambda *one: told.append(one), clock)
    for one in ((51_200, 102_400), (102_400, 102_400), (51_200, 51_200)):
        watch(*one)
    assert told == [(51_200, 102_400), (102_400, 102_400), (51_200, 51_200)]
    assert waited == [0.5, 1.0, 1.5]
