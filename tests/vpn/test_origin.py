import asyncio
import inspect

from gateway.config.settings import OriginSettings
from gateway.vpn import origin, static


def test_the_static_provider_keeps_the_protocol():
    """Every provider answers `whois` alike and says how sure it is."""
    provider: origin.TunnelProvider = static.StaticTunnels(OriginSettings(allow_weak_origin=True))
    wanted = inspect.signature(origin.TunnelProvider.whois).parameters
    assert list(inspect.signature(provider.whois).parameters) == [
        name for name in wanted if name != "self"
    ]
    assert asyncio.iscoroutinefunction(provider.whois)
    assert provider.strength in ("weak", "proven")
    assert provider.kind == "static"
