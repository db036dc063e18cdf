"""The attacks 2-28 of identity.md section 7 that are certificates: what each shows, and the one reason it must meet."""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import US_PER_S
from gateway.errors import Reason
from gateway.names import Subject
from gateway.pki import issue
from gateway.pki.issue import Authority
from tests.pki.forge import (
    ANY_USAGE,
    BASIC,
    BOOLEAN,
    CITY,
    CLIENT_AUTH,
    ECDSA_SHA1,
    EKU,
    SAN,
    SEQUENCE,
    SERVER_AUTH,
    USAGE,
    Ca,
    Extensions,
    Papers,
    added,
    common_name,
    encode_oid,
    extension,
    forge,
    integer,
    replaced,
    tlv,
    uri,
    usages,
    validity,
)

Change = Callable[[Extensions], Extensions]
DAY_US = 86_400 * US_PER_S
ID = str(CITY)
PROFILE, UNTRUSTED = Reason.CERT_PROFILE, Reason.CERT_UNTRUSTED


@dataclass(frozen=True)
class Forgery:
    """One attack: its number and name, how its papers are made, the reason, and whether a TLS client can show it."""

    name: str
    make: Callable[[Ca], Papers]
    reason: Reason
    showable: bool = True


def _foreign(ca: Ca) -> Papers:
    return Ca.make(ca.now_us, "stranger").good()


def _same_named(ca: Ca) -> Papers:
    return Ca.make(ca.now_us).good()


def _same_named_and_identified(ca: Ca) -> Papers:
    """A foreign key under our authority's name and key identifier: only the signature tells."""
    papers = ca.good()
    return Papers((forge(papers.chain[0], ec.generate_private_key(ec.SECP256R1())),), papers.key)


def _below_sub_authority(ca: Ca) -> Papers:
    made = issue.make_authority("client-authority", "sub authority", ca.root, ca.now_us)
    own = x509.SubjectKeyIdentifier.from_public_key(ca.client.key.public_key()).digest
    sub = forge(
        made.certificate.public_bytes(Encoding.DER),
        ca.client.key,
        replaced("2.5.29.35", extension("2.5.29.35", tlv(SEQUENCE, tlv(0x80, own)))),
        issuer=ca.client.certificate.subject.public_bytes(),
        algorithm=tlv(SEQUENCE, encode_oid("1.2.840.10045.4.3.2")),
    )
    return ca.below(Authority(x509.load_der_x509_certificate(sub), made.key), (sub,))


def _below_leaf(ca: Ca) -> Papers:
    papers = ca.good()
    leaf = x509.load_der_x509_certificate(papers.chain[0])
    assert isinstance(papers.key, ec.EllipticCurvePrivateKey)
    return ca.below(Authority(leaf, papers.key), papers.chain)


def _server(ca: Ca) -> Papers:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = issue.server_certificate(ca.server, key.public_key(), ["127.0.0.1"], ca.now_us)
    above = ca.server.certificate.public_bytes(Encoding.DER)
    return Papers((leaf.public_bytes(Encoding.DER), above), key)


def _sha1(ca: Ca) -> Papers:
    papers = ca.good()
    algorithm = tlv(SEQUENCE, encode_oid(ECDSA_SHA1))
    leaf = forge(papers.chain[0], ca.client.key, digest=hashes.SHA1(), algorithm=algorithm)
    return Papers((leaf,), papers.key)


def _san(value: bytes) -> Callable[[Ca], Papers]:
    return lambda ca: ca.changed(replaced(SAN, extension(SAN, value)))


def _eku(*oids: str) -> Callable[[Ca], Papers]:
    return lambda ca: ca.changed(replaced(EKU, extension(EKU, usages(*oids))))


def _rsa(bits: int, exponent: int = 65537) -> Callable[[Ca], Papers]:
    return lambda ca: ca.keyed(rsa.generate_private_key(exponent, bits))


_AUTHORITY = extension(BASIC, tlv(SEQUENCE, tlv(BOOLEAN, b"\xff")), critical=True)
_SIGNS = extension(USAGE, tlv(0x03, b"\x02\x04"), critical=True)

