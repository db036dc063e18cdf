"""Names that hold within one export and nowhere else: of children, of records, of identifiers.

Each ticket has a key of its own, derived from one that only disclosure has. Within a file equal
things have equal tokens, so that rows can be joined; between two files nothing can (exports.md
section 8, attack 42), and without the key a token says nothing. The order of the rows comes from
the same key.
"""

import hmac

from gateway.store.export_keys import TOKENS_BYTES

# 80 bits: over 10,000 exports of 50,000 rows a chance meeting is below 2^-40 (exports.md, 4).
TOKEN_BYTES = 10


class TicketTokens:
    """The tokens of one ticket."""

    __slots__ = ("_key", "order_key")

    def __init__(self, master: bytes, ticket_id: str) -> None:
        """Derive the ticket's key from the master key of 32 bytes; raises ValueError."""
        if len(master) != TOKENS_BYTES:
            raise ValueError(f"the key of tokens has {TOKENS_BYTES} bytes")
        self._key = hmac.digest(master, b"gateway/export-tokens/v1|" + ticket_id.encode(), "sha256")
        self.order_key = hmac.digest(self._key, b"order", "sha256")

    def child(self, child_tag: bytes) -> str:
        """Return the token of a child, "c" and 20 hex digits; "" of none."""
        return f"c{self._token(b'child', child_tag)}" if child_tag else ""

    def record(self, record_key: bytes) -> str:
        """Return the token of a record, "r" and 20 hex digits."""
        return f"r{self._token(b'record', record_key)}"

    def value(self, name: str, value: str) -> str:
        """Return the token of an identifier, "v" and 20 hex digits; "" of none.

        The same for the same value of fields of one name.
        """
        domain = b"value|" + name.encode()
        return f"v{self._token(domain, value.encode())}" if value else ""

    def _token(self, domain: bytes, content: bytes) -> str:
        # The domain has no NUL, so that no two inputs are the same. The letter before it keeps a
        # spreadsheet from reading a number.
        return hmac.digest(self._key, domain + b"\0" + content, "sha256")[:TOKEN_BYTES].hex()
