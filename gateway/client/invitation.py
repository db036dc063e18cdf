"""An invitation to enrol, as it is handed over: `gateway://HOST:PORT/TRUST-DOMAIN/CODE/PIN`.

CODE has 26 characters of Crockford's base 32 and serves once. PIN is SHA-256 of the gateway's root
certificate (DER), 64 hex digits: whoever sits between cannot have that root.
"""

import re
from dataclasses import dataclass

from gateway.client.secret import Secret
from gateway.names import TRUST_DOMAIN

_FORM = re.compile(
    r"gateway://(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})"
    r"/(?P<domain>[^/]+)/(?P<code>[0-9A-Za-z -]+)/(?P<pin>[0-9A-Fa-f]{64})/?",
    re.ASCII,
)
_CODE_CHARACTERS = 26
_PORT_MAX = 65_535


class InvitationError(ValueError):
    """The text is not an invitation; never quotes it."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where to enrol, with what code, and which root must be found there (SHA-256, lower hex)."""

    host: str
    port: int
    trust_domain: str
    code: Secret
    pin: str

    def line(self) -> str:
        """Return the invitation as it is handed over, with its code."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"gateway://{host}:{self.port}/{self.trust_domain}/{self.code.value}/{self.pin}"


def parse(text: str) -> Invitation:
    """Return the invitation in a text; raises InvitationError.

    Spaces and dashes in the code are dropped; what letters it may hold is the gateway's to say.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise InvitationError("not of the form gateway://HOST:PORT/TRUST-DOMAIN/CODE/PIN")
    code = match["code"].replace("-", "").replace(" ", "").upper()
    port = int(match["port"])
    if len(code) != _CODE_CHARACTERS:
        raise InvitationError(f"the code does not have {_CODE_CHARACTERS} characters")
    if not TRUST_DOMAIN.fullmatch(match["domain"]) or not 0 < port <= _PORT_MAX:
        raise InvitationError("the port or the trust domain is not one")
    host = match["six"] or match["host"]
    return Invitation(host, port, match["domain"], Secret(code), match["pin"].lower())
