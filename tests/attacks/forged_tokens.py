"""Every forgery of a token that is tried: by the judge alone, at a live door, and by a second library.

An attacker could make few of them, for they are signed with the gateway's own key: so each shows one rule, which alone
stands in its way. The numbers are those of docs/attacks.md.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from joserfc.jwk import ECKey

from gateway.identity import keys
from gateway.identity.token import LONGEST_TOKEN

# The order of P-256.
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_EVIL = keys.make()


def encode(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@dataclass(frozen=True)
class Workshop:
    """What the forger has: the gateway's private key (JSON of a JWK) and a good token that was just minted."""

    private_jwk: str = field(repr=False)
    good: str = field(repr=False)

    @property
    def header(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(decode(self.good.split(".")[0]))
        return found

    @property
    def public(self) -> dict[str, str]:
        return {name: one for name, one in json.loads(self.private_jwk).items() if name != "d"}

    @property
    def now_s(self) -> int:
        """When the good token was minted."""
        issued: int = self.claims()["iat"]
        return issued

    def claims(self, **changes: object) -> dict[str, Any]:
        """The claims of the good token with some changed; None takes one away."""
        claims = json.loads(decode(self.good.split(".")[1])) | changes
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, header: dict | str, claims: dict | str, jwk: str = "") -> str:
        """Sign anything at all as ES256."""
        texts = [one if isinstance(one, str) else json.dumps(one) for one in (header, claims)]
        signed = ".".join(encode(text.encode()) for text in texts)
        key = ECKey.import_key(json.loads(jwk or self.private_jwk)).private_key
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def signed_by(self, signature: bytes) -> str:
        """The good token with another signature."""
        return f"{self.good.rsplit('.', 1)[0]}.{encode(signature)}"

    @property
    def signature(self) -> bytes:
        return decode(self.good.rsplit(".", 1)[1])


Make = Callable[[Workshop], str]


@dataclass(frozen=True)
class Forgery:
    """A token that must be refused by `rule`; `number` is the attack's."""

    number: int
    name: str
    rule: str
    make: Make

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def sendable(made: str) -> bool:
    """Whether a gRPC client sends it: its library refuses header values that HTTP/2 does not take."""
    return made.isascii() and made.isprintable() and len(made) < 2 * LONGEST_TOKEN


def twin(shop: Workshop) -> str:
    """The other signature that ECDSA takes for the same text: (r, n-s)."""
    r, s = shop.signature[:32], int.from_bytes(shop.signature[32:], "big")
    return shop.signed_by(r + (N - s).to_bytes(32, "big"))


def _header(**changes: object) -> Make:
    return lambda shop: shop.sign(shop.header | changes, shop.claims())


def _claims(**changes: object) -> Make:
    return lambda shop: shop.sign(shop.header, shop.claims(**changes))


def _times(**offsets: int) -> Make:
    """Claims of time, in seconds from now."""
    return lambda shop: shop.sign(
        shop.header, shop.claims(**{name: shop.now_s + by for name, by in offsets.items()})
    )


def _algorithms() -> Iterator[Forgery]:
    for algorithm in ("none", "None", "HS256", "ES384", "es256", ""):

        def unsigned(shop: Workshop, algorithm: str = algorithm) -> str:
            parts = (shop.header | {"alg": algorithm}, shop.claims())
            return ".".join(encode(json.dumps(part).encode()) for part in parts) + "."

        yield Forgery(101, f"alg {algorithm!r} unsigned", "base64", unsigned)
        yield Forgery(
            101,
            f"alg {algorithm!r}",
            "header.alg",
            lambda shop, unsigned=unsigned: unsigned(shop) + encode(b"\1" * 64),
        )
    forms = serialization.PublicFormat.SubjectPublicKeyInfo
    for name in ("PEM", "DER", "JWK"):

        def keyed(shop: Workshop, times: int, name: str = name) -> str:
            if name == "JWK":
                secret = json.dumps(shop.public).encode()
            else:
                key = ECKey.import_key(shop.public).public_key
                secret = key.public_bytes(getattr(serialization.Encoding, name), forms)
            head = shop.sign(shop.header | {"alg": "HS256"}, shop.claims()).rsplit(".", 1)[0]
            return (
                f"{head}.{encode(hmac.new(secret, head.encode(), hashlib.sha256).digest() * times)}"
            )

        yield Forgery(
            101, f"HS256 by our {name}", "signature.length", lambda shop, k=keyed: k(shop, 1)
        )
        yield Forgery(
            101, f"HS256 by our {name}, twice", "header.alg", lambda shop, k=keyed: k(shop, 2)
        )


