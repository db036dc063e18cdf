"""Variations of a certificate's extensions: each absent, doubled, flipped, foreign ones added, and each value's own."""

from collections.abc import Callable, Iterator

from cryptography import x509

from gateway.pki.profile import Profile
from tests.pki.forge import (
    ANY_USAGE,
    BASIC,
    BITS,
    BOOLEAN,
    CITY,
    CLIENT_AUTH,
    EKU,
    INTEGER,
    OCTETS,
    SAN,
    SEQUENCE,
    SERVER_AUTH,
    USAGE,
    Ca,
    added,
    children,
    encode_oid,
    extension,
    forge,
    integer,
    replaced,
    tlv,
    uri,
    usages,
)
from tests.pki.variation import Change, Make, Variation, changed, instead

SKI, AKI = "2.5.29.14", "2.5.29.35"
ID = str(CITY)
# RFC 5280 section 4.2.1.3, by bit.
BITS_OF_USAGE = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
# serverAuth, codeSigning, emailProtection, timeStamping, OCSPSigning, smart card logon, any.
PURPOSES = (
    SERVER_AUTH,
    "1.3.6.1.5.5.7.3.3",
    "1.3.6.1.5.5.7.3.4",
    "1.3.6.1.5.5.7.3.8",
    "1.3.6.1.5.5.7.3.9",
    "1.3.6.1.4.1.311.20.2.2",
    ANY_USAGE,
)
# Known ones that no profile of ours has, each with a value that is well formed.
FOREIGN = {
    "issuer alternative name": ("2.5.29.18", uri("https://evil.invalid")),
    "certificate policies": (
        "2.5.29.32",
        tlv(SEQUENCE, tlv(SEQUENCE, encode_oid("2.5.29.32.0"))),
    ),
    "list distribution points": (
        "2.5.29.31",
        tlv(SEQUENCE, tlv(SEQUENCE, tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://evil.invalid"))))),
    ),
    "authority information access": (
        "1.3.6.1.5.5.7.1.1",
        tlv(
            SEQUENCE,
            tlv(SEQUENCE, encode_oid("1.3.6.1.5.5.7.48.1") + tlv(0x86, b"http://evil.invalid")),
        ),
    ),
    "TLS feature": ("1.3.6.1.5.5.7.1.24", tlv(SEQUENCE, tlv(INTEGER, b"\5"))),
    "Netscape type": ("2.16.840.1.113730.1.1", tlv(BITS, b"\7\x80")),
    "unknown": ("1.3.6.1.4.1.99999.1", b"\5\0"),
}

# Of FOREIGN: those that OpenSSL handles, so that their being critical stops nothing there.
OPENSSL_KNOWS = {"2.5.29.32", "2.5.29.31", "2.16.840.1.113730.1.1"}
# OpenSSL finds no issuer for a certificate whose extensions it cannot read: "unable to get local issuer certificate".
UNDECODABLE = 20


def of_extensions(rules: Profile) -> Iterator[Variation]:
    """Yield them for a profile."""
    yield from _extensions(rules)
    yield from _basic_constraints()
    yield from _key_usage(rules)
    yield from _extended_key_usage(rules)
    yield from _names()
    yield from _key_identifiers()


def _own_extensions(rules: Profile) -> dict[str, str]:
    found = {"basic constraints": BASIC, "key usage": USAGE, "alternative name": SAN}
    if rules.extended_key_usage:
        found["extended key usage"] = EKU
    return {**found, "own key identifier": SKI, "issuer's key identifier": AKI}


def _extensions(rules: Profile) -> Iterator[Variation]:
    for name, oid in _own_extensions(rules).items():
        for change, made, number in (
            ("no {}", replaced(oid, None), 85 if oid == AKI else 0),
            ("{} twice", _twice(oid), UNDECODABLE),
            ("{}: criticality flipped", _flipped(oid), 34 if oid in (SKI, AKI) else 0),
        ):
            yield Variation(change.format(name), "extensions", changed(made), number)
    yield Variation("no extensions", "extensions", changed(lambda _: []), 85)
    for name, (oid, value) in FOREIGN.items():
        for critical in (False, True):
            yield Variation(
                f"extension {name}{', critical' if critical else ''}",
                "extensions",
                changed(added(extension(oid, value, critical=critical))),
                34 if critical and oid not in OPENSSL_KNOWS else 0,
            )
    if not rules.extended_key_usage:
        yield Variation(
            "extension extended key usage",
            "extensions",
            changed(added(extension(EKU, usages(CLIENT_AUTH)))),
        )


def _of(found: list[bytes], oid: str) -> bytes:
    (one,) = [one for one in found if children(one)[0] == encode_oid(oid)]
    return one


def _twice(oid: str) -> Change:
    return lambda found: [*found, _of(found, oid)]


def _flipped(oid: str) -> Change:
    def change(found: list[bytes]) -> list[bytes]:
        name, *mark, value = children(_of(found, oid))
        new = tlv(SEQUENCE, name + (b"" if mark else tlv(BOOLEAN, b"\xff")) + value)
        return replaced(oid, new)(found)

    return change


def _basic_constraints() -> Iterator[Variation]:
    yes = tlv(BOOLEAN, b"\xff")
    for name, rule, value, number in (
        ("an authority", "basic-constraints", tlv(SEQUENCE, yes), 0),
        ("an authority above none", "basic-constraints", tlv(SEQUENCE, yes + integer(b"\0")), 81),
        ("no authority with a path length", "extensions", tlv(SEQUENCE, integer(b"\0")), 80),
        ("not decodable", "extensions", b"\5\0", UNDECODABLE),
    ):
        make = instead(BASIC, value, critical=True)
        yield Variation(f"basic constraints: {name}", rule, make, number)


def _key_usage(rules: Profile) -> Iterator[Variation]:
    own = set(rules.key_usage)
    cases = {
        f"{'without' if bit in own else 'with'} {bit}": own ^ {bit} for bit in BITS_OF_USAGE
    } | {"all of them": set(BITS_OF_USAGE)}
    for name, wanted in cases.items():
        # RFC 5280 section 4.2.1.3: these two mean nothing without keyAgreement; the library does not decode them.
        alone = wanted & {"encipher_only", "decipher_only"} and "key_agreement" not in wanted
        number = 82 if "key_cert_sign" in wanted else 0 if wanted else UNDECODABLE
        rule = "extensions" if alone else "key-usage"
        yield Variation(f"key usage: {name}", rule, _usage(wanted), number)
    garbage = instead(USAGE, b"\5\0", critical=True)
    yield Variation("key usage: not decodable", "extensions", garbage, UNDECODABLE)


def _usage(wanted: set[str]) -> Make:
    word = sum(0x8000 >> BITS_OF_USAGE.index(bit) for bit in wanted)
    octets = word.to_bytes(2, "big").rstrip(b"\0")
    unused = (octets[-1] & -octets[-1]).bit_length() - 1 if octets else 0
    return instead(USAGE, tlv(BITS, bytes([unused]) + octets), critical=True)


def _extended_key_usage(rules: Profile) -> Iterator[Variation]:
    own = rules.extended_key_usage
    if not own:
        return
    cases = {f"with {oid}": (*own, oid) for oid in PURPOSES}
    cases |= {f"{oid} alone": (oid,) for oid in PURPOSES}
    cases |= {"said twice": (*own, *own), "empty": ()}
    for name, oids in cases.items():
        rule = "extended-key-usage" if oids else "extensions"
        yield Variation(f"extended key usage: {name}", rule, instead(EKU, usages(*oids)))


def _names() -> Iterator[Variation]:
    texts = {
        "two URIs": (ID, ID),
        "another scheme": (ID.replace("spiffe:", "https:"),),
        "scheme in upper case": (ID.replace("spiffe", "SPIFFE"),),
        "upper case": (ID.replace("his", "HIS"),),
        "percent-encoded": (ID.replace("/sys/", "/sys%2F"),),
        "dot segments": (ID.replace("/sys/", "/../140200/sys/"),),
        "query": (ID + "?x",),
        "fragment": (ID + "#x",),
        "trailing slash": (ID + "/",),
        "trailing space": (ID + " ",),
        "trailing newline": (ID + "\n",),
        "NUL": (ID + "\0",),
        "user": (ID.replace("//", "//me@"),),
        "port": (ID.replace("invalid/", "invalid:1/"),),
        "another kind": (ID.replace("/sys/", "/admin/"),),
        "five digits": (ID.replace("140100", "14010"),),
        "thirteen digits": (ID.replace("140100", "1401001401001"),),
        "a name of 41": (ID.replace("his", "h" * 41),),
        "no name": (ID.removesuffix("his"),),
        "an underscore": (ID.replace("his", "h_s"),),
        "nothing": (),
    }
    for name, parts in texts.items():
        number = 0 if parts else 87
        yield Variation(f"name: {name}", "names", instead(SAN, uri(*parts)), number)
    for name, other in {
        "a DNS name": tlv(0x82, b"gateway.invalid"),
        "a mail address": tlv(0x81, b"a@gateway.invalid"),
        "an address": tlv(0x87, b"\x7f\0\0\1"),
        "a registered id": tlv(0x88, b"\x2a\x03"),
        "another name": tlv(
            0xA0, encode_oid("1.3.6.1.4.1.311.20.2.3") + tlv(0xA0, tlv(0x0C, b"a"))
        ),
    }.items():
        yield Variation(f"name: {name} instead", "names", instead(SAN, tlv(SEQUENCE, other)))
        beside = tlv(SEQUENCE, children(uri(ID))[0] + other)
        yield Variation(f"name: {name} beside", "names", instead(SAN, beside))
    garbage = instead(SAN, b"\x30\x05garba")
    yield Variation("name: not decodable", "extensions", garbage, UNDECODABLE)


def _key_identifiers() -> Iterator[Variation]:
    for name, rule, value, number in (
        ("of another key", "key-identifiers", tlv(OCTETS, b"\x11" * 20), 0),
        ("empty", "key-identifiers", tlv(OCTETS, b""), 0),
        ("not decodable", "extensions", b"\5\0", UNDECODABLE),
    ):
        yield Variation(f"own key identifier: {name}", rule, instead(SKI, value), number)
    another = tlv(0xA1, tlv(0xA4, tlv(SEQUENCE, b""))) + tlv(0x82, b"\1")
    for name, rule, change, number in (
        ("of another key", "openssl", lambda _: tlv(0x80, b"\x11" * 20), 20),
        ("empty", "key-identifiers", lambda _: b"", 102),
        ("with issuer and serial", "key-identifiers", lambda own: own + another, 20),
        ("issuer and serial alone", "key-identifiers", lambda _: another, 20),
    ):
        yield Variation(f"issuer's key identifier: {name}", rule, _issuer_key(change), number)


def _issuer_key(change: Callable[[bytes], bytes]) -> Make:
    def make(ca: Ca, leaf: bytes) -> bytes:
        own = x509.SubjectKeyIdentifier.from_public_key(ca.client.key.public_key()).digest
        value = extension(AKI, tlv(SEQUENCE, change(tlv(0x80, own))))
        return forge(leaf, ca.client.key, replaced(AKI, value))

    return make
