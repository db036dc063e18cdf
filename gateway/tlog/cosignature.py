"""C2SP cosignatures: a witness states at which time which checkpoint was the largest it had seen.

    0x04  Ed25519 over `cosignature/v1`, `time <seconds>` and the checkpoint's whole text
    0x06  ML-DSA-44 over the witness's name, the time, and the log's origin, size and root

In the note a line carries the key's id, the time as 8 bytes and the signature. An Ed25519 line does
not name its witness: each has a key of its own (c2sp.org/tlog-cosignature).
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from gateway.tlog import checkpoint
from gateway.tlog.note import KEY_ID_LENGTH, NoteError, check_name, decoded, split

ED25519, ML_DSA_44 = 0x04, 0x06
SEED_LENGTH = 32
TIME_MAX_S = 2**63 - 1
_TIME_LENGTH = 8
# Public key and signature, in bytes.
_LENGTHS = {ED25519: (32, 64), ML_DSA_44: (1312, 2420)}
# struct cosigned_message: opaque <1..2^8-1>.
_LABEL = b"subtree/v1\n\0"
_NAME_MAX_BYTES = 255
_VKEY = re.compile(r"([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_SKEY = re.compile(r"PRIVATE\+KEY\+([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


class WitnessKey:
    """The public key of a witness: its name, its kind (ED25519 or ML_DSA_44) and the raw key."""

    def __init__(self, name: str, kind: int, public: bytes) -> None:
        """Take a key; raises NoteError: KEY_NAME, KEY_TYPE, KEY_LENGTH."""
        check_name(name)
        if kind not in _LENGTHS:
            raise NoteError("KEY_TYPE", "not a key that cosigns")
        if len(public) != _LENGTHS[kind][0]:
            raise NoteError("KEY_LENGTH", "the key is not as long as its kind")
        if kind == ML_DSA_44 and len(name.encode()) > _NAME_MAX_BYTES:
            raise NoteError("KEY_NAME", "the name is longer than ML-DSA-44 signs")
        self.name, self.kind, self.public = name, kind, public
        typed = name.encode() + b"\n" + bytes([kind]) + public
        self.key_id = hashlib.sha256(typed).digest()[:KEY_ID_LENGTH]

    def __str__(self) -> str:
        """Return the vkey string."""
        key = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same key of the same name."""
        return isinstance(other, WitnessKey) and str(other) == str(self)

    def __hash__(self) -> int:
        """Return the hash that goes with `==`."""
        return hash(str(self))

    def verify(self, text: str, payload: bytes) -> int:
        """Return the time, in seconds since 1970, of this key's cosignature over a note's text.

        Raises NoteError with SIGNATURE_INVALID.
        """
        stated, signature = payload[:_TIME_LENGTH], payload[_TIME_LENGTH:]
        time_s = int.from_bytes(stated, "big")
        if len(signature) != _LENGTHS[self.kind][1] or time_s > TIME_MAX_S:
            raise NoteError("SIGNATURE_INVALID", f"the cosignature of {self.name} is malformed")
        try:
            if self.kind == ED25519:
                public = Ed25519PublicKey.from_public_bytes(self.public)
                public.verify(signature, _ed25519_message(text, time_s))
            else:
                lattice = MLDSA44PublicKey.from_public_bytes(self.public)
                lattice.verify(signature, _ml_dsa_message(self.name, text, time_s))
        except (InvalidSignature, ValueError):
            raise NoteError("SIGNATURE_INVALID", f"{self.name} did not cosign this") from None
        return time_s


