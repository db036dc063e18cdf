"""Origin by configuration: the address a connection came to, or the network it came from. Weak.

For trials, for the demo, and where something in front of the gateway already separates the
organisations. Refused at start unless the settings say `allow_weak_origin = true`.
"""

import ipaddress
from collections.abc import Mapping

from gateway.config.settings import OriginSettings
from gateway.config.strict import SettingsError
from gateway.errors import Reason, refuse
from gateway.vpn.origin import Sighting, Strength
from gateway.vpn.table import Address, Network, address_of

KIND = "static"


class StaticTunnels:
    """The tunnels of the settings; an address that none of them names is not a tunnel."""

    kind = KIND
    strength: Strength = "weak"

    def __init__(self, settings: OriginSettings) -> None:
        """Take the table; raises SettingsError when weak origins are not allowed or two collide."""
        if not settings.allow_weak_origin:
            raise SettingsError(
                "origin.provider: static proves no tunnel; set origin.allow_weak_origin = true"
                " to accept that, and every leaf will say so"
            )
        self._by_listener: dict[Address, str] = {}
        self._by_source: list[tuple[Network, str]] = []
        for tunnel in settings.static:
            if tunnel.listen:
                self._listen(address_of(tunnel.listen), tunnel.organisation)
            else:
                network = ipaddress.ip_network(tunnel.source)
                self._source(network, tunnel.organisation)

    async def whois(self, address: str, listener: str, interface: str | None) -> Sighting:
        """Return the far end by listening address or by source network.

        Where both name one, they must name the same organisation. Raises ORIGIN_NOT_TUNNEL.
        """
        at, source = address_of(listener), address_of(address)
        named = self._by_listener.get(at)
        network = next((pair for pair in self._by_source if source in pair[0]), None)
        ingress = interface or str(at)
        if named is not None and (network is None or network[1] == named):
            return Sighting(f"listen/{at}", KIND, "weak", ingress, organisation=named)
        if named is None and network is not None:
            peer = f"source/{network[0]}"
            return Sighting(peer, KIND, "weak", ingress, organisation=network[1])
        raise refuse(Reason.ORIGIN_NOT_TUNNEL)

    def peers(self) -> Mapping[str, str]:
        """Return the organisation of each tunnel, by the name that leaves give it."""
        listening = {f"listen/{at}": owner for at, owner in self._by_listener.items()}
        return listening | {f"source/{network}": owner for network, owner in self._by_source}

    def _listen(self, address: Address, organisation: str) -> None:
        if self._by_listener.setdefault(address, organisation) != organisation:
            raise SettingsError(f"origin.static: listen {address} names two organisations")

    def _source(self, network: Network, organisation: str) -> None:
        for other, owner in self._by_source:
            # A mixed pair of IPv4 and IPv6 never overlaps.
            if (
                other.version == network.version
                and other.overlaps(network)
                and owner != organisation
            ):
                raise SettingsError(f"origin.static: source {network} overlaps {other}")
        self._by_source.append((network, organisation))


def named_tunnels(settings: OriginSettings) -> Mapping[str, str]:
    """Return the organisation of each tunnel of the settings, none where they prove origins."""
    named = settings.proves_nothing and settings.allow_weak_origin
    return StaticTunnels(settings).peers() if named else {}
