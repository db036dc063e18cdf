"""What an approver signs, and whether a signature is that.

The bytes name the ticket and the plan, so that no signature serves for another of either.
"""

from enum import StrEnum

from cryptography.x509 import Certificate

from gateway.errors import Reason, refuse
from gateway.tlog import ecdsa


class Standing(StrEnum):
    """What an approval is: its approver's, by an authority in force or one retired since, or no."""

    GENUINE = "genuine"
    RETIRED = "retired"
    FALSE = "false"


def statement(ticket_id: str, plan_sha256: str) -> bytes:
    """Return the bytes that are signed (decision 0017)."""
    return f"sxgw-approve-v1\n{ticket_id}\n{plan_sha256}\n".encode("ascii")


def verify(certificate: Certificate, signed: bytes, signature: bytes) -> None:
    """Pass the certificate's signature over these bytes; raises APPROVAL_SIGNATURE."""
    if not signed_by(certificate, signed, signature):
        raise refuse(Reason.APPROVAL_SIGNATURE)


def signed_by(certificate: Certificate, signed: bytes, signature: bytes) -> bool:
    """Tell whether `verify` passes, of an approval that stands in a ticket."""
    return ecdsa.verifies(certificate.public_key(), signed, signature)