class Cosigner:
    """A witness's signing key; its repr never shows the key."""

    def __init__(self, name: str, kind: int, seed: bytes) -> None:
        """Take a seed of 32 bytes; raises NoteError as `WitnessKey`."""
        if len(seed) != SEED_LENGTH:
            raise NoteError("KEY_LENGTH", "a seed has 32 bytes")
        self._private = (
            MLDSA44PrivateKey.from_seed_bytes(seed)
            if kind == ML_DSA_44
            else Ed25519PrivateKey.from_private_bytes(seed)
        )
        self.key = WitnessKey(name, kind, self._private.public_key().public_bytes_raw())

    def line(self, text: str, time_s: int) -> str:
        """Return the cosignature line over a checkpoint's text at a time, newline included.

        Raises NoteError where the text is no checkpoint.
        """
        checkpoint.parse(text)
        if self.key.kind == ED25519:
            message = _ed25519_message(text, time_s)
        else:
            message = _ml_dsa_message(self.key.name, text, time_s)
        stated = time_s.to_bytes(_TIME_LENGTH, "big")
        payload = self.key.key_id + stated + self._private.sign(message)
        return f"— {self.key.name} {base64.b64encode(payload).decode()}\n"

    def secret_line(self) -> str:
        """Return the skey string, to be written into a file that only the witness reads."""
        key = bytes([self.key.kind]) + self._private.private_bytes_raw()
        encoded = base64.b64encode(key).decode()
        return f"PRIVATE+KEY+{self.key.name}+{self.key.key_id.hex()}+{encoded}"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that was verified: whose, and at what time in seconds since 1970."""

    key: WitnessKey
    time_s: int


def verified(raw: str, keys: Sequence[WitnessKey]) -> tuple[Cosignature, ...]:
    """Return the cosignatures of these keys on a signed checkpoint, in their order; () for none.

    Lines of other keys are ignored; a line of a known key that is false rejects the note: raises
    NoteError. Whether the log signed it is another question (`keys.LogKeys.open`).
    """
    text, lines = split(raw)
    known = {(each.name, each.key_id): each for each in keys}
    found: dict[WitnessKey, Cosignature] = {}
    for line in lines:
        key = known.get((line.name, line.key_id))
        if key is not None and key not in found:
            found[key] = Cosignature(key, key.verify(text, line.payload))
    return tuple(found.values())


def parse_vkey(text: str) -> WitnessKey:
    """Return the key of a vkey string `name+hex id+base64`; raises NoteError."""
    match = _VKEY.fullmatch(text)
    content = decoded(match[3]) if match else b""
    if match is None or not content:
        raise NoteError("KEY_FORM", "not the key of a witness")
    key = WitnessKey(match[1], content[0], content[1:])
    if key.key_id.hex() != match[2]:
        raise NoteError("KEY_ID", "the key's id is not that of its name and bytes")
    return key


def parse_skey(text: str) -> Cosigner:
    """Return the cosigner of a `PRIVATE+KEY+name+hex id+base64` string.

    Raises NoteError, which never quotes the key.
    """
    match = _SKEY.fullmatch(text)
    content = decoded(match[3]) if match else b""
    if match is None or content[:1] not in {bytes([ED25519]), bytes([ML_DSA_44])}:
        raise NoteError("KEY_FORM", "not the signing key of a witness")
    cosigner = Cosigner(match[1], content[0], content[1:])
    if cosigner.key.key_id.hex() != match[2]:
        raise NoteError("KEY_ID", "the key's id is not that of its name and bytes")
    return cosigner


def subtree_message(
    name: str, time_s: int, origin: str, *, begin: int, end: int, root: bytes
) -> bytes:
    """Return what ML-DSA-44 signs: the leaves `begin`..`end`-1 of a log have this root."""
    return b"".join(
        (
            _LABEL,
            _opaque(name),
            time_s.to_bytes(8, "big"),
            _opaque(origin),
            begin.to_bytes(8, "big"),
            end.to_bytes(8, "big"),
            root,
        )
    )


def _ed25519_message(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _ml_dsa_message(name: str, text: str, time_s: int) -> bytes:
    head = checkpoint.parse(text)
    return subtree_message(name, time_s, head.origin, begin=0, end=head.size, root=head.root)


def _opaque(text: str) -> bytes:
    content = text.encode()
    if not 1 <= len(content) <= _NAME_MAX_BYTES:
        raise NoteError("KEY_NAME", "a name or origin is longer than ML-DSA-44 signs")
    return bytes([len(content)]) + content
