"""The MAC over a whole ticket, which the leaf of every move tells: by it a row is believed.

A digest anybody could compute who can write rows and leaves. The key lies with the disclosure door
alone, outside of the database, so that neither its owner nor another door proves a row (decision
0019).
"""

import hashlib
import hmac

from gateway.exports.ticket import Ticket

# So that no other use of the key ever makes the same bytes.
_DOMAIN = b"sxgw-ticket-v1\n"


class TicketSeal:
    """Makes and checks the MAC with one key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """Use this key, of the store's `ticket_key`."""
        self._key = key

    def of(self, ticket: Ticket) -> str:
        """Return the HMAC-SHA-256 of all that a ticket says, lower hex."""
        return hmac.new(self._key, _DOMAIN + ticket.canonical, hashlib.sha256).hexdigest()

    def fits(self, ticket: Ticket, mac: str | None) -> bool:
        """Tell whether this is the ticket's; None is nobody's."""
        return mac is not None and hmac.compare_digest(self.of(ticket), mac)
