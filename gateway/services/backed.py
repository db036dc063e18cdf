"""Whether there is a backup that is young enough for anything to leave this gateway.

The log tells when one was last verified in its places. It is asked again only where what was known
is past: a newer one makes it better, nothing makes it worse.
"""

from gateway.backups import standing
from gateway.clock import Clock
from gateway.config.backups import BackupRules
from gateway.store.database import Database


class Backed:
    """Asks the log through a door's own connection."""

    def __init__(self, database: Database, rules: BackupRules, clock: Clock) -> None:
        """Judge by these rules."""
        self._database = database
        self._rules = rules
        self._clock = clock
        self._until_us = 0

    async def allows(self) -> bool:
        """Return whether exports may be built and leave; raises StoreError."""
        now_us = self._clock.now_us()
        if now_us < self._until_us:
            return True
        async with self._database.transaction() as tx:
            found = await standing.read(tx, self._rules, now_us)
        self._until_us = standing.blocks_from_us(found, self._rules)
        return found.state != "blocking"
