"""How many connections and handshakes there may be, of one peer and of all; each limit is a policy.

A peer is a source address at one of our listening addresses: what shares a source (a gateway of a
VPN) is still kept apart by the address it comes to. A limit that is reached refuses; nothing waits.
"""

import math
import resource
from collections import Counter
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.config.policies import ConnectionLimits
from gateway.errors import Reason, refuse

# Buckets remembered; beyond, the longest unseen are forgotten, which only gives them a full one.
PEERS_MAX = 10_000
# Two a connection, and what the process itself needs.
_DESCRIPTORS_EACH = 2
_DESCRIPTORS_OWN = 256


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Places:
    """Counts what is open.

    `enter` and `leave` for connections, `begin` and `done` for handshakes.
    """

    def __init__(self, limits: ConnectionLimits, clock: Clock) -> None:
        """Count against these limits."""
        self._limits = limits
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._shaking: Counter[str] = Counter()
        self._buckets: dict[str, _Bucket] = {}

    @property
    def total(self) -> int:
        """How many connections are open, their handshakes included."""
        return self._open.total()

    def enter(self, peer: str) -> None:
        """Take a place for a new connection, in its handshake at first.

        Raises CONNECTIONS_EXHAUSTED or RATE_LIMITED; then no place is taken.
        """
        limits = self._limits
        for count, limit in (
            (self.total, limits.total),
            (self._open[peer], limits.per_peer),
            (self._shaking.total(), limits.handshakes),
            (self._shaking[peer], limits.handshakes_per_peer),
        ):
            if count >= limit:
                raise refuse(Reason.CONNECTIONS_EXHAUSTED, metadata={"limit": str(limit)})
        self._take_token(peer)
        self._open[peer] += 1
        self._shaking[peer] += 1

    def shaken(self, peer: str) -> None:
        """Note that a handshake is over, well or not."""
        _less(self._shaking, peer)

    def leave(self, peer: str) -> None:
        """Give a connection's place back."""
        _less(self._open, peer)

    def _take_token(self, peer: str) -> None:
        now, limits = self._clock.monotonic(), self._limits
        bucket = self._buckets.pop(peer, None) or _Bucket(limits.new_per_peer_burst, now)
        earned = max(0.0, now - bucket.at) * limits.new_per_peer_per_s
        tokens = min(float(limits.new_per_peer_burst), bucket.tokens + earned)
        allowed = tokens >= 1
        self._buckets[peer] = _Bucket(tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > PEERS_MAX:
            del self._buckets[next(iter(self._buckets))]
        if not allowed:
            limit = str(math.floor(limits.new_per_peer_per_s))
            raise refuse(Reason.RATE_LIMITED, metadata={"limit": limit})


def raise_descriptors(connections: int) -> None:
    """Ask for as many descriptors as the limits admit connections; the hard limit stays."""
    wanted = connections * _DESCRIPTORS_EACH + _DESCRIPTORS_OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _less(counter: "Counter[str]", peer: str) -> None:
    counter[peer] -= 1
    if counter[peer] <= 0:
        del counter[peer]