FORGERIES = (
    Forgery("2 unknown authority", _foreign, UNTRUSTED),
    Forgery("3 authority of the same name", _same_named, UNTRUSTED),
    Forgery(
        "3 authority of the same name and key identifier", _same_named_and_identified, UNTRUSTED
    ),
    Forgery("7 usage of a server", _eku(SERVER_AUTH), PROFILE),
    Forgery("8 no extended usage", lambda ca: ca.changed(replaced(EKU, None)), PROFILE),
    Forgery("9 any usage", _eku(ANY_USAGE), PROFILE),
    Forgery("9 client and any usage", _eku(CLIENT_AUTH, ANY_USAGE), PROFILE),
    Forgery("10 client and server", _eku(CLIENT_AUTH, SERVER_AUTH), PROFILE),
    Forgery("11 no alternative name", lambda ca: ca.changed(replaced(SAN, None)), PROFILE),
    Forgery("12 two URIs", _san(uri(ID, ID)), PROFILE),
    Forgery(
        "12 two URIs, the second another's", _san(uri(ID, ID.replace("140100", "140200"))), PROFILE
    ),
    Forgery(
        "13 the id in the common name only",
        lambda ca: ca.changed(replaced(SAN, None), subject=common_name(ID.encode())),
        PROFILE,
    ),
    Forgery("14 NUL in the URI", _san(uri(ID.encode() + b"\0evil")), PROFILE),
    Forgery("15 percent-encoded slash", _san(uri(ID.replace("/sys/", "/sys%2F"))), PROFILE),
    Forgery("15 dot segments", _san(uri(ID.replace("/sys/", "/../140200/sys/"))), PROFILE),
    Forgery("15 upper case", _san(uri(ID.replace("his", "HIS"))), PROFILE),
    Forgery("15 upper-case scheme", _san(uri(ID.replace("spiffe", "SPIFFE"))), PROFILE),
    Forgery("15 homoglyph", _san(uri(ID.replace("his", "hіs").encode())), PROFILE),
    Forgery("15 trailing dot", _san(uri(ID + ".")), PROFILE),
    Forgery("15 trailing space", _san(uri(ID + " ")), PROFILE),
    Forgery("15 trailing newline", _san(uri(ID + "\n")), PROFILE),
    Forgery("15 trailing slash", _san(uri(ID + "/")), PROFILE),
    Forgery("15 query", _san(uri(ID + "?x")), PROFILE),
    Forgery(
        "15 user and port",
        _san(uri(ID.replace("//", "//me@").replace("invalid", "invalid:1"))),
        PROFILE,
    ),
    Forgery(
        "15 full-width digits", _san(uri(ID.replace("140100", "１４０１００").encode())), PROFILE
    ),
    Forgery(
        "15 another trust domain",
        _san(uri(ID.replace("gateway.invalid", "evil.invalid"))),
        UNTRUSTED,
    ),
    Forgery(
        "16 a DNS name beside the URI",
        _san(tlv(SEQUENCE, uri(ID)[2:] + tlv(0x82, b"evil.invalid"))),
        PROFILE,
    ),
    Forgery(
        "16 a DNS name instead of the URI",
        _san(tlv(SEQUENCE, tlv(0x82, b"gateway.invalid"))),
        PROFILE,
    ),
    Forgery(
        "16 an alternative name marked critical",
        lambda ca: ca.changed(replaced(SAN, extension(SAN, uri(ID), critical=True))),
        PROFILE,
    ),
    Forgery("17 an authority as leaf", lambda ca: ca.changed(replaced(BASIC, _AUTHORITY)), PROFILE),
    Forgery(
        "17 key usage that signs certificates",
        lambda ca: ca.changed(replaced(USAGE, _SIGNS)),
        PROFILE,
    ),
    Forgery("17 no key usage", lambda ca: ca.changed(replaced(USAGE, None)), PROFILE),
    Forgery("18 a further authority below", _below_sub_authority, UNTRUSTED),
    Forgery("19 signed by a leaf", _below_leaf, UNTRUSTED),
    Forgery("20 the server's certificate", _server, UNTRUSTED),
    Forgery("21 signed by the root itself", lambda ca: ca.below(ca.root), UNTRUSTED),
    Forgery(
        "21 signed by the server authority",
        lambda ca: ca.below(ca.server, (ca.server.certificate.public_bytes(Encoding.DER),)),
        UNTRUSTED,
    ),
    Forgery("22 RSA 1024", _rsa(1024), PROFILE),
    Forgery("22 RSA 2048", _rsa(2048), PROFILE),
    Forgery("22 RSA exponent 3", _rsa(3072, 3), PROFILE),
    Forgery("22 P-521", lambda ca: ca.keyed(ec.generate_private_key(ec.SECP521R1())), PROFILE),
    Forgery(
        "22 P-192",
        lambda ca: ca.keyed(ec.generate_private_key(ec.SECP192R1())),
        PROFILE,
        showable=False,
    ),
    Forgery("22 Ed25519", lambda ca: ca.keyed(ed25519.Ed25519PrivateKey.generate()), PROFILE),
    Forgery("23 signed with SHA-1", _sha1, PROFILE),
    Forgery("24 serial 0", lambda ca: ca.changed(serial=integer(b"\0")), PROFILE),
    Forgery("24 serial 1", lambda ca: ca.changed(serial=integer(b"\1")), PROFILE),
    Forgery("24 negative serial", lambda ca: ca.changed(serial=integer(b"\x91" * 16)), PROFILE),
    Forgery("24 serial of 21 octets", lambda ca: ca.changed(serial=integer(b"\x11" * 21)), PROFILE),
    Forgery(
        "25 unknown critical extension",
        lambda ca: ca.changed(added(extension("1.3.6.1.4.1.99999.1", b"\5\0", critical=True))),
        PROFILE,
    ),
    Forgery(
        "25 unknown extension",
        lambda ca: ca.changed(added(extension("1.3.6.1.4.1.99999.1", b"\5\0"))),
        PROFILE,
    ),
    Forgery(
        "26 the alternative name twice",
        lambda ca: ca.changed(added(extension(SAN, uri(ID)))),
        UNTRUSTED,
        showable=False,
    ),
    Forgery(
        "26 the extended usage twice",
        lambda ca: ca.changed(added(extension(EKU, usages(SERVER_AUTH)))),
        UNTRUSTED,
        showable=False,
    ),
    Forgery(
        "28 an alternative name that is not DER", _san(b"\x30\x05garba"), UNTRUSTED, showable=False
    ),
    Forgery(
        "a life of ten years",
        lambda ca: ca.changed(validity=validity(ca.now_us - DAY_US, 3650)),
        PROFILE,
    ),
)


