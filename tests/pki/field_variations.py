"""Variations of a certificate's own fields: version, serial number, signature, key, validity."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.clock import US_PER_S
from gateway.pki.profile import Profile
from tests.pki.forge import (
    ECDSA_SHA1,
    OCTETS,
    SEQUENCE,
    Ca,
    children,
    encode_oid,
    extension,
    forge,
    integer,
    replaced,
    tlv,
    validity,
)
from tests.pki.variation import Make, Variation, fields

SKI = "2.5.29.14"
DAY_US = 86_400 * US_PER_S
SIGNATURES = {
    "1.2.840.10045.4.3.1": hashes.SHA224(),
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
    ECDSA_SHA1: hashes.SHA1(),
}


def of_fields(rules: Profile) -> Iterator[Variation]:
    """Yield them for a profile."""
    yield from _version()
    yield from _serial()
    yield from _signature(rules)
    yield from _key(rules)
    yield from _validity(rules)


def _version() -> Iterator[Variation]:
    yield Variation("version 1", "version", fields(version=b""), 93)
    yield Variation("version 1, said", "encoding", fields(version=tlv(0xA0, integer(b"\0"))))
    yield Variation("version 2", "encoding", fields(version=tlv(0xA0, integer(b"\1"))))
    yield Variation("version 4", "encoding", fields(version=tlv(0xA0, integer(b"\3"))))
    for name, tag in (("issuer", 0x81), ("subject", 0x82)):
        yield Variation(
            f"a unique identifier of the {name}",
            "unique-identifiers",
            _after_key(tlv(tag, b"\0\1")),
        )


def _after_key(element: bytes) -> Make:
    def make(ca: Ca, leaf: bytes) -> bytes:
        return forge(leaf, ca.client.key, spki=children(children(leaf)[0])[6] + element)

    return make


def _serial() -> Iterator[Variation]:
    for name, octets, rule in (
        ("0", b"\0", "encoding"),
        ("negative", b"\x91" * 16, "encoding"),
        ("21 octets", b"\x11" * 21, "encoding"),
        ("empty", b"", "encoding"),
        ("1", b"\1", "serial"),
        ("64 bits", b"\0" + b"\xff" * 8, "serial"),
    ):
        yield Variation(f"serial {name}", rule, fields(serial=integer(octets)))


def _signature(rules: Profile) -> Iterator[Variation]:
    for oid, digest in SIGNATURES.items():
        if oid not in rules.signatures:
            algorithm = tlv(SEQUENCE, encode_oid(oid))
            yield Variation(f"signed with {digest.name}", "signature", _signed(algorithm, digest))
    yield Variation("two signature algorithms", "openssl", _two_algorithms, 78)


def _signed(algorithm: bytes, digest: hashes.HashAlgorithm) -> Make:
    return lambda ca, leaf: forge(leaf, ca.client.key, digest=digest, algorithm=algorithm)


def _two_algorithms(ca: Ca, leaf: bytes) -> bytes:
    """The one outside the signature is not the one inside (RFC 5280 section 4.1.1.2)."""
    body, _, signature = children(leaf)
    return tlv(SEQUENCE, body + tlv(SEQUENCE, encode_oid("1.2.840.10045.4.3.3")) + signature)


def _key(rules: Profile) -> Iterator[Variation]:
    kinds = {
        "P-192": ec.SECP192R1(),
        "P-224": ec.SECP224R1(),
        "P-256": ec.SECP256R1(),
        "P-384": ec.SECP384R1(),
        "P-521": ec.SECP521R1(),
        "secp256k1": ec.SECP256K1(),
        "brainpoolP256r1": ec.BrainpoolP256R1(),
    }
    for name, curve in kinds.items():
        if name not in rules.keys:
            yield Variation(
                f"key {name}", "key", _keyed(ec.generate_private_key(curve).public_key())
            )
    for name, key in (
        ("Ed25519", ed25519.Ed25519PrivateKey.generate().public_key()),
        ("Ed448", ed448.Ed448PrivateKey.generate().public_key()),
        ("X25519", x25519.X25519PrivateKey.generate().public_key()),
        ("DSA", dsa.generate_private_key(2048).public_key()),
        ("RSA 1024", _rsa(1024)),
        ("RSA 2048", _rsa(2048)),
        ("RSA 3071", _rsa(3071)),
        ("RSA 8193", _rsa(8193)),
        ("RSA exponent 3", _rsa(3072, 3)),
        ("RSA exponent 65539", _rsa(3072, 65539)),
        (
            "RSA square of one factor",
            rsa.RSAPublicNumbers(65537, ((1 << 1536) - 1) ** 2).public_key(),
        ),
        *(() if "RSA" in rules.keys else (("RSA 3072", _rsa(3072)),)),
    ):
        yield Variation(f"key {name}", "key", _keyed(key))
    yield Variation("key off its curve", "key", _off_curve, 1)


def _rsa(bits: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    """A modulus of this length that nobody holds factors of: what is judged is the public half."""
    modulus = (1 << bits) - (1 << (bits // 2)) - 0x1F3
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _keyed(key: CertificatePublicKeyTypes) -> Make:
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    own = extension(SKI, tlv(OCTETS, x509.SubjectKeyIdentifier.from_public_key(key).digest))
    return lambda ca, leaf: forge(leaf, ca.client.key, replaced(SKI, own), spki=spki)


def _off_curve(ca: Ca, leaf: bytes) -> bytes:
    algorithm, point = children(children(children(leaf)[0])[6])
    moved = bytes([*point[:-1], point[-1] ^ 1])
    return forge(leaf, ca.client.key, spki=tlv(SEQUENCE, algorithm + moved))


def _validity(rules: Profile) -> Iterator[Variation]:
    second = 1 / 86_400
    for name, start_days, days, number in (
        ("a second too long", 0, rules.days_max + second, 0),
        ("ten years", -1, 3650, 0),
        ("no life", 0, 0, 0),
        ("ends before it begins", 0, -second, 10),
    ):
        yield Variation(f"validity: {name}", "validity", _valid(start_days, days), number)
    yield Variation("validity: a GeneralizedTime before 2050", "cryptography", _generalized)


def _valid(start_days: float, days: float) -> Make:
    def make(ca: Ca, leaf: bytes) -> bytes:
        period = validity(ca.now_us + round(start_days * DAY_US), days)
        return forge(leaf, ca.client.key, validity=period)

    return make


def _generalized(ca: Ca, leaf: bytes) -> bytes:
    """RFC 5280 section 4.1.2.5: through the year 2049 a UTCTime."""
    times = children(children(children(leaf)[0])[4])
    return forge(
        leaf,
        ca.client.key,
        validity=tlv(SEQUENCE, b"".join(tlv(0x18, b"20" + time[2:]) for time in times)),
    )
