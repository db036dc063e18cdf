"""Who signed a bundle: officers of the province, each by a certificate that an authority issued.

What the register's rows say of a certificate counts for nothing here, but for whose organisation is
the province.
"""

from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from gateway.pki.issuers import Issuers

# ECDSA over P-256 in DER has 72 bytes at most.
SIGNATURE_MAX = 80


def signers(rows: Sequence[Sequence[Any]], signed: bytes, issuers: Issuers) -> set[str]:
    """Return the officers of the province who signed; Any: as the columns have them.

    Raises SettingsError, OSError as `Issuers`.
    """
    found = set()
    for person, _, _, signature, signed_us, pem, organisation, provincial in rows:
        if not provincial:
            continue
        certificate = load_pem_x509_certificate(pem.encode())
        whose = issuers.subject(certificate, "client", signed_us)
        if whose is None or (whose.organisation, whose.kind) != (organisation, "officer"):
            continue
        if whose.name == person and verifies(certificate, signed, signature):
            found.add(whose.name)
    return found


def verifies(certificate: Certificate, signed: bytes, signature: object) -> bool:
    """Tell whether a signature is the certificate's over these bytes: ECDSA, SHA-256, DER."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(signature, bytes):
        return False
    if len(signature) > SIGNATURE_MAX:
        return False
    try:
        key.verify(signature, signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
