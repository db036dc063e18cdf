"""An age file to one recipient's encryption certificate, its header apart from its payload.

The format is age v1 (C2SP age.md) with one `p256tag` stanza to the certificate's P-256 key. The
header alone holds the file key, wrapped; the payload without it is noise. The gateway forgets the
file key as soon as the file is made, and cannot read its own export.
"""

from collections.abc import Callable
from typing import IO

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate
from pyrage import EncryptError, encrypt_io, tag

from gateway.pki import lint, profile

# C2SP age.md: the last line of a header is "---", a space, and 43 characters of base64.
_MAC_LINE = b"\n--- "
_MAC_LENGTH = 43
# A header of one stanza, with the grease that age writers add, has some 300 bytes.
_HEADER_MAX = 8192
_HRP = "age1tag"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class RecipientError(Exception):
    """The certificate is not one to encrypt to, or what was written is no age file.

    The text is a rule of pki.lint, or says what is wrong; nothing of the certificate's own.
    """


def encrypt(certificate: Certificate, reader: IO[bytes], write: Callable[[bytes], object]) -> bytes:
    """Encrypt what the reader gives, hand the payload to `write` piece by piece, return the header.

    Raises RecipientError, and whatever reader and `write` raise. Blocks: call it in a thread.
    """
    split, source = _Split(write), _Source(reader)
    try:
        encrypt_io(source, split, [tag.Recipient.from_str(_name(key_of(certificate)))])
    except EncryptError as error:
        # pyrage tells only the text of what our own side raised.
        raise split.failed or source.failed or RecipientError("not encrypted") from error
    if not split.header:
        raise RecipientError("no header was written")
    return split.header


def key_of(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    """Return the key of an encryption certificate.

    Raises RecipientError with the first rule of the profile that it breaks: P-256 and keyAgreement
    alone, so that the key that signs for a person never opens what is sent to him.
    """
    faults = lint.faults(certificate, profile.load("encryption"))
    if faults:
        raise RecipientError(faults[0].rule)
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise RecipientError("key")
    return key


class _Source:
    """A reader whose own error is kept."""

    def __init__(self, reader: IO[bytes]) -> None:
        self._reader = reader
        self.failed: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except BaseException as error:
            self.failed = error
            raise


class _Split:
    """A writer that keeps the header and hands on the rest."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._begun = b""
        self.header = b""
        self.failed: BaseException | None = None

    def write(self, part: bytes) -> int:
        try:
            self._put(bytes(part))
        except BaseException as error:
            self.failed = error
            raise
        return len(part)

    def flush(self) -> None:
        """Every part was handed on already."""

    def _put(self, part: bytes) -> None:
        if self.header:
            self._write(part)
            return
        self._begun += part
        at = self._begun.find(_MAC_LINE)
        end = at + len(_MAC_LINE) + _MAC_LENGTH + 1
        if at >= 0 and len(self._begun) >= end:
            self.header, rest = self._begun[:end], self._begun[end:]
            self._begun = b""
            self._write(rest)
        elif len(self._begun) > _HEADER_MAX:
            raise RecipientError("no header was written")


def _name(key: ec.EllipticCurvePublicKey) -> str:
    """Return the recipient's name: Bech32 (BIP 173) of the compressed point."""
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    bits = int.from_bytes(point) << (-8 * len(point) % 5)
    length = -(-8 * len(point) // 5)
    words = [bits >> 5 * place & 31 for place in reversed(range(length))]
    head = [ord(sign) >> 5 for sign in _HRP] + [0] + [ord(sign) & 31 for sign in _HRP]
    check = _polymod([*head, *words, *[0] * 6]) ^ 1
    words += [check >> 5 * place & 31 for place in reversed(range(6))]
    return f"{_HRP}1" + "".join(_BECH32[word] for word in words)


def _polymod(words: list[int]) -> int:
    found = 1
    for word in words:
        top, found = found >> 25, (found & 0x1FFFFFF) << 5 ^ word
        for place, generator in enumerate(_GENERATORS):
            found ^= generator * (top >> place & 1)
    return found
