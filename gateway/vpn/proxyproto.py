"""Origin behind a proxy that speaks PROXY protocol version 2 (HAProxy's proxy-protocol.txt, 2.2).

Only listed sources are believed, and only where the header stands before the first byte of TLS. It
is as strong as the proxy's own proof, which the gateway cannot see: weak.
"""

import asyncio
import ipaddress
import socket
import struct
from dataclasses import dataclass

from gateway.config.settings import OriginSettings
from gateway.errors import Reason, refuse
from gateway.vpn.origin import Sighting, Strength
from gateway.vpn.static import StaticTunnels
from gateway.vpn.table import address_of

KIND = "proxy-v2"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED_BYTES = 16
# "A sender may not send more than 536 bytes" in one piece (section 2): addresses and TLVs.
REST_BYTES = 536
_PROXY_V2 = 0x21
_FIXED = struct.Struct("!12sBBH")
# TCP over IPv4 and over IPv6, and how both addresses with their ports are laid out.
_ADDRESSES = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}
_TLV = struct.Struct("!BH")


class NoHeaderError(ValueError):
    """The bytes are no header that tells whose connection this is."""


@dataclass(frozen=True, slots=True)
class Header:
    """Who connected to the proxy, and where: IP addresses and ports."""

    source: str
    source_port: int
    destination: str
    destination_port: int


class ProxiedTunnels:
    """The static table, asked by the addresses of the header; weak."""

    kind = KIND
    strength: Strength = "weak"

    def __init__(self, settings: OriginSettings) -> None:
        """Take the table; raises SettingsError as `static` does."""
        self._static = StaticTunnels(settings)

    async def whois(self, address: str, listener: str, interface: str | None) -> Sighting:
        """Return the far end by the header's addresses; raises ORIGIN_NOT_TUNNEL."""
        found = await self._static.whois(address, listener, interface)
        return Sighting(found.peer, KIND, "weak", found.ingress, organisation=found.organisation)


class Introductions:
    """Who may tell whose connection it is; without listed sources nobody."""

    def __init__(self, settings: OriginSettings) -> None:
        """Believe the listed sources."""
        self._sources = [ipaddress.ip_network(one) for one in settings.proxy.sources]

    async def read(self, sock: socket.socket, address: str) -> Header:
        """Return the header at the beginning of a connection from `address`, not a byte more.

        The caller sets the time limit. Raises ORIGIN_NOT_TUNNEL.
        """
        proxy = address_of(address)
        if not any(proxy in source for source in self._sources):
            raise refuse(Reason.ORIGIN_NOT_TUNNEL)
        try:
            fixed = await _exactly(sock, FIXED_BYTES)
            return parse(fixed, await _exactly(sock, rest_of(fixed)))
        except (NoHeaderError, OSError):
            raise refuse(Reason.ORIGIN_NOT_TUNNEL) from None


def rest_of(fixed: bytes) -> int:
    """Return how many bytes follow the first 16; raises NoHeaderError for any other beginning.

    LOCAL (the proxy's own health check) and UNSPEC tell of nobody: they are refused.
    """
    if len(fixed) != FIXED_BYTES:
        raise NoHeaderError("cut short")
    signature, command, family, length = _FIXED.unpack(fixed)
    if signature != SIGNATURE or command != _PROXY_V2 or family not in _ADDRESSES:
        raise NoHeaderError("another protocol, command or family")
    if not _ADDRESSES[family].size <= length <= REST_BYTES:
        raise NoHeaderError("another length")
    return int(length)


def parse(fixed: bytes, rest: bytes) -> Header:
    """Return the header of its first 16 bytes and what follows them; raises NoHeaderError.

    What stands behind the addresses must be whole TLVs; what they say is not looked at.
    """
    if rest_of(fixed) != len(rest):
        raise NoHeaderError("cut short")
    layout = _ADDRESSES[fixed[13]]
    source, destination, source_port, destination_port = layout.unpack_from(rest)
    at = layout.size
    while at < len(rest):
        if at + _TLV.size > len(rest):
            raise NoHeaderError("a TLV is cut short")
        at += _TLV.size + _TLV.unpack_from(rest, at)[1]
    if at != len(rest):
        raise NoHeaderError("a TLV is cut short")
    return Header(
        str(ipaddress.ip_address(source)),
        source_port,
        str(ipaddress.ip_address(destination)),
        destination_port,
    )


async def _exactly(sock: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    read = b""
    while len(read) < count:
        more = await loop.sock_recv(sock, count - len(read))
        if not more:
            raise NoHeaderError("cut short")
        read += more
    return read
