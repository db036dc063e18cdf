"""The un-witnessed tail, watched: past the policy's limits it is told of, once each way.

The administration door looks once a minute. Where no witness is registered nobody ever vouched:
`gateway status` says so, and there is nothing to fall behind.
"""

from gateway.audit import vouching
from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.vouching import Tail
from gateway.clock import Clock
from gateway.config.witnesses import WitnessRules
from gateway.registry import witnesses
from gateway.store.database import Database, Transaction

BEHIND = "log.unwitnessed"
AGAIN = "log.witnessed"


class WitnessDuty:
    """The duty of one gateway; a new process tells again."""

    def __init__(
        self, database: Database, recorder: Recorder, rules: WitnessRules, clock: Clock
    ) -> None:
        """Watch this log by these rules."""
        self._database, self._recorder = database, recorder
        self._rules, self._clock = rules, clock
        self._told = False

    async def look(self, base: Event) -> bool:
        """Tell what changed; returns whether something did. Raises StoreError, as the recorder."""
        now_us = self._clock.now_us()
        async with self._database.transaction() as tx:
            if not await witnesses.counting(tx):
                return False
            tail = await current(tx, self._rules, now_us)
        behind = tail.too_long(self._rules, now_us)
        if behind == self._told:
            return False
        detail: dict[str, str | int] = {"from_size": tail.confirmed_size}
        if behind:
            detail["alert"] = "log-unwitnessed"
        kind = BEHIND if behind else AGAIN
        await self._recorder.append(
            base.with_(kind=kind, detail=detail, counts={"entries": tail.entries})
        )
        self._told = behind
        return True


async def current(tx: Transaction, rules: WitnessRules, now_us: int) -> Tail:
    """Return the un-witnessed tail by the witnesses that count now."""
    counting = [(one.organisation, one.key) for one in await witnesses.counting(tx)]
    return await vouching.tail(tx, vouching.quorum((), counting, rules), now_us)
