"""The origin of a connection: which organisation's tunnel it came through, and how sure that is.

"weak" means: read off an address, which another host may claim while the tunnel is down
(identity.md section 5, cases E2 and E3). It is marked in every leaf and must be allowed in the
settings. "proven" means: the tunnel device itself named the peer.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

Strength = Literal["weak", "proven"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The tunnel of one connection.

    `tunnel` names the peer in the provider's words, `kind` the provider, `ingress` the device or
    listening address that the connection came in by.
    """

    organisation: str
    tunnel: str
    kind: str
    strength: Strength
    ingress: str


class TunnelProvider(Protocol):
    """What knows the tunnels."""

    @property
    def strength(self) -> Strength:
        """How sure every answer of this provider is."""
        ...

    async def whois(self, address: str, listener: str, interface: str | None) -> Origin:
        """Return the origin of a connection from `address` to our address `listener`.

        `interface` is the device it came in by, where that is known. Raises ORIGIN_NOT_TUNNEL.
        """
        ...
