"""Joins what a VPN saw with the register: whose tunnel it is, and whether it proves that now.

A sighting of a provider that is its own register (`static`) names the organisation itself. Nothing
is cached here: who was locked a moment ago is refused.
"""

from gateway.clock import US_PER_S, Clock
from gateway.config.policies import TunnelRules
from gateway.errors import Reason, refuse
from gateway.store.database import Database, StoreError
from gateway.vpn.origin import Origin, Sighting

ACTIVE = 1
_TUNNEL = "SELECT organisation, state FROM gateway.tunnel WHERE kind = %s AND peer = %s"


class Peers:
    """The registered peers of one gateway."""

    def __init__(self, database: Database, rules: TunnelRules, clock: Clock) -> None:
        """Ask this register, under these rules."""
        self._database = database
        self._clock = clock
        self._handshake_us = round(rules.handshake_s * US_PER_S)

    async def origin(self, sighting: Sighting) -> Origin:
        """Return whose tunnel a sighting is of.

        Raises ORIGIN_UNREGISTERED, ORIGIN_LOCKED, ORIGIN_STALE, STORE_AWAY.
        """
        organisation = sighting.organisation or await self._organisation(sighting)
        return Origin(
            organisation, sighting.peer, sighting.kind, sighting.strength, sighting.ingress
        )

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
        seen_us = sighting.handshake_us
        if seen_us is None or self._clock.now_us() - seen_us > self._handshake_us:
            raise refuse(Reason.ORIGIN_STALE)
        return str(organisation)
