"""Access tokens: ES256 JWT of type at+jwt (RFC 9068) bound to the client certificate (RFC 8705).

The only user of python-jose. It takes tokens without exp or aud, unknown `crit`, any `typ`,
duplicate names and non-canonical base64, so everything is judged here, in this order, and jose
checks the signature alone (tests/attacks/test_token_forms.py has a forgery for each rule):

 1 at most 4 KiB of ASCII        2 three parts, canonical base64url   3 header: alg, kid, typ only
 4 alg ES256, typ at+jwt         5 kid of our own set                 6 signature
 7 payload: exactly our claims   8 types and ranges                   9 issuer and audience
10 issued, not expired         11 certificate, organisation, subject of this connection
"""

import base64
import binascii
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from jose import jwk, jws
from jose.backends.base import Key
from jose.exceptions import JOSEError

from gateway.clock import US_PER_S
from gateway.errors import Reason, Refusal, refuse
from gateway.identity.strict_json import TokenFaultError, parse_object

# Ours are some 900 bytes.
LONGEST_TOKEN = 4096
# The contract's limit, whatever the policy says.
LONGEST_LIFE_S = 600
# How far the clock may have been set back between minting and use; exp itself has no leeway.
LEEWAY_S = 60
_TYPE = "at+jwt"
_PARTS = 3
_SIGNATURE_BYTES = 64
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SESSION = re.compile(r"[0-9a-f]{32}", re.ASCII)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_BEARER = "Bearer "
# A list: jose matches substrings of a plain string.
_ALGORITHMS: Final = ["ES256"]
_TEXTS = ("iss", "aud", "sub", "client_id", "org", "sid", "jti")
_TIMES = ("iat", "nbf", "exp")
_EPOCHS = ("pwd_epoch", "role_epoch")
_CLAIMS = frozenset({*_TEXTS, *_TIMES, *_EPOCHS, "roles", "amr", "cnf"})
# Past any clock and epoch, well inside what a float or a Timestamp can hold.
_LARGEST = 1 << 40


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    `account` is the account's name, `session` 16 bytes, `certificate_sha256` 32 bytes; times are
    in seconds.
    """

    organisation: str
    account: str
    subject: str
    session: bytes
    roles: tuple[str, ...]
    password_epoch: int
    role_epoch: int
    certificate_sha256: bytes
    issued_s: int
    expires_s: int
    token_id: str = ""

    @property
    def expires_us(self) -> int:
        """The end in microseconds."""
        return self.expires_s * US_PER_S


@dataclass(frozen=True, slots=True)
class Bearer:
    """What the connection proves: the certificate's SHA-256, organisation, SPIFFE id."""

    certificate_sha256: bytes
    organisation: str
    subject: str


def issuer(trust_domain: str) -> str:
    """Return the issuer of this gateway's tokens."""
    return f"spiffe://{trust_domain}/gateway/identity"


def audience(trust_domain: str) -> str:
    """Return whom this gateway's tokens are for: all its doors."""
    return f"spiffe://{trust_domain}/gateway"


def bearer_value(values: Sequence[str | bytes]) -> str:
    """Return the token of the `authorization` metadata.

    `values` are all that were sent under that key. Raises TOKEN_MISSING when there is none,
    TOKEN_INVALID when there are two, or when it is not "Bearer <token>".
    """
    if not values:
        raise refuse(Reason.TOKEN_MISSING)
    if len(values) != 1 or not isinstance(values[0], str) or not values[0].startswith(_BEARER):
        raise refuse(Reason.TOKEN_INVALID) from TokenFaultError("metadata")
    return values[0].removeprefix(_BEARER)


class Minter:
    """Makes tokens with the identity process's private key (`keys.read_private`)."""

    __slots__ = ("_key", "_kid", "_trust_domain")

    def __init__(self, private_jwk: Mapping[str, str], trust_domain: str) -> None:
        """Take the key; it is never shown again."""
        self.sign_with(private_jwk)
        self._trust_domain = trust_domain

    def sign_with(self, private_jwk: Mapping[str, str]) -> None:
        """Sign with this key from now on."""
        self._kid = private_jwk["kid"]
        self._key = _construct(private_jwk)

    def mint(self, claims: Claims) -> str:
        """Return the token of these claims, with a token id of its own."""
        payload = {
            "iss": issuer(self._trust_domain),
            "aud": audience(self._trust_domain),
            "sub": claims.account,
            "client_id": claims.subject,
            "org": claims.organisation,
            "sid": claims.session.hex(),
            "jti": claims.token_id or secrets.token_hex(16),
            "iat": claims.issued_s,
            "nbf": claims.issued_s,
            "exp": claims.expires_s,
            "roles": list(claims.roles),
            "pwd_epoch": claims.password_epoch,
            "role_epoch": claims.role_epoch,
            "amr": ["mtls", "pwd"],
            "cnf": {"x5t#S256": _encode(claims.certificate_sha256)},
        }
        encoded = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
        return jws.sign(encoded, self._key, {"typ": _TYPE, "kid": self._kid}, "ES256")


