"""What a tunnel provider answers: whose tunnel, and how strongly proven."""

from dataclasses import asdict, dataclass
from typing import Literal, Protocol

Strength = Literal["weak", "proven"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The tunnel behind a connection.

    `organisation` is its registered owner's code, `tunnel` the provider's name of the tunnel peer,
    `kind` the provider, `ingress` the interface or listening address by which the connection came
    in.
    """

    organisation: str
    tunnel: str
    kind: str
    strength: Strength
    ingress: str

    def to_json(self) -> dict[str, str]:
        """Return the fields as JSON values."""
        return asdict(self)


class TunnelProvider(Protocol):
    """Tells whose tunnel a connection came through."""

    async def whois(self, address: str, listener: str, interface: str | None) -> Origin:
        """Return the origin of a connection from IP `address` to our IP `listener` by `interface`.

        Raises DeniedError (ORIGIN_NOT_TUNNEL) when no registered tunnel, or more than one, fits.
        """
        ...
