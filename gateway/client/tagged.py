"""Opens an age file with the key of an encryption certificate, as a stream, in constant memory.

Written from the format (C2SP age.md): a header whose `p256tag` stanza wraps the file key by HPKE
(RFC 9180: DHKEM P-256, HKDF-SHA256, ChaCha20-Poly1305), its MAC, and a payload of chunks of 64 KiB,
each sealed with its number and whether it is the last. A piece comes out only when its chunk is
authentic; that the file is whole is known when the last one came.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CHUNK_BYTES = 65_536
_TAG_BYTES, _NONCE_BYTES, _FILE_KEY_BYTES = 16, 16, 16
_LABEL = b"age-encryption.org/p256tag"
_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_VERSION = b"age-encryption.org/v1"
_ARGUMENT = re.compile(rb"[\x21-\x7e]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
# A stanza's body is wrapped at 64 characters, the last line shorter (maybe empty).
_LINE = 64
_P256TAG_ARGUMENTS, _POINT_BYTES, _SHORT_TAG = 2, 65, 4


class TaggedError(Exception):
    """The file does not open: `cause` is header, recipient, mac, chunk or truncated."""

    def __init__(self, cause: str) -> None:
        """Make an error."""
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class _Stanza:
    kind: bytes
    arguments: Sequence[bytes]
    body: bytes


def decrypt(header: bytes, payload: IO[bytes], key: ec.EllipticCurvePrivateKey) -> Iterator[bytes]:
    """Yield the plaintext, at most 64 KiB at a time; raises TaggedError.

    What was yielded before an error is authentic and not whole: throw it away.
    """
    file_key = _file_key(header, key)
    nonce = payload.read(_NONCE_BYTES)
    if len(nonce) != _NONCE_BYTES:
        raise TaggedError("truncated")
    cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
    counter, chunk = 0, payload.read(CHUNK_BYTES + _TAG_BYTES)
    while True:
        following = payload.read(CHUNK_BYTES + _TAG_BYTES)
        last = not following
        plain = _opened(cipher, counter, chunk, last=last)
        if last and not plain and counter:
            # An empty last chunk is for an empty file alone (age.md, "Payload").
            raise TaggedError("chunk")
        yield plain
        if last:
            return
        counter, chunk = counter + 1, following


def _opened(cipher: ChaCha20Poly1305, counter: int, chunk: bytes, *, last: bool) -> bytes:
    try:
        return cipher.decrypt(counter.to_bytes(11) + bytes([last]), chunk, None)
    except (InvalidTag, ValueError):
        pass
    # Told apart for people: a chunk that opens as one in the middle means that the rest is missing.
    if last:
        try:
            cipher.decrypt(counter.to_bytes(11) + b"\0", chunk, None)
        except (InvalidTag, ValueError):
            raise TaggedError("chunk") from None
        raise TaggedError("truncated")
    raise TaggedError("chunk")


def _file_key(header: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the file key of a header whose MAC is right."""
    stanzas, covered, mac = _parse(header)
    for stanza in stanzas:
        found = _unwrapped(stanza, key)
        if found is not None:
            expected = hmac.digest(_derived(found, b"", b"header"), covered, "sha256")
            if not hmac.compare_digest(expected, mac):
                raise TaggedError("mac")
            return found
    raise TaggedError("recipient")


def _unwrapped(stanza: _Stanza, key: ec.EllipticCurvePrivateKey) -> bytes | None:
    """Return the file key that a stanza wraps for this key; None where it is another's."""
    if stanza.kind != b"p256tag":
        return None
    if len(stanza.arguments) != _P256TAG_ARGUMENTS:
        raise TaggedError("header")
    short, point = (_decoded(argument) for argument in stanza.arguments)
    if len(short) != _SHORT_TAG or len(point) != _POINT_BYTES:
        raise TaggedError("header")
    own = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    salted = point + hashlib.sha256(own).digest()[:_SHORT_TAG]
    if not hmac.compare_digest(hmac.digest(_LABEL, salted, "sha256")[:_SHORT_TAG], short):
        return None
    try:
        found = _SUITE.decrypt(point + stanza.body, key, _LABEL)
    except (InvalidTag, ValueError):
        # Four bytes meet by chance once in four thousand million: then it is another's.
        return None
    if len(found) != _FILE_KEY_BYTES:
        raise TaggedError("header")
    return found


def _parse(header: bytes) -> tuple[list[_Stanza], bytes, bytes]:
    """Return the stanzas, what the MAC covers, and the MAC; raises TaggedError."""
    lines = header.split(b"\n")
    if lines.pop() or len(lines) < 3 or lines[0] != _VERSION:  # noqa: PLR2004 # version, stanza, MAC
        raise TaggedError("header")
    last = lines.pop()
    if not last.startswith(b"--- "):
        raise TaggedError("header")
    stanzas, rest = [], lines[1:]
    while rest:
        stanza, rest = _stanza(rest)
        stanzas.append(stanza)
    return stanzas, header[: -len(last) - 1] + b"---", _decoded(last.removeprefix(b"--- "))


def _stanza(lines: list[bytes]) -> tuple[_Stanza, list[bytes]]:
    """Return the first stanza of some lines, and the lines after it."""
    words = lines[0].split(b" ")
    if words[0] != b"->" or len(words) == 1 or not all(map(_ARGUMENT.fullmatch, words)):
        raise TaggedError("header")
    body = []
    for line in lines[1:]:
        body.append(line)
        if len(line) < _LINE:
            break
    if not body or len(body[-1]) >= _LINE or any(len(line) != _LINE for line in body[:-1]):
        raise TaggedError("header")
    return _Stanza(words[1], words[2:], _decoded(b"".join(body))), lines[1 + len(body) :]


def _decoded(text: bytes) -> bytes:
    """Return what canonical base64 without padding says (RFC 4648 section 3.5)."""
    if not _BASE64.fullmatch(text) or len(text) % 4 == 1:
        raise TaggedError("header")
    found = base64.b64decode(text + b"=" * (-len(text) % 4))
    if base64.b64encode(found).rstrip(b"=") != text:
        raise TaggedError("header")
    return found


def _derived(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(file_key)