def _expired(extensions: Change | None = None) -> Callable[[Ca], Papers]:
    """It lived for two minutes, after the authority was there and before now."""
    ended = 240 * US_PER_S, 120 / 86_400
    return lambda ca: ca.changed(extensions, validity=validity(ca.now_us - ended[0], ended[1]))


def _not_yet(extensions: Change | None = None) -> Callable[[Ca], Papers]:
    return lambda ca: ca.changed(extensions, validity=validity(ca.now_us + DAY_US, 14))


def _expired_and_unsigned(ca: Ca) -> Papers:
    """Past its time and of our authority's name and key identifier, but signed by somebody's key."""
    papers = _expired()(ca)
    return Papers((forge(papers.chain[0], ec.generate_private_key(ec.SECP256R1())),), papers.key)


# What is wrong with these their bearer is told: the handshake is finished (decision 0009).
DEFECTS = (
    Forgery("4 expired", _expired(), Reason.CERT_EXPIRED),
    Forgery("5 not yet valid", _not_yet(), Reason.CERT_NOT_YET_VALID),
)
# Whoever is expired and something else beside is nobody's bearer, and refused for that.
FORGED_DEFECTS = (
    Forgery("4 expired, signed by nobody", _expired_and_unsigned, UNTRUSTED),
    Forgery(
        "4 expired, of a foreign authority of the same name",
        lambda ca: _expired()(Ca.make(ca.now_us)),
        UNTRUSTED,
    ),
    Forgery(
        "4 expired, usage of a server",
        _expired(replaced(EKU, extension(EKU, usages(SERVER_AUTH)))),
        PROFILE,
    ),
    Forgery(
        "4 expired, with an unknown extension",
        _expired(added(extension("1.3.6.1.4.1.99999.1", b"\5\0"))),
        PROFILE,
    ),
    Forgery(
        "4 expired, another trust domain",
        _expired(replaced(SAN, extension(SAN, uri(ID.replace("gateway.", "evil."))))),
        UNTRUSTED,
    ),
    Forgery(
        "5 not yet valid, but then for ten years",
        lambda ca: ca.changed(validity=validity(ca.now_us + DAY_US, 3650)),
        PROFILE,
    ),
    Forgery("5 not yet valid, an authority", _not_yet(replaced(BASIC, _AUTHORITY)), PROFILE),
    Forgery(
        "5 not yet valid, two URIs", _not_yet(replaced(SAN, extension(SAN, uri(ID, ID)))), PROFILE
    ),
)


def other_city(ca: Ca) -> Papers:
    """Return good papers of another organisation."""
    return ca.good(Subject(CITY.trust_domain, "140200", "sys", "his"))
