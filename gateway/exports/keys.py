"""The keys of what goes out, for disclosure alone: one signs manifests, one makes tokens.

`export.key` is a P-256 key, PKCS #8 in PEM; whoever holds an export checks its signature by
HOME/public/export-keys.json. `export-tokens.key` are 32 random bytes: with them, and only with
them, a token in a file leads back to its ticket.
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.config.folders import write_private, write_public
from gateway.config.home import Home
from gateway.exports.tokens import MASTER_BYTES

SIGNING_FILE, TOKENS_FILE = "export.key", "export-tokens.key"


class ExportKeyError(Exception):
    """A key of exports is absent or malformed; the text names the file."""


@dataclass(frozen=True, slots=True)
class ExportKeys:
    """What a build needs: the key that signs, its id, and the key of tokens."""

    signing: ec.EllipticCurvePrivateKey
    key_id: str
    tokens: bytes

    def sign(self, content: bytes) -> bytes:
        """Return the ECDSA signature (SHA-256, DER) of some bytes."""
        return self.signing.sign(content, ec.ECDSA(SHA256()))


def make(home: Home) -> None:
    """Write fresh keys and what checks their signatures."""
    key = ec.generate_private_key(ec.SECP256R1())
    folder = home.secrets("disclosure")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / SIGNING_FILE, pem, "disclosure")
    write_private(folder / TOKENS_FILE, secrets.token_bytes(MASTER_BYTES), "disclosure")
    spki = _spki(key)
    entry = {"key_id": _key_id(spki), "spki": base64.b64encode(spki).decode()}
    write_public(home.export_keys, json.dumps({"keys": [entry]}, indent=2).encode() + b"\n")


def load(folder: Path) -> ExportKeys:
    """Return the keys in disclosure's folder of secrets; raises ExportKeyError."""
    try:
        key = load_pem_private_key((folder / SIGNING_FILE).read_bytes(), None)
        tokens = (folder / TOKENS_FILE).read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise ExportKeyError(f"{folder}: no keys of exports: {type(error).__name__}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ExportKeyError(f"{folder / SIGNING_FILE}: not a P-256 key")
    if len(tokens) != MASTER_BYTES:
        raise ExportKeyError(f"{folder / TOKENS_FILE}: not a key of tokens")
    return ExportKeys(key, _key_id(_spki(key)), tokens)


def published(path: Path) -> dict[str, bytes]:
    """Return the SubjectPublicKeyInfo (DER) of each key by its id; raises ExportKeyError."""
    try:
        listed = json.loads(path.read_bytes())["keys"]
        found = {one["key_id"]: base64.b64decode(one["spki"], validate=True) for one in listed}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportKeyError(f"{path}: not a list of export keys") from error
    if any(_key_id(spki) != key_id for key_id, spki in found.items()):
        raise ExportKeyError(f"{path}: a key id is not its key's")
    return found


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(spki: bytes) -> str:
    return hashlib.sha256(spki).hexdigest()[:16]
