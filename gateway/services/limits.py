"""How much one connection and one account may ask for.

Token buckets and open streams, numbers from the policies.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.config.policies import CallLimits, RefusalLimits, StreamLimits
from gateway.errors import Reason, refuse

# Buckets kept at once; a full bucket equals an absent one, so forgetting the longest unused is
# harmless below this.
BUCKETS_MAX = 4096


@dataclass(slots=True)
class _Level:
    tokens: float
    at: float


class Buckets:
    """Token buckets by key.

    Each refills with `rate_per_s` up to `burst`, and every call takes one.
    """

    def __init__(self, rate_per_s: float, burst: float, clock: Clock) -> None:
        """Start with every bucket full."""
        self._rate = rate_per_s
        self._burst = burst
        self._clock = clock
        self._levels: OrderedDict[object, _Level] = OrderedDict()

    def take(self, key: object) -> None:
        """Take one; raises RATE_LIMITED with the seconds until there is one again."""
        self.require(key)
        self.spend(key)

    def require(self, key: object) -> None:
        """Pass while there is one to take; raises RATE_LIMITED as `take` does."""
        level = self._level(key)
        if level.tokens < 1:
            raise refuse(Reason.RATE_LIMITED, retry_after_s=(1 - level.tokens) / self._rate)

    def spend(self, key: object) -> None:
        """Take one whether there is one or not: what was found too late counts all the same."""
        self._level(key).tokens -= 1

    def spare(self, key: object) -> bool:
        """Take one where there is one; return whether there was."""
        level = self._level(key)
        found = level.tokens >= 1
        level.tokens -= found
        return found

    def _level(self, key: object) -> _Level:
        now = self._clock.monotonic()
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = _Level(self._burst, now)
            if len(self._levels) > BUCKETS_MAX:
                self._levels.popitem(last=False)
        else:
            self._levels.move_to_end(key)
            # A monotonic clock never runs back; a turned one may, and must not empty a bucket.
            gained = max(0.0, now - level.at) * self._rate
            level.tokens = min(self._burst, level.tokens + gained)
            level.at = now
        return level


class Streams:
    """How many streams each connection has open."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` streams per connection."""
        self._limit = limit
        self._open: dict[str, int] = {}

    @contextmanager
    def one(self, connection: str) -> Iterator[None]:
        """Hold one stream of a connection open; raises RATE_LIMITED when it has enough."""
        already = self._open.get(connection, 0)
        if already >= self._limit:
            raise refuse(Reason.RATE_LIMITED)
        self._open[connection] = already + 1
        try:
            yield
        finally:
            left = self._open[connection] - 1
            if left:
                self._open[connection] = left
            else:
                del self._open[connection]


class Limits:
    """All limits of one door, from policies/limits.toml."""

    def __init__(
        self, calls: CallLimits, streams: StreamLimits, refusals: RefusalLimits, clock: Clock
    ) -> None:
        """Start with every bucket full and no stream open."""
        told = refusals.leaves_per_peer_per_s, refusals.leaves_per_peer_burst
        self._refusals = Buckets(*told, clock)
        self._accounts = Buckets(calls.per_account_per_s, calls.per_account_burst, clock)
        self._connections = Buckets(calls.per_connection_per_s, calls.per_connection_burst, clock)
        self.streams = Streams(streams.per_connection)
        self.window = streams.window
        self.idle_s = streams.idle_s
        self.shortest_deadline_ms = calls.shortest_deadline_ms

    def account(self, organisation: str, account: str) -> None:
        """Take one call of an account, over all its connections; raises RATE_LIMITED."""
        self._accounts.take((organisation, account))

    def connection(self, name: str) -> None:
        """Take one call of a connection that has not logged in; raises RATE_LIMITED."""
        self._connections.take(name)

    def refused(self, source: object, connection: str | None) -> bool:
        """Take what a refusal costs, of its source and of a connection that has not paid yet.

        Return whether both had one: beyond, it is counted and has no leaf of its own.
        """
        told = self._refusals.spare(source)
        return (connection is None or self._connections.spare(connection)) and told
