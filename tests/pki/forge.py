"""Certificates as an attacker would make them: our own issuer's output taken apart, changed, and signed again."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.clock import to_datetime
from gateway.names import Subject
from gateway.pki import issue
from gateway.pki.issue import Authority

DOMAIN = "gateway.invalid"
CITY = Subject(DOMAIN, "140100", "sys", "his")
SEQUENCE, INTEGER, OID, BOOLEAN, OCTETS, BITS = 0x30, 0x02, 0x06, 0x01, 0x04, 0x03
SAN, EKU, BASIC, USAGE, NAME_CONSTRAINTS = (
    "2.5.29.17",
    "2.5.29.37",
    "2.5.29.19",
    "2.5.29.15",
    "2.5.29.30",
)
CLIENT_AUTH, SERVER_AUTH, ANY_USAGE = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "2.5.29.37.0"
ECDSA_SHA1 = "1.2.840.10045.4.1"

Extensions = list[bytes]


@dataclass(frozen=True)
class Papers:
    """What a client shows: certificates in DER, the leaf first, and the leaf's key."""

    chain: tuple[bytes, ...]
    key: PrivateKeyTypes

    def pem(self) -> bytes:
        """Return key and chain as one file for `ssl`."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = [x509_pem(der) for der in self.chain]
        return key + b"".join(chain)


@dataclass(frozen=True)
class Ca:
    """The authorities of a gateway and what an attacker has beside them."""

    root: Authority
    client: Authority
    server: Authority
    now_us: int

    @classmethod
    def make(cls, now_us: int, name: str = DOMAIN) -> "Ca":
        """Make all three."""
        root = issue.make_root(name, now_us)
        return cls(
            root,
            issue.make_authority("client-authority", name, root, now_us),
            issue.make_authority("server-authority", name, root, now_us),
            now_us,
        )

    def good(self, subject: Subject = CITY, days: int = 0, now_us: int = 0) -> Papers:
        """Return papers that are as they must be."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = issue.client_certificate(
            self.client, subject, key.public_key(), now_us or self.now_us, days
        )
        return Papers((leaf.public_bytes(Encoding.DER),), key)

    def changed(
        self, extensions: Callable[[Extensions], Extensions] | None = None, **fields: bytes
    ) -> Papers:
        """Return good papers with other extensions or other fields of the TBSCertificate, signed by the client authority."""
        papers = self.good()
        return Papers((forge(papers.chain[0], self.client.key, extensions, **fields),), papers.key)

    def keyed(self, key: PrivateKeyTypes) -> Papers:
        """Return papers for a key that our issuer would refuse."""
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
        own = extension("2.5.29.14", tlv(OCTETS, digest))
        return Papers(self.changed(replaced("2.5.29.14", own), spki=spki).chain, key)

    def below(self, issuer: Authority, above: Sequence[bytes] = ()) -> Papers:
        """Return a leaf of our form signed by another issuer, with what stands above it."""
        papers = self.good()
        name = issuer.certificate.subject.public_bytes()
        identifier = x509.SubjectKeyIdentifier.from_public_key(issuer.key.public_key()).digest
        above_it = extension("2.5.29.35", tlv(SEQUENCE, tlv(0x80, identifier)))
        leaf = forge(papers.chain[0], issuer.key, replaced("2.5.29.35", above_it), issuer=name)
        return Papers((leaf, *above), papers.key)


def forge(
    der: bytes,
    key: PrivateKeyTypes,
    extensions: Callable[[Extensions], Extensions] | None = None,
    *,
    digest: hashes.HashAlgorithm | None = None,
    **fields: bytes,
) -> bytes:
    """Return a certificate changed and signed anew. Fields are whole DER elements: version, serial, algorithm, issuer,
    validity, subject, spki."""
    tbs, algorithm, _ = children(der)
    names = (
        "version",
        "serial",
        "algorithm",
        "issuer",
        "validity",
        "subject",
        "spki",
        "extensions",
    )
    parts = dict(zip(names, children(tbs), strict=True))
    parts.update(fields)
    if extensions is not None:
        found = children(children(parts["extensions"])[0])
        parts["extensions"] = tlv(0xA3, tlv(SEQUENCE, b"".join(extensions(found))))
    body = tlv(SEQUENCE, b"".join(parts.values()))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(body, ec.ECDSA(digest or hashes.SHA256()))
    return tlv(SEQUENCE, body + fields.get("algorithm", algorithm) + tlv(BITS, b"\0" + signature))


def replaced(oid: str, new: bytes | None) -> Callable[[Extensions], Extensions]:
    """Return a change that puts `new` in an extension's place, or removes it."""

    def change(found: Extensions) -> Extensions:
        kept = [one for one in found if children(one)[0] != encode_oid(oid)]
        assert len(kept) < len(found)
        return [*kept, new] if new is not None else kept

    return change


def added(*new: bytes) -> Callable[[Extensions], Extensions]:
    """Return a change that adds extensions."""
    return lambda found: [*found, *new]


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return the DER of an extension."""
    mark = tlv(BOOLEAN, b"\xff") if critical else b""
    return tlv(SEQUENCE, encode_oid(oid) + mark + tlv(OCTETS, value))


def uri(*texts: str | bytes) -> bytes:
    """Return the value of a subject alternative name of URIs."""
    encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return tlv(SEQUENCE, b"".join(tlv(0x86, one) for one in encoded))


def usages(*oids: str) -> bytes:
    """Return the value of an extended key usage."""
    return tlv(SEQUENCE, b"".join(map(encode_oid, oids)))


def tlv(tag: int, content: bytes) -> bytes:
    """Return one DER element."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def children(der: bytes) -> list[bytes]:
    """Return the elements inside an element."""
    content = _content(der)
    found = []
    while content:
        size = _size(content)
        found.append(content[:size])
        content = content[size:]
    return found


def encode_oid(dotted: str) -> bytes:
    """Return the DER of an object identifier."""
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray([first * 40 + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | (arc & 0x7F))
        octets += bytes(reversed(groups))
    return tlv(OID, bytes(octets))


def integer(octets: bytes) -> bytes:
    """Return the DER of an INTEGER with exactly these content octets."""
    return tlv(INTEGER, octets)


def common_name(text: bytes) -> bytes:
    """Return a name of one common name."""
    attribute = tlv(SEQUENCE, encode_oid("2.5.4.3") + tlv(0x0C, text))
    return tlv(SEQUENCE, tlv(0x31, attribute))


def validity(start_us: int, days: float) -> bytes:
    """Return a validity period."""
    start = to_datetime(start_us)
    ends = (start, start + timedelta(days=days))
    return tlv(SEQUENCE, b"".join(tlv(0x17, f"{one:%y%m%d%H%M%S}Z".encode()) for one in ends))


def x509_pem(der: bytes) -> bytes:
    """Return DER as a PEM block, whatever it holds."""
    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return b"-----BEGIN CERTIFICATE-----\n" + b"\n".join(lines) + b"\n-----END CERTIFICATE-----\n"


def _size(der: bytes) -> int:
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return start + length


def _content(der: bytes) -> bytes:
    start = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[start : _size(der)]
