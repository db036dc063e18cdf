from datetime import UTC, date, datetime

import pytest

from gateway import clock

# 2026-03-01 00:30 in Shanxi is still February in UTC.
NIGHT_US = clock.from_datetime(datetime(2026, 2, 28, 16, 30, tzinfo=UTC))


def test_the_civil_day_is_the_provinces():
    assert clock.civil_day(NIGHT_US) == date(2026, 3, 1)
    assert clock.to_datetime(NIGHT_US).date() == date(2026, 2, 28)


@pytest.mark.parametrize("us", [0, 1, 1_700_000_000_123_456, NIGHT_US, 4_102_444_799_999_999])
def test_microseconds_go_there_and_back(us):
    assert clock.from_datetime(clock.to_datetime(us)) == us
    assert datetime.fromisoformat(clock.iso(us)) == clock.to_datetime(us)


def test_only_a_hand_turns_a_turned_clock():
    turned = clock.TurnedClock(NIGHT_US)
    assert turned.now_us() == turned.now_us() == NIGHT_US
    turned.turn(seconds=1.5)
    assert turned.now_us() == NIGHT_US + 1_500_000
    assert turned.monotonic() == turned.now_us() / clock.US_PER_S
    turned.turn(seconds=-3)
    assert turned.now_us() == NIGHT_US - 1_500_000


def test_the_machines_clock_goes_forward():
    first, again = clock.SYSTEM.monotonic(), clock.SYSTEM.monotonic()
    assert again >= first
    assert clock.SYSTEM.now_us() > NIGHT_US - 10**15


class Parted:
    """A machine whose wall clock somebody sets, and whose other clock nobody does."""

    def __init__(self) -> None:
        self.us, self.s = NIGHT_US, 100.0

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.s


def test_time_passes_whoever_sets_the_clock_back():
    machine = Parted()
    passing = clock.Passing(machine, NIGHT_US + 5)
    assert passing.now_us() == NIGHT_US + 5
    machine.s += 2
    machine.us -= 3_600 * clock.US_PER_S
    assert passing.now_us() == NIGHT_US + 5 + 2 * clock.US_PER_S
    machine.us = NIGHT_US + 60 * clock.US_PER_S
    assert passing.now_us() == machine.us
