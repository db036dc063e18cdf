"""The keys of what goes out: one signs manifests and is followed by others, one makes tokens.

Private keys lie with disclosure alone. `export.key`, and `export-<key id>.key` of one that followed
it, are P-256 keys, PKCS #8 in PEM. HOME/public/export-keys.json lists the public ones, by which
whoever holds an export checks its signature: they stay for ever, and the last of them signs.
`export-tokens.key` are 32 random bytes: with them, and only with them, a token in a file leads back
to its ticket. A key follows another in three steps, each of which can be taken again:

    prepare   the next private key, for disclosure
    publish   its public key, last in the list: from the next build on it signs
    forget    the private keys before it: nothing asks for them any more
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
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

from gateway.config.folders import replace_private, replace_public
from gateway.config.home import Home
from gateway.config.watched import Watched

SIGNING_FILE, TOKENS_FILE = "export.key", "export-tokens.key"
TOKENS_BYTES = 32
_FOLLOWING = "export-" + "[0-9a-f]" * 16 + ".key"


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


class CurrentKeys:
    """The keys as the files have them at that moment, for a door that runs."""

    __slots__ = ("_file", "_home", "_keys", "_published")

    def __init__(self, home: Home) -> None:
        """Read them; raises ExportKeyError."""
        self._home = home
        self._file = Watched(home.export_keys)
        self._look()

    def keys(self) -> ExportKeys:
        """Return the keys to build with; raises ExportKeyError."""
        self._look()
        return self._keys

    def published(self) -> Mapping[str, bytes]:
        """Return the SubjectPublicKeyInfo (DER) of each key by its id; raises ExportKeyError."""
        self._look()
        return self._published

    def _look(self) -> None:
        try:
            if self._file.changed():
                self._keys, self._published = self._file.read(self._read)
        except OSError as error:
            raise ExportKeyError(f"{self._home.export_keys}: {error.strerror}") from None

    def _read(self, path: Path) -> tuple[ExportKeys, Mapping[str, bytes]]:
        keys = load(self._home)
        # After those: the key that signs is among them, whatever happens in between.
        return keys, published(path)


def make(home: Home) -> bool:
    """Write the keys of a HOME without a list of them, the list last; return whether it was done.

    A HOME of a version without exports gets them so. Raises OSError, ExportKeyError.
    """
    if home.export_keys.exists():
        return False
    if not any(_signing_files(_folder(home))):
        _write(_folder(home) / SIGNING_FILE, ec.generate_private_key(ec.SECP256R1()))
    tokens = _folder(home) / TOKENS_FILE
    if not tokens.exists():
        replace_private(tokens, secrets.token_bytes(TOKENS_BYTES), "disclosure")
    _publish(home, {_key_id(spki): spki for _, _, spki in _signing(_folder(home))})
    return True


def load(home: Home) -> ExportKeys:
    """Return the keys to build with now; raises ExportKeyError."""
    newest = _newest(home)
    try:
        return _loaded(home, newest)
    except ExportKeyError:
        # It may have been followed, and forgotten, between the two looks.
        if _newest(home) == newest:
            raise
    return _loaded(home, _newest(home))


def published(path: Path) -> dict[str, bytes]:
    """Return the SubjectPublicKeyInfo (DER) of each key by its id, oldest first.

    Raises ExportKeyError.
    """
    try:
        listed = json.loads(path.read_bytes())["keys"]
        found = {one["key_id"]: base64.b64decode(one["spki"], validate=True) for one in listed}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportKeyError(f"{path}: not a list of export keys") from error
    if not found:
        raise ExportKeyError(f"{path}: no key at all")
    if any(_key_id(spki) != key_id for key_id, spki in found.items()):
        raise ExportKeyError(f"{path}: a key id is not its key's")
    return found


def follow(home: Home, key_id: str) -> str:
    """Let another key follow this one, once, and forget those before; return the newest's id.

    Raises ExportKeyError, OSError.
    """
    if _newest(home) == key_id:
        publish(home, prepare(home))
    newest = _newest(home)
    for path, _, spki in list(_signing(_folder(home))):
        if _key_id(spki) != newest:
            path.unlink()
    return newest


def prepare(home: Home) -> str:
    """Return the id of the key that waits to be published; it is made where none does.

    Raises ExportKeyError, OSError.
    """
    known = published(home.export_keys)
    for _, _, spki in _signing(_folder(home)):
        if _key_id(spki) not in known:
            return _key_id(spki)
    key = ec.generate_private_key(ec.SECP256R1())
    key_id = _key_id(_spki(key))
    _write(_folder(home) / f"export-{key_id}.key", key)
    return key_id


def publish(home: Home, key_id: str) -> None:
    """Sign with a prepared key from now on; done once, it is done.

    Raises ExportKeyError, OSError.
    """
    known = published(home.export_keys)
    if key_id not in known:
        _, spki = _signing_key(home, key_id)
        _publish(home, {**known, key_id: spki})


def _loaded(home: Home, key_id: str) -> ExportKeys:
    signing, _ = _signing_key(home, key_id)
    path = _folder(home) / TOKENS_FILE
    try:
        tokens = path.read_bytes()
    except OSError as error:
        raise ExportKeyError(f"{path}: cannot be read: {error.strerror}") from error
    if len(tokens) != TOKENS_BYTES:
        raise ExportKeyError(f"{path}: not a key of tokens")
    return ExportKeys(signing, key_id, tokens)


def _signing_key(home: Home, key_id: str) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Return a private key by its id, and its public one (DER)."""
    for _, key, spki in _signing(_folder(home)):
        if _key_id(spki) == key_id:
            return key, spki
    raise ExportKeyError(f"{_folder(home)}: no private key of {key_id}")


def _signing(folder: Path) -> Iterator[tuple[Path, ec.EllipticCurvePrivateKey, bytes]]:
    """Give the file, the key and the public key (DER) of each private key that is there."""
    for path in _signing_files(folder):
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except FileNotFoundError:
            continue  # Forgotten at this very moment.
        except (OSError, ValueError, TypeError) as error:
            raise ExportKeyError(f"{path}: no key: {type(error).__name__}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ExportKeyError(f"{path}: not a P-256 key")
        yield path, key, _spki(key)


def _signing_files(folder: Path) -> list[Path]:
    return [path for name in (SIGNING_FILE, _FOLLOWING) for path in sorted(folder.glob(name))]


def _newest(home: Home) -> str:
    return list(published(home.export_keys))[-1]


def _write(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """At once or not at all: disclosure reads every file of this form."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    replace_private(path, pem, "disclosure")


def _publish(home: Home, keys: Mapping[str, bytes]) -> None:
    entries = [
        {"key_id": key_id, "spki": base64.b64encode(spki).decode()} for key_id, spki in keys.items()
    ]
    replace_public(home.export_keys, json.dumps({"keys": entries}, indent=2).encode() + b"\n")


def _folder(home: Home) -> Path:
    return home.secrets("disclosure")


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(spki: bytes) -> str:
    return hashlib.sha256(spki).hexdigest()[:16]
