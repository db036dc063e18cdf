import pytest

from gateway.clock import TurnedClock
from gateway.config.policies import ConnectionLimits
from gateway.errors import Reason, Refusal
from gateway.front import places
from gateway.front.places import Places

LIMITS = ConnectionLimits(
    total=4,
    per_peer=3,
    new_per_peer_per_s=1.0,
    new_per_peer_burst=10,
    handshakes=3,
    handshakes_per_peer=2,
    longest_hours=8.0,
)


def refused(counted, peer):
    before = counted.total
    with pytest.raises(Refusal) as refusal:
        counted.enter(peer)
    assert counted.total == before
    return refusal.value.reason, refusal.value.metadata["limit"]


def standing(counted, peer):
    counted.enter(peer)
    counted.shaken(peer)


def test_per_peer_and_in_total():
    counted = Places(LIMITS, TurnedClock(0))
    for _ in range(3):
        standing(counted, "a")
    assert refused(counted, "a") == (Reason.CONNECTIONS_EXHAUSTED, "3")
    standing(counted, "b")
    assert refused(counted, "c") == (Reason.CONNECTIONS_EXHAUSTED, "4")
    counted.leave("a")
    standing(counted, "a")
    for peer in "aaab":
        counted.leave(peer)
    assert counted.total == 0


def test_handshakes_at_once():
    counted = Places(LIMITS, TurnedClock(0))
    counted.enter("a")
    counted.enter("a")
    assert refused(counted, "a")[0] is Reason.CONNECTIONS_EXHAUSTED
    counted.enter("b")
    assert refused(counted, "c")[0] is Reason.CONNECTIONS_EXHAUSTED
    counted.shaken("a")
    counted.enter("c")


def test_new_ones_per_second():
    clock = TurnedClock(0)
    counted = Places(LIMITS, clock)
    for _ in range(10):
        standing(counted, "a")
        counted.leave("a")
    assert refused(counted, "a") == (Reason.RATE_LIMITED, "1")
    standing(counted, "b")
    clock.turn(seconds=2)
    for _ in range(2):
        standing(counted, "a")
        counted.leave("a")
    assert refused(counted, "a")[0] is Reason.RATE_LIMITED
    clock.turn(seconds=-100)
    assert refused(counted, "a")[0] is Reason.RATE_LIMITED


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(places, "PEERS_MAX", 5)
    counted = Places(LIMITS, TurnedClock(0))
    for peer in range(50):
        standing(counted, str(peer))
        counted.leave(str(peer))
    assert len(counted._buckets) <= 5
    assert not counted._open
    assert not counted._shaking


def test_descriptors_for_as_many_as_are_admitted_and_never_fewer(monkeypatch):
    asked = []
    monkeypatch.setattr(places.resource, "setrlimit", lambda _, limits: asked.append(limits))
    for hard, wanted in ((100_000, 20_256), (9_000, 9_000), (-1, 20_256)):
        monkeypatch.setattr(places.resource, "getrlimit", lambda _, hard=hard: (1_024, hard))
        places.raise_descriptors(10_000)
        assert asked.pop() == (wanted, hard)
    monkeypatch.setattr(places.resource, "getrlimit", lambda _: (50_000, 50_000))
    places.raise_descriptors(10_000)
    assert not asked
