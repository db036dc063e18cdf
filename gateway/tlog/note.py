"""C2SP signed notes: text, an empty line, signature lines; strict to read, Ed25519 only.

Rules kept (c2sp.org/signed-note): UTF-8 without control characters but newline; text ends in a
newline; split at the last empty line; signatures of unknown keys are ignored; a known key whose
signature fails rejects the whole note.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
KEY_LENGTH = 32
KEY_ID_LENGTH = 4
NOTE_MAX_BYTES = 1_000_000
# The specification asks to accept at least 16.
SIGNATURES_MAX = 100
_LINE = re.compile("— ([^+\\s]+) ([A-Za-z0-9+/]+={0,2})")
_VKEY = re.compile(r"([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_SKEY = re.compile(r"PRIVATE\+KEY\+([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f]")


class NoteError(ValueError):
    """A note, key or signature is not acceptable; `code` is one word per cause."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; `code` is stable, the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name, its 4-byte id and what follows."""

    name: str
    key_id: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note that was read.

    Its text, the names of the keys that signed it, and the lines nobody here could judge.
    """

    text: str
    signed_by: tuple[str, ...]
    unverified: tuple[Signature, ...]


def check_name(name: str) -> None:
    """Raise NoteError with KEY_NAME where a key cannot be called so."""
    if not name or "+" in name or any(each.isspace() for each in name) or _CONTROL.search(name):
        raise NoteError("KEY_NAME", "a key name has no space and no plus sign")


class Verifier:
    """A verification key: name, 4-byte key id, Ed25519 public key."""

    def __init__(self, name: str, public: bytes) -> None:
        """Take a key (32 bytes); raises NoteError on a name that notes cannot carry."""
        check_name(name)
        if len(public) != KEY_LENGTH:
            raise NoteError("KEY_LENGTH", "an Ed25519 key has 32 bytes")
        self.name = name
        self.public = public
        named = name.encode() + b"\n" + bytes([ED25519]) + public
        self.key_id = hashlib.sha256(named).digest()[:KEY_ID_LENGTH]

    def __str__(self) -> str:
        """Return the vkey string."""
        return f"{self.name}+{self.key_id.hex()}+{_encoded(bytes([ED25519]) + self.public)}"

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same key of the same name."""
        return isinstance(other, Verifier) and str(other) == str(self)

    def __hash__(self) -> int:
        """Return the hash that goes with `==`."""
        return hash(str(self))

    def verify(self, text: str, payload: bytes) -> None:
        """Raise NoteError unless `payload` is this key's signature over the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(payload, text.encode())
        except (InvalidSignature, ValueError):
            raise NoteError("SIGNATURE_INVALID", f"the signature of {self.name} is false") from None


class Signer:
    """A signing key; its repr never shows the key."""

    def __init__(self, name: str, seed: bytes) -> None:
        """Take a 32-byte Ed25519 seed."""
        if len(seed) != KEY_LENGTH:
            raise NoteError("KEY_LENGTH", "an Ed25519 seed has 32 bytes")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._private.public_key().public_bytes_raw())

    def line(self, text: str) -> str:
        """Return the signature line over the text, newline included."""
        payload = self.verifier.key_id + self._private.sign(text.encode())
        return f"— {self.verifier.name} {_encoded(payload)}\n"

    def secret_line(self) -> str:
        """Return the skey string, to be written into a file that only the signer reads."""
        key = _encoded(bytes([ED25519]) + self._private.private_bytes_raw())
        return f"PRIVATE+KEY+{self.verifier.name}+{self.verifier.key_id.hex()}+{key}"


def parse_vkey(text: str) -> Verifier:
    """Return the verifier of a vkey string `name+hex id+base64`; raises NoteError."""
    match = _VKEY.fullmatch(text)
    if match is None:
        raise NoteError("KEY_FORM", "not a verification key")
    verifier = Verifier(match[1], _key_bytes(match[3]))
    if verifier.key_id.hex() != match[2]:
        raise NoteError("KEY_ID", "the key's id is not that of its name and bytes")
    return verifier


def parse_skey(text: str) -> Signer:
    """Return the signer of a `PRIVATE+KEY+name+hex id+base64` string.

    Raises NoteError, which never quotes the key.
    """
    match = _SKEY.fullmatch(text)
    if match is None:
        raise NoteError("KEY_FORM", "not a signing key")
    signer = Signer(match[1], _key_bytes(match[3]))
    if signer.verifier.key_id.hex() != match[2]:
        raise NoteError("KEY_ID", "the key's id is not that of its name and bytes")
    return signer


def sign(text: str, *signers: Signer) -> str:
    """Return the note of a text that ends in a newline, signed by all signers in their order."""
    _check_text(text)
    return text + "\n" + "".join(signer.line(text) for signer in signers)


def split(raw: str) -> tuple[str, tuple[Signature, ...]]:
    """Return text and signature lines of a note without judging any signature.

    Raises NoteError on its form.
    """
    if len(raw) > NOTE_MAX_BYTES:
        raise NoteError("NOTE_TOO_LONG", "the note is longer than a million characters")
    text, gap, lines = raw.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise NoteError("NOTE_FORM", "the note lacks signature lines or its last newline")
    text += "\n"
    _check_text(text)
    found = lines[:-1].split("\n")
    if len(found) > SIGNATURES_MAX:
        raise NoteError("SIGNATURES_MANY", f"the note has more than {SIGNATURES_MAX} signatures")
    return text, tuple(_signature(line) for line in found)


def open_note(raw: str, verifiers: Sequence[Verifier]) -> Note:
    """Return the note when at least one of the verifiers signed it and none of theirs fails.

    Raises NoteError.
    """
    text, signatures = split(raw)
    known = {(each.name, each.key_id): each for each in verifiers}
    signed: list[str] = []
    unverified: list[Signature] = []
    seen: set[tuple[str, bytes]] = set()
    for signature in signatures:
        key = (signature.name, signature.key_id)
        if key not in known:
            unverified.append(signature)
        elif key not in seen:
            seen.add(key)
            known[key].verify(text, signature.payload)
            signed.append(signature.name)
    if not signed:
        raise NoteError("SIGNATURE_MISSING", "no key that is trusted here signed the note")
    return Note(text, tuple(signed), tuple(unverified))


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteError("NOTE_FORM", "the text lacks its last newline or holds control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NoteError("NOTE_FORM", "the text is not Unicode") from None


def _signature(line: str) -> Signature:
    match = _LINE.fullmatch(line)
    payload = decoded(match[2]) if match else b""
    if match is None or len(payload) <= KEY_ID_LENGTH:
        raise NoteError("SIGNATURE_FORM", "a signature line is malformed")
    return Signature(match[1], payload[:KEY_ID_LENGTH], payload[KEY_ID_LENGTH:])


def _key_bytes(text: str) -> bytes:
    content = decoded(text)
    if content[:1] != bytes([ED25519]):
        raise NoteError("KEY_TYPE", "not an Ed25519 key")
    return content[1:]


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def decoded(text: str) -> bytes:
    """Return the bytes of canonical base64, b"" for anything else."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
    return content if _encoded(content) == text else b""
