"""What is due of tunnels by itself: old keys are retired, and who is not used is told of.

The administration door does both, once a minute. A key goes only after its successor was at work
for as long as both may (`tunnels.overlap_hours`), and never before. That a tunnel is unused is told
once, and again only when it was used meanwhile.
"""

from dataclasses import replace

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.config.policies import TunnelRules
from gateway.errors import Reason, StaleError, refuse
from gateway.registry import tunnel_keys, tunnels
from gateway.registry.tunnel_keys import DAY_US
from gateway.registry.tunnels import Tunnel
from gateway.store.database import Database, Transaction

RETIRED = "tunnel.retired"
UNUSED = "tunnel.unused"


class TunnelDuties:
    """The duties of one gateway."""

    def __init__(
        self, database: Database, recorder: Recorder, rules: TunnelRules, clock: Clock
    ) -> None:
        """Do them in this register, by these rules, and tell this log."""
        self._database = database
        self._recorder = recorder
        self._rules = rules
        self._clock = clock

    async def look(self, base: Event) -> int:
        """Do what is due, each with its leaf; returns how much that was.

        Raises StoreError and what the recorder raises; what is left is done the next time.
        """
        now_us = self._clock.now_us()
        unused_before_us = now_us - round(self._rules.unused_days * DAY_US)
        async with self._database.transaction() as tx:
            found = await tunnels.attended(tx, unused_before_us)
        done = 0
        for one in found:
            try:
                done += await self._attend(one, base, now_us)
            except StaleError:  # an officer was faster; its leaf says so
                continue
        return done

    async def _attend(self, one: Tunnel, base: Event, now_us: int) -> bool:
        if tunnel_keys.is_over(one, self._rules, now_us):
            await self._retire(one, base)
        elif one.unused_told_us is None and self._is_missed(one, now_us):
            await self._tell_unused(one, base)
        else:
            return False
        return True

    def _is_missed(self, one: Tunnel, now_us: int) -> bool:
        return tunnel_keys.judge(one, self._rules, now_us).unused_since_us is not None

    async def _retire(self, one: Tunnel, base: Event) -> None:
        event = _about(one, base).with_(
            kind=RETIRED,
            detail={
                "cause": "superseded",
                "state": "removed",
                "target_organisation": one.organisation,
                "target_tunnel": one.followed_by,
            },
        )

        async def work(tx: Transaction) -> Event:
            now_us = self._clock.now_us()
            found = await tunnels.read(tx, one.kind, one.peer)
            # The successor may have been locked a moment ago: then nobody else holds the way open.
            if found is None or not tunnel_keys.is_over(found, self._rules, now_us):
                raise refuse(Reason.REVISION_STALE)
            await tunnels.set_state(tx, replace(found, state=tunnels.REMOVED), now_us)
            return event

        await self._recorder.append(event, work)

    async def _tell_unused(self, one: Tunnel, base: Event) -> None:
        event = _about(one, base).with_(kind=UNUSED, detail={"alert": "tunnel-unused"})

        async def work(tx: Transaction) -> Event:
            if not await tunnels.tell_unused(tx, one, self._clock.now_us()):
                raise refuse(Reason.REVISION_STALE)
            return event

        await self._recorder.append(event, work)


def _about(one: Tunnel, base: Event) -> Event:
    """Return a leaf that the organisation's own auditors find."""
    return base.with_(organisation=one.organisation, tunnel=one.peer)
