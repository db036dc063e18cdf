"""Joins what a VPN saw with the register: whose tunnel it is, and whether it proves that now.

A sighting of a provider that is its own register (`static`) names the organisation itself. Who
comes is looked up, always: who was locked a moment ago is refused.
"""

import json
from collections.abc import Collection, Mapping

from gateway.clock import US_PER_S, Clock
from gateway.config.policies import TunnelRules
from gateway.errors import Reason, refuse
from gateway.store.database import Database, StoreError
from gateway.vpn.origin import Origin, Sighting

ACTIVE = 1
# Kind and peer, as in a sighting.
Key = tuple[str, str]
_TUNNEL = "SELECT organisation, state FROM gateway.tunnel WHERE kind = %s AND peer = %s"
# psycopg writes an array item by item, JSON at once: a thousand peers are asked for in one look.
_STATES = (
    "SELECT s.kind, s.peer, t.state FROM json_to_recordset(%s::json) AS s (kind text, peer text)"
    " LEFT JOIN gateway.tunnel AS t USING (kind, peer) WHERE t.state IS DISTINCT FROM 1"
)
_EPOCH = "SELECT value FROM gateway.epoch WHERE name = 'registry'"
_SEEN = (
    "SELECT gateway.tunnel_seen(array_agg(s.kind), array_agg(s.peer), %s)"
    " FROM json_to_recordset(%s::json) AS s (kind text, peer text)"
)


class Peers:
    """The registered peers of one gateway."""

    def __init__(self, database: Database, rules: TunnelRules, clock: Clock) -> None:
        """Ask this register, under these rules."""
        self._database = database
        self._clock = clock
        self._handshake_us = round(rules.handshake_s * US_PER_S)
        # Of those that stand: who was good, and at which epoch of the register.
        self._good: set[Key] = set()
        self._epoch: object = None

    async def origin(self, sighting: Sighting) -> Origin:
        """Return whose tunnel a sighting is of.

        Raises ORIGIN_UNREGISTERED, ORIGIN_LOCKED, ORIGIN_STALE, STORE_AWAY.
        """
        organisation = sighting.organisation or await self._organisation(sighting)
        return Origin(
            organisation, sighting.peer, sighting.kind, sighting.strength, sighting.ingress
        )

    def stale(self, sighting: Sighting) -> bool:
        """Return whether a registered peer's handshake proves nothing any more, or there is none.

        What needs no register has no handshakes either.
        """
        if sighting.organisation:
            return False
        seen_us = sighting.handshake_us
        return seen_us is None or self._clock.now_us() - seen_us > self._handshake_us

    async def fallen(self, peers: Collection[Key]) -> Mapping[Key, Reason]:
        """Return which of these may not be used any more, and why; raises StoreError.

        Who was good is not looked up again while the register's epoch stands: it moves with every
        change of a tunnel's state, and is read before the states.
        """
        [(epoch,)] = await self._database.fetch(_EPOCH)
        if epoch != self._epoch:
            self._good.clear()
        asked = [key for key in peers if key not in self._good]
        rows = await self._database.fetch(_STATES, (_named(asked),)) if asked else []
        fallen = {
            (kind, peer): Reason.ORIGIN_UNREGISTERED if state is None else Reason.ORIGIN_LOCKED
            for kind, peer, state in rows
        }
        self._epoch, self._good = epoch, set(peers) - fallen.keys()
        return fallen

    async def seen(self, peers: Collection[Key]) -> None:
        """Note in the register that these are at work now; raises StoreError."""
        await self._database.fetch(_SEEN, (self._clock.now_us(), _named(peers)))

    async def _organisation(self, sighting: Sighting) -> str:
        try:
            rows = await self._database.fetch(_TUNNEL, (sighting.kind, sighting.peer))
        except StoreError:
            raise refuse(Reason.STORE_AWAY) from None
        if not rows:
            raise refuse(Reason.ORIGIN_UNREGISTERED)
        [(organisation, state)] = rows
        if state != ACTIVE:
            raise refuse(Reason.ORIGIN_LOCKED)
        if self.stale(sighting):
            raise refuse(Reason.ORIGIN_STALE)
        return str(organisation)


def _named(peers: Collection[Key]) -> str:
    return json.dumps([{"kind": kind, "peer": peer} for kind, peer in peers])
