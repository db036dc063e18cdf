"""A connection that the front let in: who stands at its other end and by which way it came.

The front binds its socket to the abstract name of the connection before it connects to a door; grpc
then shows the name as `context.peer()`. There is no header that a client could forge.
"""

import json
import secrets
from dataclasses import asdict, dataclass

from gateway.vpn.origin import Origin

PREFIX = "gateway-"
NAME_BYTES = 16  # 128 bits: not to be guessed


def new_name() -> str:
    """Return a fresh connection name: 32 lower hex digits."""
    return secrets.token_hex(NAME_BYTES)


def abstract_address(name: str) -> str:
    """Return the abstract unix socket address of a connection name."""
    return f"\0{PREFIX}{name}"


@dataclass(frozen=True, slots=True)
class Connection:
    """One TLS connection after all of the front's checks.

    `peer` and `listener` are "ip:port"; `subject` is the certificate's SPIFFE id, `serial` its
    number in lower hex, the two digests are SHA-256 in lower hex; `not_after_us` is the
    certificate's end, microseconds since the epoch.
    """

    name: str
    door: str
    peer: str
    listener: str
    organisation: str
    subject: str
    serial: str
    certificate_sha256: str
    spki_sha256: str
    not_after_us: int
    origin: Origin

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Connection":
        """Return the connection of `to_json`; raises ValueError, TypeError or KeyError."""
        fields = json.loads(text)
        return cls(**{**fields, "origin": Origin(**fields["origin"])})