_CLAIMS = (
    *("iss", "aud", "sub", "client_id", "org", "sid", "jti", "iat", "nbf", "exp"),
    *("pwd_epoch", "role_epoch", "roles", "amr", "cnf"),
)
_TYPES: tuple[tuple[dict[str, object], str], ...] = (
    ({"exp": "9999999999"}, "claims.exp"),
    ({"exp": True}, "claims.exp"),
    ({"exp": [9_999_999_999]}, "claims.exp"),
    ({"exp": -1}, "claims.exp"),
    ({"exp": 1 << 40}, "claims.exp"),
    ({"iat": False, "nbf": False}, "claims.iat"),
    ({"nbf": "now"}, "claims.nbf"),
    ({"pwd_epoch": "3"}, "claims.pwd_epoch"),
    ({"role_epoch": -1}, "claims.role_epoch"),
    ({"iss": ""}, "claims.iss"),
    ({"iss": "spiffe://elsewhere/gateway/identity"}, "claims.iss"),
    ({"aud": "spiffe://elsewhere/gateway"}, "claims.aud"),
    ({"sub": 7}, "claims.sub"),
    ({"sub": ""}, "claims.sub"),
    ({"jti": ""}, "claims.jti"),
    ({"sid": "AB" * 16}, "claims.sid"),
    ({"sid": "00" * 15}, "claims.sid"),
    ({"sid": "00" * 16 + "\n"}, "claims.sid"),
    ({"roles": "uploader"}, "claims.roles"),
    ({"roles": ["uploader", 1]}, "claims.roles"),
    ({"amr": ["pwd"]}, "claims.amr"),
    ({"cnf": "x"}, "claims.cnf"),
    ({"cnf": {}}, "claims.cnf"),
    ({"cnf": {"jkt": "A" * 43}}, "claims.cnf"),
    ({"cnf": {"x5t#S256": "A" * 43, "jkt": "A" * 43}}, "claims.cnf"),
    ({"cnf": {"x5t#S256": "A" * 42}}, "claims.cnf"),
    ({"cnf": {"x5t#S256": "A" * 42 + "B"}}, "base64"),
    ({"cnf": {"x5t#S256": None}}, "claims.cnf"),
)


def _payloads() -> Iterator[Forgery]:
    for name in _CLAIMS:
        yield Forgery(102, f"no {name}", "claims.members", _claims(**{name: None}))
    yield Forgery(102, "a claim more", "claims.members", _claims(admin=True))
    for changes, rule in _TYPES:
        yield Forgery(103, json.dumps(changes), rule, _claims(**changes))
    yield Forgery(
        103,
        "aud in a list",
        "claims.aud",
        lambda shop: shop.sign(shop.header, shop.claims(aud=[shop.claims()["aud"]])),
    )
    for number in ("NaN", "Infinity", "1e400", "9999999999.0", "1" * 5000):

        def spelt(shop: Workshop, number: str = number) -> str:
            claims = shop.claims()
            text = json.dumps(claims).replace(f'"exp": {claims["exp"]}', f'"exp": {number}')
            assert number in text
            return shop.sign(shop.header, text)

        rule = "length" if len(number) > 1000 else "payload.json"
        yield Forgery(103, f"exp {number[:12]}", rule, spelt)
    for offsets, rule in (
        ({"exp": 601}, "claims.life"),
        ({"exp": 0}, "claims.life"),
        ({"exp": -1}, "claims.life"),
        ({"nbf": 1}, "claims.nbf"),
        # The live door's clock goes on while this is made and sent.
        ({"iat": 90, "nbf": 90}, "claims.iat"),
    ):
        yield Forgery(113, f"times {offsets}", rule, _times(**offsets))


def _json() -> Iterator[Forgery]:
    def doubled(text: str) -> Make:
        return lambda shop: shop.sign(shop.header, text + json.dumps(shop.claims())[1:])

    yield Forgery(
        104,
        "exp twice",
        "payload.json",
        lambda shop: shop.sign(
            shop.header, json.dumps(shop.claims())[:-1] + f', "exp": {shop.now_s + 6000}}}'
        ),
    )
    yield Forgery(104, "sub twice", "payload.json", doubled('{"sub": "admin", '))
    yield Forgery(
        104,
        "alg twice",
        "header.json",
        lambda shop: shop.sign('{"alg": "none", ' + json.dumps(shop.header)[1:], shop.claims()),
    )
    for text in ("[]", "null", "1", '"x"', "{", "[" * 900, ""):
        name = text[:4] or "nothing"
        rules = ("header.json", "payload.json") if text else ("base64", "base64")
        yield Forgery(
            104, f"header {name}", rules[0], lambda shop, text=text: shop.sign(text, shop.claims())
        )
        yield Forgery(
            104, f"payload {name}", rules[1], lambda shop, text=text: shop.sign(shop.header, text)
        )


