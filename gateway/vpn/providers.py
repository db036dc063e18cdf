"""The provider that the settings name, on the way in that the kernel proves."""

from gateway.clock import Clock
from gateway.config.policies import TunnelRules
from gateway.config.settings import OriginSettings
from gateway.config.strict import SettingsError
from gateway.vpn import proxyproto, static, strongswan, wireguard
from gateway.vpn.ingress import Way
from gateway.vpn.origin import TunnelProvider, VpnProvider


def provider(origin: OriginSettings, way: Way, rules: TunnelRules, clock: Clock) -> TunnelProvider:
    """Return what knows the tunnels; raises SettingsError."""
    if origin.provider == static.KIND:
        return static.StaticTunnels(origin)
    if origin.provider == proxyproto.KIND:
        return proxyproto.ProxiedTunnels(origin)
    return vpn(origin, way, rules, clock)


def vpn(origin: OriginSettings, way: Way, rules: TunnelRules, clock: Clock) -> VpnProvider:
    """Return the provider that asks a VPN; raises SettingsError."""
    if not way.device:
        raise SettingsError(f"origin.device: {origin.provider} needs the name of its device")
    if origin.provider == wireguard.KIND:
        return wireguard.WireguardTunnels(origin, way, rules, clock)
    if origin.provider == strongswan.KIND:
        return strongswan.StrongswanTunnels(origin, way, rules, clock)
    raise SettingsError(f"origin.provider: {origin.provider} is not known here")
