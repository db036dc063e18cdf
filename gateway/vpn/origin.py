"""The origin of a connection: which organisation's tunnel it came through, and how sure that is.

"weak" means: read off an address, which another host may claim while the tunnel is down
(identity.md section 5, cases E2 and E3). It is marked in every leaf and must be allowed in the
settings. "proven" means: the kernel named the interface, and the VPN itself the peer behind it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

Strength = Literal["weak", "proven"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a provider knows of a connection's far end.

    `peer` is in the provider's words (a WireGuard public key, an IKE identity), `ingress` the
    device or listening address that the connection came in by; `handshake_us` the last handshake,
    None where the kind has none; `endpoint` the peer's own address outside the tunnel, "" where
    unknown. `organisation` is filled by a provider that is its own register (`static`), else "".
    """

    peer: str
    kind: str
    strength: Strength
    ingress: str
    handshake_us: int | None = None
    endpoint: str = ""
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The tunnel of one connection, as leaves and doors know it.

    `tunnel` names the peer in the provider's words, `kind` the provider, `ingress` the device or
    listening address that the connection came in by.
    """

    organisation: str
    tunnel: str
    kind: str
    strength: Strength
    ingress: str


class TunnelProvider(Protocol):
    """What knows the tunnels of one VPN."""

    @property
    def kind(self) -> str:
        """The provider's name in settings and leaves."""
        ...

    @property
    def strength(self) -> Strength:
        """How sure every answer of this provider is."""
        ...

    async def whois(self, address: str, listener: str, interface: str | None) -> Sighting:
        """Return the far end of a connection from `address` to our address `listener`.

        `interface` is the device it came in by, where the kernel said so. Raises ORIGIN_NOT_TUNNEL,
        ORIGIN_AMBIGUOUS, ORIGIN_AWAY.
        """
        ...


class VpnProvider(TunnelProvider, Protocol):
    """A provider that asks a VPN, which knows its peers by name."""

    async def names(self) -> frozenset[str]:
        """Return the names of all peers, in the VPN's words; raises ORIGIN_AWAY."""
        ...
