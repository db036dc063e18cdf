"""Whether a signature is a key's: ECDSA over P-256 with SHA-256, in DER (FIPS 186-5, RFC 3279)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

# ECDSA over P-256 in DER has 72 bytes at most.
SIGNATURE_MAX = 80


def verifies(key: object, signed: bytes, signature: object) -> bool:
    """Tell whether a signature is this public key's over these bytes; no other kind of key is."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(signature, bytes):
        return False
    if len(signature) > SIGNATURE_MAX:
        return False
    try:
        key.verify(signature, signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
