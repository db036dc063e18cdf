"""The settings of one gateway: HOME/settings.toml as frozen dataclasses.

What the province may change while it runs stands in `policies`.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.home import Listener
from gateway.config.strict import SettingsError, build, read
from gateway.names import DEFAULT_TRUST_DOMAIN, ORGANISATION_CODE, TRUST_DOMAIN

__all__ = ["Settings", "SettingsError", "load", "parse"]

_PROVINCE = re.compile(r"[0-9]{6}", re.ASCII)
# A password or a user in the DSN would stand in a file that every process reads; roles bring their
# own.
_CREDENTIAL = re.compile(r"\b(user|password|passfile)\s*=|://[^/]*@", re.IGNORECASE)
_HIGHEST_PORT = 65_535
_HOUR_S = 3600
# A device's name has 15 bytes (linux/if.h, IFNAMSIZ); ours are spelled plainly.
_DEVICE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,14})?", re.ASCII)
# Family and name of an nftables table whose chains see what comes in (nft(8)).
_TABLE = re.compile(r"((inet|ip|ip6) [A-Za-z_][A-Za-z0-9_]{0,63})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class FrontSettings:
    """Where the front listens (addresses) and how long it waits (seconds)."""

    listen: tuple[str, ...] = ("127.0.0.1",)
    handshake_timeout_s: float = 5.0
    idle_timeout_s: float = 900.0


@dataclass(frozen=True, slots=True)
class PortSettings:
    """The TCP port of each door."""

    identity: int = 8446
    intake: int = 8443
    disclosure: int = 8444
    administration: int = 8445
    enrolment: int = 8448

    def of(self, door: Listener) -> int:
        """Return the port of a door."""
        return int(getattr(self, door))


@dataclass(frozen=True, slots=True)
class StaticTunnel:
    """An organisation known by the address it connects to, or by the network it comes from."""

    organisation: str
    listen: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class WireguardSettings:
    """How WireGuard is asked: its socket ("": where DEVICE.sock usually is), or else its tool."""

    socket: str = ""
    tool: str = "/usr/bin/wg"


@dataclass(frozen=True, slots=True)
class StrongswanSettings:
    """Where strongSwan's charon answers (vici)."""

    socket: str = "/var/run/charon.vici"


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The networks whose PROXY v2 headers are believed."""

    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WallSettings:
    """The nftables table that refuses and counts what comes by another way ("": none), and where.

    `namespace` is the path of the network namespace that it stands in ("": the gateway's own).
    """

    table: str = ""
    namespace: str = ""
    tool: str = "/usr/sbin/nft"


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """How the front learns whose tunnel a connection came through, and by which device alone."""

    provider: str = "static"
    allow_weak_origin: bool = False
    static: tuple[StaticTunnel, ...] = ()
    device: str = ""
    wireguard: WireguardSettings = field(default_factory=WireguardSettings)
    strongswan: StrongswanSettings = field(default_factory=StrongswanSettings)
    proxy: ProxySettings = field(default_factory=ProxySettings)
    wall: WallSettings = field(default_factory=WallSettings)

    @property
    def proves_nothing(self) -> bool:
        """Whether the provider reads origins off addresses; anything else asks the VPN itself."""
        return self.provider in ("static", "proxy-v2")

    @property
    def may_be_weak(self) -> bool:
        """Whether a connection may be let in whose origin is not proven: to be told loudly."""
        return self.proves_nothing or self.allow_weak_origin


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The audit log's origin (C2SP tlog-checkpoint); "" means "<trust domain>/audit".

    After `heartbeat_s` seconds without an entry the log makes one of its own; 0: never.
    """

    origin: str = ""
    heartbeat_s: float = 10.0


@dataclass(frozen=True, slots=True)
class AuthoritySettings:
    """The PKCS #11 module (a shared object's path) of a token that holds issuing keys; "": none."""

    pkcs11_module: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings.

    `dsn` "" is the embedded database; else a libpq connection string without user or password.
    `programs` is the folder of PostgreSQL's programs that fit that server; "": the wheel's.
    """

    province: str = "140000"
    trust_domain: str = DEFAULT_TRUST_DOMAIN
    dsn: str = ""
    programs: str = ""
    front: FrontSettings = field(default_factory=FrontSettings)
    ports: PortSettings = field(default_factory=PortSettings)
    origin: OriginSettings = field(default_factory=OriginSettings)
    log: LogSettings = field(default_factory=LogSettings)
    authority: AuthoritySettings = field(default_factory=AuthoritySettings)

    @property
    def log_origin(self) -> str:
        """The audit log's origin and the name of its key."""
        return self.log.origin or f"{self.trust_domain}/audit"


def load(path: Path) -> Settings:
    """Return the settings in a file; raises SettingsError naming the key that is wrong."""
    return parse(read(path), str(path))


def parse(table: dict[str, object], where: str) -> Settings:
    """Return the settings in a parsed table; `where` names its source in errors."""
    settings = build(Settings, table, f"{where}: ")
    for key, wrong in _faults(settings):
        msg = f"{where}: {key}: {wrong}"
        raise SettingsError(msg)
    return settings


def _faults(settings: Settings) -> list[tuple[str, str]]:
    ports = settings.ports
    numbers = [
        ports.identity,
        ports.intake,
        ports.disclosure,
        ports.administration,
        ports.enrolment,
    ]
    rules = [
        ("province", _PROVINCE.fullmatch(settings.province), "six digits"),
        (
            "trust_domain",
            TRUST_DOMAIN.fullmatch(settings.trust_domain),
            "letters a-z, digits, . _ -",
        ),
        ("dsn", not _CREDENTIAL.search(settings.dsn), "no user or password here"),
        ("programs", (settings.programs or "/").startswith("/"), "an absolute path"),
        ("ports", all(0 < port <= _HIGHEST_PORT for port in numbers), "between 1 and 65535"),
        ("ports", len(set(numbers)) == len(numbers), "each door has its own"),
        ("front.listen", settings.front.listen, "at least one address"),
        ("front.listen", all(map(_is_address, settings.front.listen)), "IP addresses"),
        ("front.handshake_timeout_s", settings.front.handshake_timeout_s > 0, "above 0"),
        ("front.idle_timeout_s", settings.front.idle_timeout_s > 0, "above 0"),
        ("log.heartbeat_s", _beats(settings.log.heartbeat_s), "0, or a second to an hour"),
    ]
    faults = [(key, text) for key, good, text in rules if not good]
    faults += _origin_faults(settings.origin)
    for number, tunnel in enumerate(settings.origin.static):
        faults += [(f"origin.static[{number}].{key}", text) for key, text in _tunnel_faults(tunnel)]
    return faults


def _beats(every_s: float) -> bool:
    return every_s == 0 or 1 <= every_s <= _HOUR_S


def _origin_faults(origin: OriginSettings) -> list[tuple[str, str]]:
    proxied = origin.provider == "proxy-v2"
    sockets = origin.wireguard.socket or "/", origin.strongswan.socket
    rules = [
        ("device", _DEVICE.fullmatch(origin.device), "a device's name, up to 15 characters"),
        ("wireguard.socket", sockets[0].startswith("/"), "an absolute path"),
        ("wireguard.tool", origin.wireguard.tool.startswith("/"), "an absolute path"),
        ("strongswan.socket", sockets[1].startswith("/"), "an absolute path"),
        ("proxy.sources", all(map(_is_network, origin.proxy.sources)), "networks"),
        ("proxy.sources", bool(origin.proxy.sources) == proxied, "for proxy-v2, and only for it"),
        ("wall.table", _TABLE.fullmatch(origin.wall.table), 'a table such as "inet gateway"'),
        ("wall.namespace", (origin.wall.namespace or "/").startswith("/"), "an absolute path"),
        ("wall.namespace", origin.wall.table or not origin.wall.namespace, "only with a table"),
        ("wall.tool", origin.wall.tool.startswith("/"), "an absolute path"),
    ]
    return [(f"origin.{key}", text) for key, good, text in rules if not good]


def _tunnel_faults(tunnel: StaticTunnel) -> list[tuple[str, str]]:
    rules = [
        ("organisation", ORGANISATION_CODE.fullmatch(tunnel.organisation), "6 to 12 digits"),
        ("listen", bool(tunnel.listen) != bool(tunnel.source), "exactly one of listen and source"),
        ("listen", not tunnel.listen or _is_address(tunnel.listen), "an IP address"),
        ("listen", "%" not in tunnel.listen, "an address that is good beyond one link"),
        (
            "source",
            not tunnel.source or _is_network(tunnel.source),
            "a network such as 10.8.0.0/24",
        ),
    ]
    return [(key, text) for key, good, text in rules if not good]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
