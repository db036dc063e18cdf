"""A source has its leaves, a flood has its count, and the two add up."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.floods import BURST, LEAVES_PER_S, SOURCES_MAX, Count, Floods
from gateway.clock import US_PER_S
from tests.audit.stage import NOW_US


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400_000)), max_size=300))
def test_every_event_is_admitted_or_counted(steps: list[tuple[str, int]]) -> None:
    floods, now, admitted = Floods("front"), NOW_US, 0
    for source, wait in steps:
        now += wait
        admitted += floods.admit(source, now)
    counted = floods.collect()
    assert admitted + sum(count.calls for count in counted) == len(steps)
    assert floods.collect() == []
    for count in counted:
        assert NOW_US <= count.first_us <= count.last_us <= now


def test_a_bucket_fills_again_and_never_beyond_its_size() -> None:
    floods = Floods("front")
    assert [floods.admit("a", NOW_US) for _ in range(BURST + 1)] == [True] * BURST + [False]
    later = NOW_US + US_PER_S
    assert sum(floods.admit("a", later) for _ in range(50)) == LEAVES_PER_S
    assert sum(floods.admit("a", later + 3600 * US_PER_S) for _ in range(50)) == BURST
    assert floods.admit("b", NOW_US)


def test_an_alert_is_not_hidden_by_its_senders_flood() -> None:
    floods = Floods("front")
    for _ in range(BURST + 5):
        floods.admit("a", NOW_US)
    assert all(floods.admit("a", NOW_US, "break-glass") for _ in range(BURST))
    assert not floods.admit("a", NOW_US, "break-glass")
    plain, alerting = floods.collect()
    assert (plain.calls, alerting.calls) == (5, 1)
    detail = floods.event(alerting).detail
    assert detail is not None
    assert detail["alert"] == "break-glass"
    assert "alert" not in (floods.event(plain).detail or {})


def test_a_clock_that_goes_back_earns_nothing() -> None:
    floods = Floods("front")
    for _ in range(BURST):
        floods.admit("a", NOW_US)
    assert not floods.admit("a", NOW_US - 3600 * US_PER_S)


def test_memory_is_bounded() -> None:
    floods = Floods("front")
    for i in range(SOURCES_MAX + 50):
        floods.admit(f"10.{i}", NOW_US)
    assert len(floods._buckets) == SOURCES_MAX


def test_counts_put_back_are_added() -> None:
    async def main() -> None:
        floods = Floods("front")
        floods.count(Count("a", 3, 10, 20))
        await floods.wait()
        (count,) = floods.collect()
        floods.count(Count("a", 2, 15, 30))
        floods.count(count)
        assert floods.collect() == [Count("a", 5, 10, 30)]

    asyncio.run(main())


def test_the_leaf_that_tells() -> None:
    made = Floods("front").event(Count("10.8.0.0/24", 5, 10, 30)).to_leaf(40)
    assert b'"counts":{"suppressed":5}' in made
    assert b'"detail":{"first_us":10,"last_us":30,"source":"10.8.0.0/24"}' in made
