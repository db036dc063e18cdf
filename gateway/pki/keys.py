"""Which public keys are good enough and which only look it: size, exponent, near factors, ROCA.

After Let's Encrypt's goodkey: a key that can be computed from its public half must never get a
certificate.
"""

import hashlib
import math

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RSA_BITS_MIN = 3072
# Verifying costs the front time that grows with the size: nobody needs more.
RSA_BITS_MAX = 8192
RSA_EXPONENT = 65537
# Factors closer together than this many steps of Fermat's method are found at once (boulder: 100
# rounds).
FERMAT_ROUNDS = 100
# Nemec et al., "The Return of Coppersmith's Attack" (CVE-2017-15361): moduli of the broken
# generator are, modulo each of these primes, a power of 65537.
_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384"}


class WeakKeyError(ValueError):
    """The public key must not be certified or accepted; the text says why."""


def check(key: CertificatePublicKeyTypes, allowed: tuple[str, ...]) -> None:
    """Raise WeakKeyError unless the key is sound and of an allowed kind: P-256, P-384, RSA."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        name = _CURVES.get(key.curve.name, key.curve.name)
        if name not in allowed:
            raise WeakKeyError(f"a key on the curve {key.curve.name} is not of the profile")
    elif isinstance(key, rsa.RSAPublicKey):
        if "RSA" not in allowed:
            raise WeakKeyError("an RSA key is not of the profile")
        _check_rsa(key)
    else:
        raise WeakKeyError("a key of this algorithm is not of the profile")


def spki_sha256(key: CertificatePublicKeyTypes) -> bytes:
    """Return SHA-256 over the DER of the SubjectPublicKeyInfo: the key's own name."""
    return hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()


def _check_rsa(key: rsa.RSAPublicKey) -> None:
    numbers = key.public_numbers()
    if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise WeakKeyError(
            f"an RSA key of {key.key_size} bits, not {RSA_BITS_MIN} to {RSA_BITS_MAX}"
        )
    if numbers.e != RSA_EXPONENT:
        raise WeakKeyError(f"the RSA exponent is not {RSA_EXPONENT}")
    if numbers.n % 2 == 0 or fermat(numbers.n):
        raise WeakKeyError("the RSA modulus can be factored: its primes are too close together")
    if roca(numbers.n):
        raise WeakKeyError("the RSA modulus comes from a broken generator (CVE-2017-15361)")


def fermat(modulus: int) -> bool:
    """Return whether Fermat's method factors the odd modulus within FERMAT_ROUNDS."""
    middle = math.isqrt(modulus)
    if middle * middle == modulus:
        return True
    for a in range(middle + 1, middle + 1 + FERMAT_ROUNDS):
        square = a * a - modulus
        if math.isqrt(square) ** 2 == square:
            return True
    return False


def roca(modulus: int) -> bool:
    """Return whether the modulus carries the mark of the broken generator of CVE-2017-15361."""
    return all(modulus % prime in _powers(prime) for prime in _ROCA_PRIMES)


def _powers(prime: int) -> set[int]:
    return {pow(RSA_EXPONENT, exponent, prime) for exponent in range(prime - 1)}
