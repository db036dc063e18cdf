"""The sealing keys' files: who may open what is sealed, and how one key follows another.

Private keys lie with disclosure, one file each, and stay for as long as a body is sealed to them;
HOME/public/seal-keys.json lists the public ones, of which the last of each use is sealed to. A key
follows another in two steps, each of which can be taken again:

    prepare   the next private key, for disclosure
    publish   its public key, last in the list: from the next content key on it is sealed to
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey

from gateway.config.folders import replace_private, replace_public, write_private
from gateway.config.home import Home
from gateway.config.watched import Watched

Use = Literal["body", "restricted", "part"]
# Of bodies; "part" has a key of its own (`part_key`).
USES: tuple[Use, ...] = ("body", "restricted")
SUITE_NAME = "MLKEM768_X25519/HKDF_SHA256/AES_256_GCM"
INDEX_KEY_BYTES = 32
_MLKEM_SEED_BYTES = 64
_X25519_BYTES = 32


class SealError(Exception):
    """A key file is malformed, or a body does not open: other key, other row, or changed bytes."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A public key that content keys are wrapped to."""

    key_id: str
    use: Use
    public_key: MLKEM768X25519PublicKey


class Recipients(Protocol):
    """To whom content keys are wrapped now."""

    def newest(self, use: Use) -> Recipient:
        """Return the recipient of a use; raises SealError."""
        ...


