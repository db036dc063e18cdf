"""What must hold for origins to be proven, checked on the gateway's host for `gateway doctor`.

To be run in the gateway's own network namespace (`ip netns exec NAME gateway doctor HOME`): the
devices and listeners are those of the namespace it runs in.
"""

import asyncio
import socket
from collections.abc import Iterator

from gateway.cli.prerequisites import Finding
from gateway.clock import SYSTEM
from gateway.config import policies, settings
from gateway.config.home import LISTENERS, Home
from gateway.config.policies import TunnelRules
from gateway.config.settings import Settings, SettingsError, WallSettings
from gateway.errors import Refusal
from gateway.registry import tunnels
from gateway.store import roles
from gateway.store.database import Database, StoreError
from gateway.supervise import state
from gateway.vpn import ingress, listening, providers, wall, window, wireguard
from gateway.vpn.ingress import Way
from gateway.vpn.wall import WallError

_PAGE = 1_000


def of_origin(home: Home) -> Iterator[Finding]:
    """Check the origin in use: device, listeners, packet filter, VPN, register.

    Stops at what ends the rest.
    Nothing where the settings cannot be read: `prerequisites.of_home` tells that.
    """
    try:
        own = settings.load(home.settings)
        rules = policies.load_policies(home.policies).tunnels
    except SettingsError:
        return
    origin = own.origin
    if origin.proves_nothing and not origin.allow_weak_origin:
        yield Finding("origin", "bad")
        return
    yield Finding("origin", "note" if origin.may_be_weak else "good")
    if origin.proves_nothing and not origin.device:
        return
    try:
        way = ingress.require(origin)
    except SettingsError as error:
        yield Finding("origin-device", "bad", {"why": error})
        return
    if way.strength == "weak":
        # Served all the same, for the settings allow it.
        yield Finding("origin-device", "note", {"device": way.device or "-"})
    else:
        yield Finding("origin-device", "good", {"device": way.device})
    if not way.device:
        return
    yield from _of_listeners(home, own, way)
    yield from _of_wall(origin.wall)
    if not origin.proves_nothing:
        yield from _of_vpn(home, own, way, rules)


def _of_listeners(home: Home, own: Settings, way: Way) -> Iterator[Finding]:
    """Whoever comes by another device must find nobody listening."""
    others = [
        name
        for name, kind in ingress.devices().items()
        if kind != ingress.LOOPBACK and name != way.device
    ]
    about: dict[str, object] = {"device": way.device, "others": ", ".join(others)}
    yield Finding("origin-others", "note" if others else "good", about)
    if not state.is_served(home):
        return
    ports = frozenset(own.ports.of(door) for door in LISTENERS)
    try:
        found = listening.devices(ports)
        index = socket.if_nametoindex(way.device)
    except OSError as error:
        yield Finding("origin-bound", "note", {"why": error})
        return
    astray = sorted(port for port in ports if found.get(port) != {index})
    about["ports"] = ", ".join(map(str, astray))
    yield Finding("origin-bound", "bad" if astray else "good", about)


def _of_wall(named: WallSettings) -> Iterator[Finding]:
    """Ask the packet filter itself, as the supervisor does."""
    if not named.table:
        return
    try:
        asyncio.run(wall.ask(named))
    except WallError as error:
        yield Finding("origin-wall", "bad", {"table": named.table, "cause": error.cause})
    else:
        yield Finding("origin-wall", "good", {"table": named.table})


def _of_vpn(home: Home, own: Settings, way: Way, rules: TunnelRules) -> Iterator[Finding]:
    # As the front asks, where there is one.
    origin = window.through(home, own.origin) if state.is_served(home) else own.origin
    vpn = providers.vpn(origin, way, rules, SYSTEM)
    about: dict[str, object] = {"provider": vpn.kind, "device": way.device}
    try:
        names = asyncio.run(vpn.names())
    except Refusal:
        yield Finding("origin-vpn", "bad", about)
        return
    yield Finding("origin-vpn", "good", {**about, "count": len(names)})
    try:
        registered = asyncio.run(_registered(home, own, vpn.kind))
    except (StoreError, OSError):
        yield Finding("origin-register", "note")
        return
    strangers, absent = names - registered, registered - names
    about |= {"strangers": len(strangers), "absent": len(absent)}
    yield Finding("origin-strangers", "note" if strangers else "good", about)
    # An IKE identity is known to charon while its tunnel stands; a WireGuard peer always.
    if vpn.kind == wireguard.KIND:
        yield Finding("origin-absent", "note" if absent else "good", about)


async def _registered(home: Home, own: Settings, kind: str) -> frozenset[str]:
    """Return the active peers of a kind; raises StoreError, OSError."""
    owner = roles.conninfo(home, own, "owner")
    database = await Database.open(owner, application="gateway-doctor", size=1)
    found: set[str] = set()
    try:
        async with database.transaction() as tx:
            place = tunnels.FIRST
            while page := await tunnels.page(tx, "", place, _PAGE):
                place = page[-1].organisation, page[-1].kind, page[-1].peer
                found |= {
                    one.peer for one in page if one.kind == kind and one.state == tunnels.ACTIVE
                }
    finally:
        await database.close()
    return frozenset(found)
