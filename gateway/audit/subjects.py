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
from gateway.store.database import Database, Transaction
from gateway.store.tag_keys import TagKeyError
from gateway.tlog import leaf

TAG_BYTES = 16
FORGET_KIND = "audit.forget"
_SPAN = "SELECT min(time_us), max(time_us) FROM gateway.audit_entry"
# The database takes these of nobody but the owner (0041_side_parts.sql).
_TOLD = "SELECT leaf FROM gateway.audit_entry WHERE kind = %s AND decision = 'allow'"


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


async def unknown(tx: Transaction, home: Home) -> list[str]:
    """Return the quarters of the log whose key is lost: nothing about a child is found in them."""
    row = await tx.fetch_one(_SPAN)
    return [] if row is None or row[0] is None else tag_keys.lost(home, row[0], row[1])


class Founding:
    """The duty of the administration door: a quarter begins with a key, and nobody is told."""

    def __init__(self, home: Home, clock: Clock, database: Database) -> None:
        """Keep the keys of this HOME; this database has the log."""
        self._home = home
        self._clock = clock
        self._database = database
        self._finished = False

    async def look(self, _base: Event) -> list[str]:
        """Make what this quarter and the next lack; return of which. Raises OSError.

        The first look also destroys the keys whose end is on the log already: the command that
        told it was broken off before it came to the file.
        """
        if not self._finished:
            await self._finish()
            self._finished = True
        return tag_keys.make(self._home, self._clock.now_us())

    async def _finish(self) -> None:
        async with self._database.transaction() as tx:
            rows = await tx.fetch(_TOLD, (FORGET_KIND,))
        details = [leaf.parse(bytes(row[0])).get("detail") for row in rows]
        told = {one.get("quarter") for one in details if isinstance(one, dict)}
        for quarter in told & {*tag_keys.kept(self._home)}:
            tag_keys.forget(self._home, str(quarter), self._clock.now_us())
