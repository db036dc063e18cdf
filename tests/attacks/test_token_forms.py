"""Attacks 101-109, 112-114 of reference/identity.md: tokens that python-jose alone would take, and malformed ones.

Each is refused by the rule it breaks, named in the refusal's cause; the caller hears TOKEN_INVALID and nothing else. Where the
forgery is a valid JWS (signed by our own key), joserfc confirms that only our rule stands in its way.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from joserfc import jws as other_jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from gateway.clock import US_PER_S
from gateway.errors import Reason, UnauthenticatedError
from gateway.identity import keys, token
from gateway.identity.strict_json import TokenFaultError
from gateway.identity.token import Bearer, Verifier
from tests.identity.office import DOMAIN, KEY, minter, verifier
from tests.identity.test_token import BEARER, CLAIMS, NOW_S

NOW_US = NOW_S * US_PER_S
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HEADER = {"alg": "ES256", "kid": KEY.kid, "typ": "at+jwt"}


def encode(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def payload(**changes: object) -> dict[str, Any]:
    """The claims of a good token with some changed; None takes one away."""
    claims = json.loads(decode(minter().mint(CLAIMS).split(".")[1])) | changes
    return {name: value for name, value in claims.items() if value is not None}


def sign(
    header: dict[str, Any] | str, claims: dict[str, Any] | str, jwk: str = KEY.private_jwk
) -> str:
    """Sign anything at all as ES256 with our own key: an attacker never could."""
    parts = [
        encode((one if isinstance(one, str) else json.dumps(one)).encode())
        for one in (header, claims)
    ]
    key = ECKey.import_key(json.loads(jwk))
    r, s = decode_dss_signature(
        key.private_key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256()))
    )
    return ".".join([*parts, encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))])


def refused(
    made: str, rule: str, bearer: Bearer = BEARER, now_us: int = NOW_US, by: Verifier | None = None
) -> None:
    """It is refused by this very rule, the caller learns nothing of it, and the next good token works."""
    judge = by or verifier()
    with pytest.raises(UnauthenticatedError) as found:
        judge.verify(made, bearer, now_us)
    assert found.value.reason is Reason.TOKEN_INVALID
    assert isinstance(found.value.__cause__, TokenFaultError)
    assert found.value.__cause__.rule == rule
    assert found.value.metadata == {}
    assert made[:40] not in repr(found.value) + repr(found.value.__cause__) or not made
    verifier().verify(minter().mint(CLAIMS), BEARER, NOW_US)


def valid_for_others(made: str) -> bool:
    """Whether the signature alone is good, by joserfc."""
    try:
        other_jws.deserialize_compact(
            made, KeySet.import_key_set(json.loads(KEY.public_set)), algorithms=["ES256"]
        )
    except (JoseError, ValueError):
        return False
    return True


# 101


def test_no_algorithm_and_keyed_hashes_are_not_taken() -> None:
    for algorithm in ("none", "None", "HS256", "ES384", "es256", ""):
        made = f"{encode(json.dumps(HEADER | {'alg': algorithm}).encode())}.{encode(json.dumps(payload()).encode())}."
        refused(made + encode(b"\1" * 64), "header.alg")
        refused(made, "base64")


def test_the_public_key_is_no_secret_of_hs256() -> None:
    """Key confusion: an HMAC made with the public key as PEM, DER or JWK."""
    public = json.loads(KEY.public_set)["keys"][0]
    key = ECKey.import_key(public).public_key
    forms = serialization.PublicFormat.SubjectPublicKeyInfo
    secrets = [
        key.public_bytes(serialization.Encoding.PEM, forms),
        key.public_bytes(serialization.Encoding.DER, forms),
        json.dumps(public).encode(),
    ]
    signed = f"{encode(json.dumps(HEADER | {'alg': 'HS256'}).encode())}.{encode(json.dumps(payload()).encode())}"
    for secret in secrets:
        made = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        refused(f"{signed}.{encode(made)}", "signature.length")
        refused(f"{signed}.{encode(made * 2)}", "header.alg")


# 102, 103


@pytest.mark.parametrize("name", sorted(payload()))
def test_no_claim_may_be_missing(name: str) -> None:
    made = sign(HEADER, payload(**{name: None}))
    assert valid_for_others(made)
    refused(made, "claims.members")


def test_no_claim_may_be_added() -> None:
    refused(sign(HEADER, payload(admin=True)), "claims.members")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"exp": str(NOW_S + 600)}, "claims.exp"),
        ({"exp": True}, "claims.exp"),
        ({"exp": [NOW_S + 600]}, "claims.exp"),
        ({"exp": -1}, "claims.exp"),
        ({"exp": 1 << 40}, "claims.exp"),
        ({"iat": False, "nbf": False}, "claims.iat"),
        ({"nbf": "now"}, "claims.nbf"),
        ({"pwd_epoch": "3"}, "claims.pwd_epoch"),
        ({"role_epoch": -1}, "claims.role_epoch"),
        ({"iss": ""}, "claims.iss"),
        ({"iss": "spiffe://elsewhere/gateway/identity"}, "claims.iss"),
        ({"aud": "spiffe://elsewhere/gateway"}, "claims.aud"),
        ({"aud": [f"spiffe://{DOMAIN}/gateway"]}, "claims.aud"),
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
    ],
)
def test_claims_have_one_type_and_range(changes: dict[str, object], rule: str) -> None:
    made = sign(HEADER, payload(**changes))
    assert valid_for_others(made)
    refused(made, rule)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", f"{NOW_S + 600}.0", "1" * 5000])
def test_numbers_are_plain_integers(number: str) -> None:
    text = json.dumps(payload()).replace(f'"exp": {NOW_S + 600}', f'"exp": {number}')
    made = sign(HEADER, text)
    refused(made, "length" if len(made) > token.LONGEST_TOKEN else "payload.json")


# 104


def test_no_name_stands_twice() -> None:
    claims = json.dumps(payload())
    refused(sign(HEADER, claims[:-1] + f', "exp": {NOW_S + 6000}}}'), "payload.json")
    refused(sign(HEADER, '{"sub": "admin", ' + claims[1:]), "payload.json")
    header = json.dumps(HEADER)
    refused(sign('{"alg": "none", ' + header[1:], claims), "header.json")


@pytest.mark.parametrize("text", ["[]", "null", "1", '"x"', "", "{", "[" * 900])
def test_header_and_payload_are_objects(text: str) -> None:
    if text:
        refused(sign(text, payload()), "header.json")
        refused(sign(HEADER, text), "payload.json")
    else:
        refused(sign(text, payload()), "base64")


# 105, 106


@pytest.mark.parametrize(
    "added",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"jwk": json.loads(KEY.public_set)["keys"][0]},
        {"jku": "https://evil.example/keys.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MII="]},
        {"x5t#S256": "A" * 43},
        {"cty": "JWT"},
        {"zip": "DEF"},
    ],
)
def test_the_header_has_three_members_and_no_other(added: dict[str, object]) -> None:
    refused(sign(HEADER | added, payload()), "header.members")


def test_a_token_cannot_bring_its_own_key() -> None:
    evil = keys.make()
    own = {**HEADER, "kid": evil.kid, "jwk": json.loads(evil.public_set)["keys"][0]}
    refused(sign(own, payload(), evil.private_jwk), "header.members")
    refused(sign({**HEADER, "kid": evil.kid}, payload(), evil.private_jwk), "header.kid")
    refused(sign(HEADER, payload(), evil.private_jwk), "signature")


@pytest.mark.parametrize(
    "kid",
    ["", "../../dev/null", "' OR 1=1 --", KEY.kid + " ", KEY.kid.swapcase(), 0, None, ["x"], {}],
    ids=range(9),
)
def test_a_key_is_found_by_its_exact_name(kid: object) -> None:
    refused(sign({**HEADER, "kid": kid}, payload()), "header.kid")


@pytest.mark.parametrize("kind", ["JWT", "AT+JWT", "application/at+jwt", "at+jwt ", "", None, 1])
def test_another_type_of_token_is_not_an_access_token(kind: object) -> None:
    refused(sign({**HEADER, "typ": kind}, payload()), "header.typ")


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_the_header_is_complete(name: str) -> None:
    refused(
        sign({key: value for key, value in HEADER.items() if key != name}, payload()),
        "header.members",
    )


# 107, 109


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made + "=",
        lambda made: made.replace(".", "=.", 1),
        lambda made: " " + made,
        lambda made: made + "\n",
        lambda made: made.replace(".", ". ", 1),
        lambda made: made[:-1] + "\u017f",
        lambda made: made.replace("_", "/").replace("-", "+") + "+",
    ],
    ids=[
        "padding",
        "padding inside",
        "leading space",
        "newline",
        "space inside",
        "not ascii",
        "plain base64",
    ],
)
def test_one_token_has_one_spelling(spoil: Callable[[str], str]) -> None:
    made = spoil(minter().mint(CLAIMS))
    refused(made, "length" if not made.isascii() else "base64")


def test_the_last_character_of_a_signature_has_no_play() -> None:
    """64 bytes leave four unused bits: sixteen spellings decode to the same signature."""
    made = minter().mint(CLAIMS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(made[-1])
    assert last % 16 == 0
    for twin in range(last + 1, last + 16):
        assert decode((made[:-1] + alphabet[twin]).rsplit(".", 1)[1]) == decode(
            made.rsplit(".", 1)[1]
        )
        refused(made[:-1] + alphabet[twin], "base64")


@pytest.mark.parametrize("made", ["", "a", "a.b", "a.b.c.d", "...", "a..c", ".".join("abcde")])
def test_a_token_has_three_parts(made: str) -> None:
    with pytest.raises(UnauthenticatedError) as found:
        verifier().verify(made, BEARER, NOW_US)
    assert found.value.__cause__.rule in ("parts", "base64")


def test_a_long_token_is_refused_before_anything_is_decoded() -> None:
    refused("A" * 3_000_000, "length")
    refused("A" * token.LONGEST_TOKEN, "parts")
    refused("A" * (token.LONGEST_TOKEN + 1), "length")


@pytest.mark.parametrize("size", [0, 1, 63, 65, 70, 72, 96])
def test_a_signature_has_64_bytes(size: int) -> None:
    head = minter().mint(CLAIMS).rsplit(".", 1)[0]
    refused(f"{head}.{encode(b'x' * size)}", "signature.length" if size else "base64")


def test_a_der_signature_is_not_taken() -> None:
    head, _, signature = minter().mint(CLAIMS).rpartition(".")
    raw = decode(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    refused(f"{head}.{encode(der)}", "signature.length")


def test_every_flipped_bit_of_a_signature_is_noticed() -> None:
    head, _, signature = minter().mint(CLAIMS).rpartition(".")
    raw = bytearray(decode(signature))
    for place in range(0, 64, 7):
        raw[place] ^= 1
        refused(f"{head}.{encode(bytes(raw))}", "signature")
        raw[place] ^= 1


def test_zero_is_no_signature() -> None:
    """CVE-2022-21449: r = s = 0."""
    head = minter().mint(CLAIMS).rsplit(".", 1)[0]
    refused(f"{head}.{encode(bytes(64))}", "signature")


# 108


def test_the_ecdsa_twin_is_the_same_token() -> None:
    """(r, n-s) is valid too, for every library: so the token id, never the text, tells tokens apart."""
    made = minter().mint(CLAIMS)
    head, _, signature = made.rpartition(".")
    raw = decode(signature)
    twin = f"{head}.{encode(raw[:32] + (N - int.from_bytes(raw[32:], 'big')).to_bytes(32, 'big'))}"
    assert twin != made
    assert valid_for_others(twin)
    assert verifier().verify(twin, BEARER, NOW_US) == verifier().verify(made, BEARER, NOW_US)


# 110 (the connection), 113, 114


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"certificate_sha256": bytes(32)}, "connection.certificate"),
        ({"organisation": "140200"}, "connection.organisation"),
        ({"subject": f"spiffe://{DOMAIN}/org/140100/sys/spare"}, "connection.subject"),
        ({"subject": f"spiffe://{DOMAIN}/org/140100/officer/hub"}, "connection.subject"),
    ],
)
def test_a_stolen_token_is_of_no_use_on_another_connection(
    change: dict[str, object], rule: str
) -> None:
    made = minter().mint(CLAIMS)
    refused(made, rule, replace(BEARER, **change))
    # Nor does an expired one tell the thief that it was good once.
    refused(made, rule, replace(BEARER, **change), NOW_US + 900 * US_PER_S)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"exp": NOW_S + 601}, "claims.life"),
        ({"exp": NOW_S}, "claims.life"),
        ({"exp": NOW_S - 1}, "claims.life"),
        ({"nbf": NOW_S + 1}, "claims.nbf"),
        ({"iat": NOW_S + 61, "nbf": NOW_S + 61}, "claims.iat"),
    ],
)
def test_times_agree_with_each_other_and_the_clock(changes: dict[str, int], rule: str) -> None:
    refused(sign(HEADER, payload(**changes)), rule)


def test_a_clock_set_back_by_a_minute_breaks_nothing() -> None:
    made = minter().mint(CLAIMS)
    verifier().verify(made, BEARER, NOW_US - 60 * US_PER_S)
    refused(made, "claims.iat", now_us=NOW_US - 60 * US_PER_S - 1)


def test_a_key_that_left_the_set_signs_nothing_any_more() -> None:
    fresh = keys.make()
    successor = Verifier({fresh.kid: json.loads(fresh.public_set)["keys"][0]}, DOMAIN)
    refused(minter().mint(CLAIMS), "header.kid", by=successor)
    both = {
        key["kid"]: key
        for text in (KEY.public_set, fresh.public_set)
        for key in json.loads(text)["keys"]
    }
    Verifier(both, DOMAIN).verify(minter().mint(CLAIMS), BEARER, NOW_US)
