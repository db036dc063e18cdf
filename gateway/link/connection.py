r"""One accepted connection as front and door know it.

The front binds its socket towards the door to the abstract name `\0gateway-<32 hex>`; grpc shows
the door `unix-abstract:gateway-<32 hex>` as the peer. The name is the only thing handed over with
the bytes: 128 random bits, never reused. Everything else is asked for on the control socket.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from gateway.pki.defect import RANKED
from gateway.vpn.origin import Origin

_NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NAME_BYTES = 16


class MalformedConnectionError(ValueError):
    """The text is not a connection."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that passed the front; digests and serial are lower hex, times microseconds.

    `name` is the 32 hex digits, `peer` and `listener` are "address:port", `subject` the SPIFFE id.
    `defect` is the reason why its certificate is good for Diagnose and RenewCertificate only, ""
    for a good one. At the enrolment listener there is no certificate: subject, serial and digests
    are "", `not_after_us` 0, and the organisation is the tunnel's.
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
    defect: str = ""

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Connection":
        """Return the connection of a line; raises MalformedConnectionError."""
        try:
            return cls.of(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise MalformedConnectionError("not a connection") from error

    @classmethod
    def of(cls, table: object) -> "Connection":
        """Return the connection of a parsed line; raises MalformedConnectionError."""
        values = _exactly(cls, table)
        origin = _exactly(Origin, values.pop("origin"))
        not_after_us = values.pop("not_after_us")
        texts = [*values.values(), *origin.values()]
        if not isinstance(not_after_us, int) or not all(isinstance(one, str) for one in texts):
            raise MalformedConnectionError("not a connection: a field of another type")
        if origin["strength"] not in ("weak", "proven"):
            raise MalformedConnectionError("not a connection: an unknown strength")
        if values["defect"] not in ("", *RANKED):
            raise MalformedConnectionError("not a connection: an unknown defect")
        return cls(**values, not_after_us=not_after_us, origin=Origin(**origin))  # type: ignore[arg-type] # texts, as just checked


def new_name() -> str:
    """Return a new name: 128 random bits in hex."""
    return secrets.token_hex(_NAME_BYTES)


def is_name(text: object) -> bool:
    """Return whether this has the form of a name."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def abstract_address(name: str) -> str:
    """Return the abstract address that the front binds its socket towards the door to."""
    return f"\0gateway-{name}"


def _exactly(kind: type[Connection] | type[Origin], table: object) -> dict[str, object]:
    """Return a copy of a table that has exactly the fields of a dataclass."""
    if not isinstance(table, Mapping) or set(table) != {field.name for field in fields(kind)}:
        raise MalformedConnectionError("not a connection: other fields")
    return dict(table)
