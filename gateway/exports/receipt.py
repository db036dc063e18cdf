"""What a recipient signs: that the whole payload came, and that the file is destroyed."""

from datetime import date

from gateway.exports.ticket import Ticket
from gateway.store.database import Transaction

RECEIPT, DESTROYED = "receipt", "destroyed"
_KEEP = (
    "INSERT INTO gateway.export_receipt"
    " (ticket_id, kind, certificate_sha256, signature, signed_us, destroyed_on)"
    " VALUES (%s, %s, %s, %s, %s, %s)"
)


def statement(ticket_id: str, payload_sha256: str) -> bytes:
    """Return the bytes of a receipt for a payload, whose digest is lower hex (decision 0017)."""
    return f"sxgw-receipt-v1\n{ticket_id}\n{payload_sha256}\n".encode("ascii")


def attestation(ticket_id: str, plan_sha256: str, day: date) -> bytes:
    """Return the bytes that say that everything of a plan was destroyed on a day."""
    return f"sxgw-destroyed-v1\n{ticket_id}\n{plan_sha256}\n{day}\n".encode("ascii")


async def keep(
    tx: Transaction,
    ticket: Ticket,
    certificate_sha256: str,
    signature: bytes,
    now_us: int,
    destroyed_on: date | None = None,
) -> None:
    """Keep what was signed, by which certificate (lower hex); with a day, of the destruction."""
    kind = RECEIPT if destroyed_on is None else DESTROYED
    signed = (bytes.fromhex(certificate_sha256), signature, now_us, destroyed_on)
    await tx.execute(_KEEP, (ticket.ticket_id, kind, *signed))
