"""By what a leaf tells of which child it is: HMAC-SHA-256 of the child's code, cut to 16 bytes.

The key is that of the quarter in which the leaf is (`store.tag_keys`): whoever has it finds the
leaves about a child whose code he knows, and no other; without it a tag tells nothing, not even
that leaves of two quarters are about the same child.
"""

import hmac
from dataclasses import dataclass

from gateway.audit.event import Event, EventError
from gateway.clock import Clock
from gateway.config.home import Home
from gateway.store import tag_keys
from gateway.store.tag_keys import TagKeyError

TAG_BYTES = 16


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """A child that leaves may be about: an `event.Tagged`. Its code is in no text of it."""

    home: Home
    code: str

    def __repr__(self) -> str:
        """Say nothing."""
        return "***"

    def tag(self, time_us: int) -> str:
        """Return the tag of a leaf of this moment, hexadecimal; raises EventError without a key."""
        try:
            return self._in(tag_keys.quarter_of(time_us))
        except TagKeyError as error:
            raise EventError(str(error)) from None

    def tags(self) -> list[str]:
        """Return the tag of each quarter that has a key; raises TagKeyError, OSError."""
        return [self._in(quarter) for quarter in tag_keys.kept(self.home)]

    def _in(self, quarter: str) -> str:
        key = tag_keys.load(self.home, quarter)
        return hmac.digest(key, self.code.encode(), "sha256")[:TAG_BYTES].hex()


class Founding:
    """The duty of the administration door: a quarter begins with a key, and nobody is told."""

    def __init__(self, home: Home, clock: Clock) -> None:
        """Keep the keys of this HOME."""
        self._home = home
        self._clock = clock

    async def look(self, _base: Event) -> list[str]:
        """Make what this quarter and the next lack; return of which. Raises OSError."""
        return tag_keys.make(self._home, self._clock.now_us())
