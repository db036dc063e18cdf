"""Which peer owns an address, as a VPN told it: the longest prefix decides, as the VPN routes.

The table is asked for anew after `cache_s`; however many connections come meanwhile ask once.
"""

import asyncio
import functools
import ipaddress
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from gateway import log
from gateway.clock import Clock
from gateway.errors import Reason, refuse

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# The same few hundred come again and again; whatever else comes is parsed anew.
ADDRESSES_MAX = 1_024
# As many networks as a province's tunnels have are told again every second.
NETWORKS_MAX = 16_384
_BITS = {4: 32, 6: 128}
# A VPN on the same machine answers within milliseconds, on an overrun one after a second at times:
# to give up sooner and ask again would leave standing whom the late answer would have cut.
ANSWER_S = 2.0
# Far above a thousand peers with a dozen networks each.
ANSWER_BYTES = 4 * 1024 * 1024
_LOG = log.get("vpn")


class MalformedAnswerError(ValueError):
    """A VPN's answer is not what its protocol says; the text holds nothing of the answer."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer of a VPN: `name` in the VPN's words, `handshake_us` None when there was none yet.

    `networks` are the addresses that the VPN lets it use, `endpoint` its address outside, or "".
    """

    name: str
    networks: tuple[Network, ...]
    handshake_us: int | None
    endpoint: str


class Table:
    """The peers of one answer, by network."""

    def __init__(self, peers: Iterable[Peer], before: "Table | None" = None) -> None:
        """Take the peers as they were told, two owners of one network included.

        Where `before` has the same networks of the same peers, its routes are taken as they are.
        """
        self._peers = {peer.name: peer for peer in peers}
        told = [(peer.name, peer.networks) for peer in self._peers.values()]
        same = before is not None and before.routes.told == told
        self.routes: Routes = before.routes if before is not None and same else Routes(told)

    @property
    def names(self) -> frozenset[str]:
        """All peers, in the VPN's words."""
        return frozenset(self._peers)

    def owner(self, text: str) -> Peer:
        """Return whose address this is; raises ORIGIN_NOT_TUNNEL, ORIGIN_AMBIGUOUS."""
        return self._peers[self.routes.owner(address_of(text))]


class Routes:
    """Which peer has which network: of each length of prefix, longest first, the owners."""

    def __init__(self, told: list[tuple[str, tuple[Network, ...]]]) -> None:
        """Take names with their networks, as they were told."""
        self.told = told
        # Family and length -> the prefix as a number -> its owner, or None where two claim it.
        found: dict[tuple[int, int], dict[int, str | None]] = defaultdict(dict)
        for name, networks in told:
            for network in networks:
                owners = found[network.version, network.prefixlen]
                prefix = int(network.network_address) >> _BITS[network.version] - network.prefixlen
                owners[prefix] = name if owners.get(prefix, name) == name else None
        self._steps = {
            version: [
                (bits - length, found[version, length])
                for length in range(bits, -1, -1)
                if (version, length) in found
            ]
            for version, bits in _BITS.items()
        }

    def owner(self, address: Address) -> str:
        """Return the owner's name; raises ORIGIN_NOT_TUNNEL, ORIGIN_AMBIGUOUS."""
        number = int(address)
        for shift, owners in self._steps[address.version]:
            prefix = number >> shift
            if prefix in owners:
                name = owners[prefix]
                if name is None:
                    raise refuse(Reason.ORIGIN_AMBIGUOUS)
                return name
        raise refuse(Reason.ORIGIN_NOT_TUNNEL)


class Asked:
    """The table of a VPN, never older than `cache_s` before it was asked for."""

    def __init__(
        self, ask: Callable[[], Awaitable[Table]], cache_s: float, clock: Clock, vpn: str
    ) -> None:
        """Ask like this; `vpn` names it in the process log."""
        self._ask = ask
        self._cache_s = cache_s
        self._clock = clock
        self._vpn = vpn
        self._known: tuple[float, Table] | None = None
        self._asking: asyncio.Task[Table] | None = None

    async def table(self) -> Table:
        """Return the table; raises ORIGIN_AWAY when the VPN is gone, too slow or talks nonsense."""
        if self._known is not None:
            at, table = self._known
            if 0 <= self._clock.monotonic() - at <= self._cache_s:
                return table
        if self._asking is None:
            self._asking = asyncio.create_task(self._refresh())
            # Whoever asked may be gone: asyncio would print the exception.
            self._asking.add_done_callback(lambda one: one.cancelled() or one.exception())
        try:
            return await asyncio.shield(self._asking)
        except (OSError, TimeoutError, MalformedAnswerError):
            # Each connection has a refusal of its own: a refusal carries what became of it.
            raise refuse(Reason.ORIGIN_AWAY) from None

    async def anew(self) -> Table:
        """Return the table as it is now; raises ORIGIN_AWAY."""
        self._known = None
        return await self.table()

    async def _refresh(self) -> Table:
        at = self._clock.monotonic()
        try:
            async with asyncio.timeout(ANSWER_S):
                table = await self._ask()
        except (OSError, MalformedAnswerError) as error:  # TimeoutError is an OSError
            self._known = None
            why = str(error) if isinstance(error, MalformedAnswerError) else type(error).__name__
            _LOG.error("vpn away", vpn=self._vpn, why=why)
            raise
        else:
            self._known = at, table
            return table
        finally:
            self._asking = None


@functools.lru_cache(maxsize=NETWORKS_MAX)
def network_of(text: str) -> Network:
    """Return a network; raises MalformedAnswerError."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise MalformedAnswerError("not a network") from None


@functools.lru_cache(maxsize=ADDRESSES_MAX)
def address_of(text: str) -> Address:
    """Return an address; behind ::ffff:a.b.c.d it is the IPv4 one, which is the same peer.

    Raises ORIGIN_NOT_TUNNEL for what is none, and for one that is good on one link only.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise refuse(Reason.ORIGIN_NOT_TUNNEL) from None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.scope_id is not None:
        raise refuse(Reason.ORIGIN_NOT_TUNNEL)
    return address.ipv4_mapped or address
