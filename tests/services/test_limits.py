import pytest

from gateway.clock import TurnedClock
from gateway.config.policies import CallLimits, RefusalLimits, StreamLimits
from gateway.errors import ExhaustedError
from gateway.services import limits
from gateway.services.limits import Buckets, Limits, Streams


def test_a_bucket_empties_and_refills():
    clock = TurnedClock(0)
    buckets = Buckets(2.0, 3, clock)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(ExhaustedError) as raised:
        buckets.take("a")
    assert raised.value.reason == "RATE_LIMITED"
    assert raised.value.retry_after_s == 0.5
    buckets.take("b")
    clock.turn(seconds=0.5)
    buckets.take("a")
    with pytest.raises(ExhaustedError):
        buckets.take("a")
    clock.turn(seconds=100)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(ExhaustedError):
        buckets.take("a")


def test_a_clock_turned_back_takes_nothing_away():
    clock = TurnedClock(10_000_000)
    buckets = Buckets(1.0, 2, clock)
    buckets.take("a")
    clock.turn(seconds=-5)
    buckets.take("a")
    with pytest.raises(ExhaustedError):
        buckets.take("a")


def test_buckets_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "BUCKETS_MAX", 3)
    buckets = Buckets(1.0, 1, TurnedClock(0))
    for key in "abcd":
        buckets.take(key)
    assert list(buckets._levels) == ["b", "c", "d"]


def test_streams_of_a_connection():
    streams = Streams(2)
    with (
        streams.one("a"),
        streams.one("a"),
        streams.one("b"),
        pytest.raises(ExhaustedError),
        streams.one("a"),
    ):
        pass
    with streams.one("a"):
        pass
    assert streams._open == {}


def test_limits_come_from_the_policies():
    calls = CallLimits(1.0, 1, 1.0, 2, 100)
    found = Limits(calls, StreamLimits(1, 8, 300.0), RefusalLimits(1.0, 3), TurnedClock(0))
    found.account("140105", "a")
    found.account("140106", "a")
    with pytest.raises(ExhaustedError):
        found.account("140105", "a")
    found.connection("n")
    found.connection("n")
    with pytest.raises(ExhaustedError):
        found.connection("n")
    assert (found.window, found.idle_s, found.shortest_deadline_ms) == (8, 300.0, 100)


def test_what_is_found_too_late_is_counted_all_the_same():
    clock = TurnedClock(0)
    buckets = Buckets(1.0, 2, clock)
    buckets.require("a")
    for _ in range(4):
        buckets.spend("a")
    with pytest.raises(ExhaustedError) as refused:
        buckets.require("a")
    assert refused.value.retry_after_s == pytest.approx(3)
    buckets.require("b")
    clock.turn(seconds=3)
    buckets.take("a")


def test_a_refusal_costs_its_source_and_a_connection_that_has_not_paid():
    calls = CallLimits(1.0, 1, 1.0, 2, 100)
    clock = TurnedClock(0)
    found = Limits(calls, StreamLimits(1, 8, 300.0), RefusalLimits(1.0, 3), clock)
    assert [found.refused("a", "n") for _ in range(3)] == [True, True, False]
    # The source has none left either, over whatever connection; another has.
    assert not found.refused("a", "m")
    assert not found.refused("a", None)
    assert found.refused("b", "m")
    # What there was not cannot be owed: a second later there is one again.
    clock.turn(seconds=1)
    assert found.refused("a", "n")
    assert not found.refused("a", "n")


def test_one_is_spared_or_none():
    buckets = Buckets(1.0, 1, TurnedClock(0))
    assert [buckets.spare("a"), buckets.spare("a"), buckets.spare("b")] == [True, False, True]