@dataclass(frozen=True, slots=True)
class SealRecipients:
    """The newest recipient of each use."""

    body: Recipient
    restricted: Recipient

    @classmethod
    def load(cls, path: Path) -> "SealRecipients":
        """Return the recipients in seal-keys.json, the last of each use; raises SealError."""
        try:
            listed = [recipient_of(entry) for entry in json.loads(path.read_bytes())["recipients"]]
            newest = {recipient.use: recipient for recipient in listed}
            return cls(body=newest["body"], restricted=newest["restricted"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SealError(f"{path}: not a list of sealing recipients: {error}") from error

    def newest(self, use: Use) -> Recipient:
        """Return the recipient of a use."""
        return self.body if use == "body" else self.restricted


class CurrentRecipients:
    """The recipients as seal-keys.json lists them at that moment, for a process that runs.

    While the file cannot be read nothing is sealed: who cannot tell to whom, seals to nobody.
    """

    __slots__ = ("_file", "_found")

    def __init__(self, path: Path) -> None:
        """Read them; raises SealError."""
        self._found = SealRecipients.load(path)
        self._file = Watched(path)

    def newest(self, use: Use) -> Recipient:
        """Return the recipient of a use; raises SealError."""
        try:
            if self._file.changed():
                self._found = self._file.read(SealRecipients.load)
        except OSError as error:
            raise SealError(f"seal-keys.json: cannot be read: {error.strerror}") from None
        return self._found.newest(use)


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of the list: the key's name and use, and whether bodies are sealed to it now."""

    key_id: str
    use: str
    newest: bool


def listed(home: Home) -> list[Listed]:
    """Return the keys in seal-keys.json, oldest first; raises SealError."""
    entries = _entries(home)
    newest = {entry["use"]: entry["key_id"] for entry in entries}
    return [
        Listed(entry["key_id"], entry["use"], newest[entry["use"]] == entry["key_id"])
        for entry in entries
    ]


def read_private(folder: Path) -> dict[str, MLKEM768X25519PrivateKey]:
    """Return every private key of a folder of secrets by its name; raises SealError."""
    found = (Pair.read(path) for path in sorted(folder.glob("seal-*.key")))
    return {pair.key_id: MLKEM768X25519PrivateKey(pair.lattice, pair.curve) for pair in found}


def make_keys(home: Home) -> None:
    """Write fresh keys: private ones for disclosure, the index key also for intake."""
    pairs = {use: Pair.fresh() for use in USES}
    for use, pair in pairs.items():
        write_private(_folder(home) / f"seal-{use}.key", pair.private, "disclosure")
    _publish(home, [pair.entry(use) for use, pair in pairs.items()])
    index_key = secrets.token_bytes(INDEX_KEY_BYTES)
    write_private(home.secrets("intake") / "blind-index.key", index_key, "intake")
    write_private(_folder(home) / "blind-index.key", index_key, "disclosure")


def prepare(home: Home, use: Use) -> str:
    """Return the name of the key that waits to be published; it is made where none does.

    Raises SealError, OSError.
    """
    published = {one.key_id for one in listed(home)}
    for path in sorted(_folder(home).glob(f"seal-{use}-*.key")):
        key_id = Pair.read(path).key_id
        if key_id not in published:
            return key_id
    pair = Pair.fresh()
    # At once or not at all: disclosure reads every file of this form.
    replace_private(_waiting(home, use, pair.key_id), pair.private, "disclosure")
    return pair.key_id


def publish(home: Home, use: Use, key_id: str) -> None:
    """Seal to a prepared key from now on; done once, it is done. Raises SealError, OSError."""
    entries = _entries(home)
    if key_id not in {entry["key_id"] for entry in entries}:
        pair = Pair.read(_waiting(home, use, key_id))
        _publish(home, [*entries, pair.entry(use)])


def follow(home: Home, use: Use, key_id: str) -> str:
    """Let another key follow this one, once; return the newest key's name.

    Raises SealError, OSError.
    """
    [newest] = [one.key_id for one in listed(home) if one.use == use and one.newest]
    if newest == key_id:
        newest = prepare(home, use)
        publish(home, use, newest)
    return newest


@dataclass(frozen=True, slots=True)
class Pair:
    """The two halves of a private key: a lattice's and a curve's."""

    lattice: mlkem.MLKEM768PrivateKey
    curve: x25519.X25519PrivateKey

    @classmethod
    def fresh(cls) -> "Pair":
        """Return a new one."""
        return cls(mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "Pair":
        """Return the one in a file; raises SealError."""
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise SealError(f"{path}: cannot be read: {error.strerror}") from None
        if len(raw) != _MLKEM_SEED_BYTES + _X25519_BYTES:
            raise SealError(f"{path}: not a sealing key")
        return cls(
            mlkem.MLKEM768PrivateKey.from_seed_bytes(raw[:_MLKEM_SEED_BYTES]),
            x25519.X25519PrivateKey.from_private_bytes(raw[_MLKEM_SEED_BYTES:]),
        )

    @property
    def private(self) -> bytes:
        """The content of its file: both seeds."""
        return self.lattice.private_bytes_raw() + self.curve.private_bytes_raw()

    @property
    def public(self) -> tuple[bytes, bytes]:
        """Both public halves."""
        lattice, curve = self.lattice.public_key(), self.curve.public_key()
        return lattice.public_bytes_raw(), curve.public_bytes_raw()

    @property
    def key_id(self) -> str:
        """The key's name: 16 hexadecimal digits."""
        return _key_id(self.public)

    def entry(self, use: Use) -> dict[str, str]:
        """Return what is published of it."""
        lattice, curve = self.public
        return {
            "key_id": self.key_id,
            "use": use,
            "suite": SUITE_NAME,
            "mlkem768": base64.b64encode(lattice).decode(),
            "x25519": base64.b64encode(curve).decode(),
        }


def _folder(home: Home) -> Path:
    return home.secrets("disclosure")


def _waiting(home: Home, use: Use, key_id: str) -> Path:
    return _folder(home) / f"seal-{use}-{key_id}.key"


def _entries(home: Home) -> list[dict[str, str]]:
    try:
        found = json.loads(home.seal_keys.read_bytes())["recipients"]
        for entry in found:
            recipient_of(entry)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SealError(f"{home.seal_keys}: not a list of sealing recipients: {error}") from error
    entries: list[dict[str, str]] = found
    return entries


def _publish(home: Home, entries: list[dict[str, str]]) -> None:
    replace_public(home.seal_keys, json.dumps({"recipients": entries}, indent=2).encode() + b"\n")


def recipient_of(entry: Mapping[str, str]) -> Recipient:
    """Return a published key; raises ValueError, KeyError."""
    if entry["suite"] != SUITE_NAME:
        raise ValueError(f"unknown suite {entry['suite']}")
    use = next((one for one in get_args(Use) if one == entry["use"]), None)
    public = (base64.b64decode(entry["mlkem768"]), base64.b64decode(entry["x25519"]))
    if use is None or entry["key_id"] != _key_id(public):
        raise ValueError("unknown use, or the key id is not the key's")
    lattice = mlkem.MLKEM768PublicKey.from_public_bytes(public[0])
    curve = x25519.X25519PublicKey.from_public_bytes(public[1])
    return Recipient(entry["key_id"], use, MLKEM768X25519PublicKey(lattice, curve))


def _key_id(public: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(public)).hexdigest()[:16]
