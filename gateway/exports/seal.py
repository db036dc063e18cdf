"""What a ticket's row is believed by: the MAC that the leaf of every move tells, and its mark.

A digest anybody could compute who can write rows and leaves. The key lies with the disclosure door
alone, outside of the database, so that neither its owner nor another door proves a row; the mark
(`marks`) lies there too, so that no row and leaf of before are put back (decisions 0019, 0025).
"""

import hashlib
import hmac

from gateway.exports.marks import Marks
from gateway.exports.ticket import Ticket

# So that no other use of the key ever makes the same bytes.
_DOMAIN = b"sxgw-ticket-v1\n"


class TicketSeal:
    """Makes and checks the MAC with one key; `marks` say how far each ticket has come."""

    __slots__ = ("_key", "marks")

    def __init__(self, key: bytes, marks: Marks) -> None:
        """Use this key, of the store's `ticket_key`."""
        self._key = key
        self.marks = marks

    def of(self, ticket: Ticket) -> str:
        """Return the HMAC-SHA-256 of all that a ticket says, lower hex."""
        return hmac.new(self._key, _DOMAIN + ticket.canonical, hashlib.sha256).hexdigest()

    def fits(self, ticket: Ticket, mac: str | None) -> bool:
        """Tell whether this is the ticket's; None is nobody's."""
        return mac is not None and hmac.compare_digest(self.of(ticket), mac)

    def proves(self, ticket: Ticket, mac: str | None) -> bool:
        """Tell whether it is, and the ticket has not come further since."""
        return self.fits(ticket, mac) and ticket.version >= self.marks.of(ticket.ticket_id)