class Verifier:
    """Judges tokens with the public keys by kid (as `keys.read_public` returns them)."""

    __slots__ = ("_audience", "_issuer", "_keys")

    def __init__(self, public_keys: Mapping[str, Mapping[str, str]], trust_domain: str) -> None:
        """Take the keys of every kid that is accepted."""
        self.trust(public_keys)
        self._issuer = issuer(trust_domain)
        self._audience = audience(trust_domain)

    def trust(self, public_keys: Mapping[str, Mapping[str, str]]) -> None:
        """Accept these keys from now on, and no others."""
        self._keys = MappingProxyType({kid: _construct(key) for kid, key in public_keys.items()})

    def verify(
        self, token: str, bearer: Bearer, now_us: int, seen: Callable[[Claims], None] | None = None
    ) -> Claims:
        """Return what the token says.

        Raises TOKEN_INVALID (its cause names the rule) or TOKEN_EXPIRED. `seen` is told what one of
        ours says before it is judged whether it is still good, and good here.
        """
        try:
            return self._judge(token, bearer, now_us, seen)
        except TokenFaultError as fault:
            raise refuse(Reason.TOKEN_INVALID) from fault

    def _judge(
        self, token: str, bearer: Bearer, now_us: int, seen: Callable[[Claims], None] | None
    ) -> Claims:
        header, payload, _ = _split(token)  # 1, 2
        key = self._key(parse_object(header, "header"))  # 3, 4, 5
        try:
            jws.verify(token, key, _ALGORITHMS)  # 6
        except JOSEError:
            raise TokenFaultError("signature") from None
        document = parse_object(payload, "payload")
        claims = _claims(document)  # 7, 8
        _hold(document["iss"] == self._issuer, "claims.iss")  # 9
        _hold(document["aud"] == self._audience, "claims.aud")
        if seen is not None:
            seen(claims)
        expired = _judge_times(claims, document["nbf"], now_us)  # 10
        same = hmac.compare_digest(claims.certificate_sha256, bearer.certificate_sha256)  # 11
        _hold(same, "connection.certificate")
        _hold(claims.organisation == bearer.organisation, "connection.organisation")
        _hold(claims.subject == bearer.subject, "connection.subject")
        if expired is not None:
            # Told last: only the token's own bearer learns that it was good once.
            raise expired
        return claims

    def _key(self, header: dict[str, object]) -> Key:
        _hold(header.keys() == {"alg", "kid", "typ"}, "header.members")
        _hold(header["alg"] == "ES256", "header.alg")
        _hold(header["typ"] == _TYPE, "header.typ")
        kid = header["kid"]
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise TokenFaultError("header.kid")
        return key


def _judge_times(claims: Claims, not_before: object, now_us: int) -> Refusal | None:
    _hold(not_before == claims.issued_s, "claims.nbf")
    _hold(0 < claims.expires_s - claims.issued_s <= LONGEST_LIFE_S, "claims.life")
    _hold(claims.issued_s * US_PER_S <= now_us + LEEWAY_S * US_PER_S, "claims.iat")
    return refuse(Reason.TOKEN_EXPIRED) if claims.expires_us <= now_us else None


def _split(token: str) -> tuple[bytes, bytes, bytes]:
    _hold(len(token) <= LONGEST_TOKEN and token.isascii(), "length")
    parts = token.split(".")
    _hold(len(parts) == _PARTS, "parts")
    header, payload, signature = (_decode(part) for part in parts)
    _hold(len(signature) == _SIGNATURE_BYTES, "signature.length")
    return header, payload, signature


def _claims(document: dict[str, object]) -> Claims:
    _hold(document.keys() == _CLAIMS, "claims.members")
    texts = {name: _text(document[name], name) for name in _TEXTS}
    numbers = {name: _number(document[name], name) for name in (*_TIMES, *_EPOCHS)}
    roles = document["roles"]
    if not isinstance(roles, list):
        raise TokenFaultError("claims.roles")
    _hold(document["amr"] == ["mtls", "pwd"], "claims.amr")
    _hold(_SESSION.fullmatch(texts["sid"]), "claims.sid")
    return Claims(
        organisation=texts["org"],
        account=texts["sub"],
        subject=texts["client_id"],
        session=bytes.fromhex(texts["sid"]),
        roles=tuple(_text(role, "roles") for role in roles),
        password_epoch=numbers["pwd_epoch"],
        role_epoch=numbers["role_epoch"],
        certificate_sha256=_confirmation(document["cnf"]),
        issued_s=numbers["iat"],
        expires_s=numbers["exp"],
        token_id=texts["jti"],
    )


def _confirmation(found: object) -> bytes:
    value = found.get("x5t#S256") if isinstance(found, dict) and len(found) == 1 else None
    if not isinstance(value, str) or _THUMBPRINT.fullmatch(value) is None:
        raise TokenFaultError("claims.cnf")
    return _decode(value)


def _text(found: object, name: str) -> str:
    if not isinstance(found, str) or not found:
        raise TokenFaultError(f"claims.{name}")
    return found


def _number(found: object, name: str) -> int:
    # type(), not isinstance: True is an int.
    if type(found) is not int or not 0 <= found < _LARGEST:
        raise TokenFaultError(f"claims.{name}")
    return found


def _hold(condition: object, rule: str) -> None:
    if not condition:
        raise TokenFaultError(rule)


def _decode(part: str) -> bytes:
    """Return the bytes of unpadded base64url in its one canonical spelling."""
    _hold(_PART.fullmatch(part), "base64")
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise TokenFaultError("base64") from None
    _hold(_encode(decoded) == part, "base64")
    return decoded


def _encode(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


def _construct(key: Mapping[str, str]) -> Key:
    return jwk.construct(dict(key), "ES256")
