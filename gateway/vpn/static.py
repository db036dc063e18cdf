"""The `static` provider, for trials: an organisation by listening address or source network.

An address proves nothing (identity.md section 5: it was spoofed past rp_filter), so its origins are
`weak`, and the gateway refuses to start with it unless the settings say `allow_weak_origin = true`.
"""

import ipaddress

from gateway.config.settings import OriginSettings, SettingsError
from gateway.errors import Reason, refuse
from gateway.vpn.origin import Origin

KIND = "static"


class StaticProvider:
    """Reads the table `[[origin.static]]` of the settings."""

    def __init__(self, settings: OriginSettings) -> None:
        """Take the table; raises SettingsError while weak origins are not allowed."""
        if not settings.allow_weak_origin:
            msg = "origin.provider: 'static' proves nothing; allow_weak_origin = true is for trials"
            raise SettingsError(msg)
        self._by_listener = {
            entry.listen: entry.organisation for entry in settings.static if entry.listen
        }
        self._by_source = [
            (ipaddress.ip_network(entry.source), entry.organisation)
            for entry in settings.static
            if entry.source
        ]

    async def whois(self, address: str, listener: str, interface: str | None) -> Origin:
        """Return the one organisation that listener or source names (see TunnelProvider)."""
        source = ipaddress.ip_address(address)
        if isinstance(source, ipaddress.IPv6Address) and source.ipv4_mapped is not None:
            source = source.ipv4_mapped
        claims = {
            f"source {network}": owner for network, owner in self._by_source if source in network
        }
        if listener in self._by_listener:
            claims[f"listen {listener}"] = self._by_listener[listener]
        if len(set(claims.values())) != 1:
            raise refuse(Reason.ORIGIN_NOT_TUNNEL)
        tunnel, organisation = next(iter(claims.items()))
        return Origin(organisation, tunnel, KIND, "weak", interface or listener)
