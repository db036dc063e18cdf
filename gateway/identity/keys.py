"""The token keys: making one, and reading the files of them.

Pure JSON and PyCA; JOSE itself is in `token`. Files: secrets/identity/token-key.json holds the
private JWK that signs, token-key-next.json beside it the one that waits to follow it, if there is
one; public/token-keys.json is a JWK set (RFC 7517) of the keys whose tokens are taken. A key's kid
is its thumbprint (RFC 7638), so a set cannot give one name to two keys.
"""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import ec

PRIVATE_FILE = "token-key.json"
NEXT_FILE = "token-key-next.json"
_COORDINATE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_PUBLIC_MEMBERS = frozenset({"kty", "crv", "x", "y", "kid", "alg", "use"})
# A file of keys is small; anything else is not ours.
_LONGEST_FILE = 65_536


class KeyFileError(Exception):
    """A file of token keys is missing, unreadable or not as this module writes it."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A fresh token key: the identity process's part and everyone's, both JSON text."""

    kid: str
    private_jwk: str = field(repr=False)
    public_set: str


def make() -> TokenKey:
    """Return a fresh P-256 key for ES256."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    public = {
        "kty": "EC",
        "crv": "P-256",
        "x": _coordinate(numbers.public_numbers.x),
        "y": _coordinate(numbers.public_numbers.y),
    }
    kid = thumbprint(public)
    public |= {"kid": kid, "alg": "ES256", "use": "sig"}
    private = public | {"d": _coordinate(numbers.private_value)}
    return TokenKey(kid, json.dumps(private, indent=1), json.dumps({"keys": [public]}, indent=1))


def thumbprint(public: Mapping[str, str]) -> str:
    """Return the RFC 7638 thumbprint of an EC key, base64url of SHA-256."""
    required = {member: public[member] for member in ("crv", "kty", "x", "y")}
    text = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def read_public(path: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the public keys by kid; raises KeyFileError."""
    document = _read(path)
    if (
        not isinstance(document, dict)
        or document.keys() != {"keys"}
        or not isinstance(document["keys"], list)
    ):
        msg = f"{path}: not a JWK set"
        raise KeyFileError(msg)
    keys = [_public(one, path) for one in document["keys"]]
    return MappingProxyType({key["kid"]: key for key in keys})


def read_private(path: Path) -> Mapping[str, str]:
    """Return the private key; raises KeyFileError."""
    document = _read(path)
    secret = document.pop("d", None) if isinstance(document, dict) else None
    public = _public(document, path)
    if not isinstance(secret, str) or _COORDINATE.fullmatch(secret) is None:
        msg = f"{path}: not a private key"
        raise KeyFileError(msg)
    return MappingProxyType({**public, "d": secret})


def _read(path: Path) -> object:
    try:
        text = path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise KeyFileError(msg) from None
    try:
        if len(text) > _LONGEST_FILE:
            raise ValueError
        return json.loads(text)
    except (ValueError, RecursionError):
        msg = f"{path}: not JSON"
        raise KeyFileError(msg) from None


def _public(found: object, path: Path) -> Mapping[str, str]:
    if isinstance(found, dict) and found.keys() == _PUBLIC_MEMBERS:
        key: dict[str, str] = {
            name: value for name, value in found.items() if isinstance(value, str)
        }
        fixed = (key.get("kty"), key.get("crv"), key.get("alg"), key.get("use")) == (
            "EC",
            "P-256",
            "ES256",
            "sig",
        )
        points = all(_COORDINATE.fullmatch(key.get(name, "")) for name in ("x", "y"))
        if fixed and points and key.get("kid") == thumbprint(key):
            return MappingProxyType(key)
    msg = f"{path}: not a P-256 signing key of our form"
    raise KeyFileError(msg)


def _coordinate(number: int) -> str:
    return urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
