"""Certificate requests: only the public key is taken, once its owner proves to hold the private.

Subject, names and extensions that a request asks for are ignored: the authority decides what stands
in a certificate.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from gateway.errors import Reason, Violation, refuse
from gateway.pki import keys
from gateway.pki.profile import Profile

# A request of ours has some 400 bytes, one with an RSA key of 8192 bits less than 4 KiB.
REQUEST_MAX_BYTES = 16_384


def public_key(content: bytes, profile: Profile) -> CertificatePublicKeyTypes:
    """Return the public key of a PKCS #10 request, PEM or DER.

    Raises FIELD_INVALID with the rule that it breaks.
    """
    if len(content) > REQUEST_MAX_BYTES:
        raise _invalid("csr-size", "the request is too long", "证书请求过长")
    try:
        pem = b"-----BEGIN" in content
        request = x509.load_pem_x509_csr(content) if pem else x509.load_der_x509_csr(content)
        signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise _invalid(
            "csr-encoding", "this is not a certificate request", "不是有效的证书请求"
        ) from None
    if not signed:
        raise _invalid(
            "csr-signature",
            "the request is not signed with its own key",
            "证书请求未用其自身密钥签名",
        )
    try:
        keys.check(key, profile.keys)
    except keys.WeakKeyError as error:
        raise _invalid("csr-key", str(error), "公钥不符合要求") from None
    return key


def _invalid(rule: str, english: str, chinese: str) -> Exception:
    return refuse(Reason.FIELD_INVALID, violations=(Violation("csr", rule, english, chinese),))