def _headers() -> Iterator[Forgery]:
    added: tuple[dict[str, object], ...] = (
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"jku": "https://evil.example/keys.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MII="]},
        {"x5t#S256": "A" * 43},
        {"cty": "JWT"},
        {"zip": "DEF"},
    )
    for one in added:
        yield Forgery(105, f"header {'+'.join(one)}", "header.members", _header(**one))
    yield Forgery(
        105,
        "header jwk",
        "header.members",
        lambda shop: shop.sign(shop.header | {"jwk": shop.public}, shop.claims()),
    )
    evil = {"kid": _EVIL.kid, "jwk": json.loads(_EVIL.public_set)["keys"][0]}
    for name, changes, rule in (
        ("its own key", evil, "header.members"),
        ("its own key by name", {"kid": _EVIL.kid}, "header.kid"),
        ("another key under our name", {}, "signature"),
    ):
        yield Forgery(
            105,
            name,
            rule,
            lambda shop, changes=changes: shop.sign(
                shop.header | changes, shop.claims(), _EVIL.private_jwk
            ),
        )
    for kid in ("", "../../dev/null", "' OR 1=1 --", 0, None, ["x"], {}):
        yield Forgery(105, f"kid {kid!r}", "header.kid", _header(kid=kid))
    for name, change in (("and a space", lambda kid: kid + " "), ("in other case", str.swapcase)):
        yield Forgery(
            105,
            f"kid {name}",
            "header.kid",
            lambda shop, change=change: shop.sign(
                shop.header | {"kid": change(shop.header["kid"])}, shop.claims()
            ),
        )
    for kind in ("JWT", "AT+JWT", "application/at+jwt", "at+jwt ", "", None, 1):
        yield Forgery(106, f"typ {kind!r}", "header.typ", _header(typ=kind))
    for name in ("alg", "kid", "typ"):
        yield Forgery(
            105,
            f"no {name}",
            "header.members",
            lambda shop, name=name: shop.sign(
                {key: value for key, value in shop.header.items() if key != name}, shop.claims()
            ),
        )


def _last_character(shop: Workshop) -> str:
    """64 bytes leave four unused bits: sixteen spellings decode to the same signature."""
    last = _ALPHABET.index(shop.good[-1])
    assert last % 16 == 0
    return shop.good[:-1] + _ALPHABET[last + 1]


def _spellings() -> Iterator[Forgery]:
    spoilt: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("padding", lambda good: good + "="),
        ("padding inside", lambda good: good.replace(".", "=.", 1)),
        ("leading space", lambda good: " " + good),
        ("newline", lambda good: good + "\n"),
        ("space inside", lambda good: good.replace(".", ". ", 1)),
        ("not ascii", lambda good: good[:-1] + "\u017f"),
        ("plain base64", lambda good: good.replace("_", "/").replace("-", "+") + "+"),
    )
    for name, spoil in spoilt:
        rule = "length" if name == "not ascii" else "base64"
        yield Forgery(107, name, rule, lambda shop, spoil=spoil: spoil(shop.good))
    yield Forgery(107, "the last character's unused bits", "base64", _last_character)
    for made in ("", "a", "a.b", "a.b.c.d", ".".join("abcde"), "A" * LONGEST_TOKEN):
        yield Forgery(109, f"parts {made[:8]!r}", "parts", lambda _, made=made: made)
    for made in ("..", "aa..aa"):
        yield Forgery(109, f"empty parts {made!r}", "base64", lambda _, made=made: made)
    for size in (LONGEST_TOKEN + 1, 3_000_000):
        yield Forgery(109, f"{size} characters", "length", lambda _, size=size: "A" * size)
    for size in (0, 1, 63, 65, 70, 72, 96):
        yield Forgery(
            109,
            f"a signature of {size} bytes",
            "signature.length" if size else "base64",
            lambda shop, size=size: shop.signed_by(b"x" * size),
        )


def _signatures() -> Iterator[Forgery]:
    def der(shop: Workshop) -> str:
        raw = shop.signature
        halves = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        return shop.signed_by(encode_dss_signature(*halves))

    def flipped(shop: Workshop, place: int) -> str:
        raw = bytearray(shop.signature)
        raw[place] ^= 1
        return shop.signed_by(bytes(raw))

    yield Forgery(101, "a DER signature", "signature.length", der)
    for place in range(0, 64, 7):
        yield Forgery(
            108,
            f"bit flipped in {place}",
            "signature",
            lambda shop, place=place: flipped(shop, place),
        )
    # CVE-2022-21449.
    yield Forgery(108, "r = s = 0", "signature", lambda shop: shop.signed_by(bytes(64)))


FORGERIES: tuple[Forgery, ...] = (
    *_algorithms(),
    *_payloads(),
    *_json(),
    *_headers(),
    *_spellings(),
    *_signatures(),
)
# What must be taken: name and token.
GOOD: tuple[tuple[str, Make], ...] = (
    ("as minted", lambda shop: shop.good),
    ("the ECDSA twin", twin),
    ("signed again", lambda shop: shop.sign(shop.header, shop.claims())),
    ("one second of life", _times(exp=1)),
    ("the longest life", _times(exp=600)),
    ("no role", _claims(roles=[])),
)
