"""The tunnels of the connections that stand: VPN and register are asked again, all the time.

A peer that the VPN or the register does not have any more, a handshake that is too old, an endpoint
that is another one, a relation that was ended: each is a reason to cut (decision 0012). Where the
VPN itself is away nothing is known of anybody: its restart is waited for, not longer. Neither look
waits for the other: a database that is slow delays nobody whose peer is gone.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from gateway import log
from gateway.clock import Clock
from gateway.config.policies import TunnelRules
from gateway.errors import Reason, Refusal
from gateway.front import standing
from gateway.link.connection import Connection
from gateway.store.database import Database, StoreError
from gateway.vpn.origin import Sighting, TunnelProvider
from gateway.vpn.peers import Key, Peers

# "Last seen" is for people: to a minute.
NOTE_S = 60.0
# So many connections are looked at before somebody else has a turn: about a millisecond.
SLICE = 256
_LOG = log.get("front")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a connection came from when it was admitted: its address, ours, what the VPN said."""

    address: str
    host: str
    sighting: Sighting


class Origins:
    """The tunnels of one front."""

    def __init__(
        self,
        tunnels: TunnelProvider,
        peers: Peers,
        database: Database,
        rules: TunnelRules,
        clock: Clock,
    ) -> None:
        """Ask this VPN and this register."""
        self._tunnels = tunnels
        self._peers = peers
        self._database = database
        self._clock = clock
        self._away_s = rules.away_s
        self._away_since: float | None = None
        # When each peer was last noted as seen, and who came in since the last look.
        self._noted: dict[Key, float] = {}
        self._met: set[Key] = set()
        self.watch_s = rules.watch_s

    def met(self, place: Whereabouts) -> None:
        """Be told of a connection that was admitted: it may be gone before the next look."""
        if not place.sighting.organisation:
            self._met.add(_key(place))

    async def by_vpn(self, live: Collection[tuple[Connection, Whereabouts]]) -> dict[str, Reason]:
        """Return by name which connections the VPN does not bear any more, and why."""
        found: dict[str, Reason] = {}
        said: dict[tuple[str, str, str], Sighting | Reason] = {}
        for number, (connection, place) in enumerate(live):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            before = place.sighting
            key = place.address, place.host, before.ingress
            now = said.get(key)
            if now is None:
                now = said[key] = await self._ask(*key)
            if isinstance(now, Sighting):
                if now.peer != before.peer or now.endpoint != before.endpoint:
                    found[connection.name] = Reason.ORIGIN_MOVED
            elif now is Reason.ORIGIN_AWAY:
                return self._away(live)
            else:
                found[connection.name] = now
        self._away_since = None
        return found

    async def _ask(self, address: str, host: str, interface: str) -> Sighting | Reason:
        """Return the peer that is there now, or why nobody is who proves anything."""
        try:
            found = await self._tunnels.whois(address, host, interface)
        except Refusal as refusal:
            return refusal.reason
        return Reason.ORIGIN_STALE if self._peers.stale(found) else found

    def _away(self, live: Collection[tuple[Connection, Whereabouts]]) -> dict[str, Reason]:
        """Return everybody, once it has been away for too long: nothing proves them any more."""
        now = self._clock.monotonic()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since < self._away_s:
            return {}
        return {connection.name: Reason.ORIGIN_AWAY for connection, _ in live}

    async def by_register(
        self, live: Collection[tuple[Connection, Whereabouts]]
    ) -> dict[str, Reason]:
        """Return by name which connections fell in the register, and why.

        Nobody while the store is away: the doors refuse every call then.
        """
        at_work = {_key(place) for _, place in live if not place.sighting.organisation}
        guests = [
            connection
            for connection, _ in live
            if connection.organisation != connection.origin.organisation
        ]
        try:
            fallen = await self._peers.fallen(at_work) if at_work else {}
            hosts = await standing.tunnel_users(self._database) if guests else frozenset()
            await self._note(at_work.difference(fallen))
        except StoreError as error:
            _LOG.warning("tunnels not looked up", error=type(error).__name__)
            return {}
        found = {}
        if fallen:
            found = {
                connection.name: fallen[_key(place)]
                for connection, place in live
                if _key(place) in fallen
            }
        for guest in guests:
            if (guest.organisation, guest.origin.organisation) not in hosts:
                found.setdefault(guest.name, Reason.ORIGIN_MISMATCH)
        return found

    async def _note(self, peers: Collection[Key]) -> None:
        """Note who is at work, and who came and went since the last look; each once a minute."""
        now, met = self._clock.monotonic(), frozenset(self._met)
        due = {
            key for key in met.union(peers) if now - self._noted.get(key, float("-inf")) >= NOTE_S
        }
        if due:
            await self._peers.seen(due)
            self._noted.update(dict.fromkeys(due, now))
        self._met -= met


def _key(place: Whereabouts) -> Key:
    return place.sighting.kind, place.sighting.peer
