"""What an approver signs, and whether a signature is that.

The bytes name the ticket and the plan, so that no signature serves for another of either.
"""

from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate

from gateway.errors import Reason, Refusal, refuse

# ECDSA over P-256 in DER has 72 bytes at most.
SIGNATURE_MAX = 80


class Standing(StrEnum):
    """What an approval is: its approver's, by an authority in force or one retired since, or no."""

    GENUINE = "genuine"
    RETIRED = "retired"
    FALSE = "false"


def statement(ticket_id: str, plan_sha256: str) -> bytes:
    """Return the bytes that are signed (decision 0017)."""
    return f"sxgw-approve-v1\n{ticket_id}\n{plan_sha256}\n".encode("ascii")


def verify(certificate: Certificate, signed: bytes, signature: bytes) -> None:
    """Return where the signature is the certificate's over these bytes: ECDSA, SHA-256, DER.

    Raises APPROVAL_SIGNATURE.
    """
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or len(signature) > SIGNATURE_MAX:
        raise refuse(Reason.APPROVAL_SIGNATURE)
    try:
        key.verify(signature, signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise refuse(Reason.APPROVAL_SIGNATURE) from None


def signed_by(certificate: Certificate, signed: bytes, signature: bytes) -> bool:
    """Tell whether `verify` passes, of an approval that stands in a ticket."""
    try:
        verify(certificate, signed, signature)
    except Refusal:
        return False
    return True
