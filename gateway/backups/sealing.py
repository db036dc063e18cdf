"""Encrypts a part of a backup to its recipients while it is read, and opens one (age v1, X25519).

The gateway holds no recipient's private key: what it wrote it cannot read. Nothing readable touches
a disk; what is read is told to a watcher piece by piece, before it is sealed, after it is opened.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from pyrage import DecryptError, EncryptError, decrypt_io, encrypt_io, x25519

from gateway.backups.errors import BackupError
from gateway.backups.untar import DAMAGED
from gateway.config.folders import PRIVATE_FILE

KEY_WRONG = "BACKUP_KEY_WRONG"
RECIPIENT_FORM = "BACKUP_RECIPIENT_FORM"
# Larger ones cost a fifth more CPU: each is a mapping of its own (mallopt(3), M_MMAP_THRESHOLD).
_PIECE_BYTES = 256 * 1024
Watch = Callable[[bytes], object]
# Hears how many bytes were read so far.
Progress = Callable[[int], object]


class Reader(Protocol):
    """What is to be sealed."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, b"" at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A sealed part: its file, how long it is, SHA-256 (hex); and the same of what is inside."""

    name: str
    sealed_bytes: int
    sealed_sha256: str
    plain_bytes: int
    plain_sha256: str


def recipient(text: str) -> x25519.Recipient:
    """Return the recipient of an `age1…` line; raises BackupError (BACKUP_RECIPIENT_FORM)."""
    try:
        return x25519.Recipient.from_str(text.strip())
    except Exception as error:
        raise BackupError(RECIPIENT_FORM, "not an age X25519 recipient (age1…)") from error


def identity(path: Path) -> x25519.Identity:
    """Return the private key in an age identity file (comments allowed); raises BackupError."""
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        [line] = keys
        return x25519.Identity.from_str(line)
    except Exception:  # noqa: BLE001  as above; its text could quote the key, so it is not chained
        raise BackupError(RECIPIENT_FORM, f"{path} holds no age identity") from None


def seal(reader: Reader, path: Path, recipients: Sequence[str], watch: Watch) -> Part:
    """Write a new file that each recipient alone can open, durably; return what it is.

    Raises BackupError, OSError for the file, and whatever reader and `watch` raise.
    """
    to = [recipient(one) for one in recipients]
    source = _Source(reader, watch)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        sink = _Sink(file)
        try:
            encrypt_io(source, sink, to)
        except EncryptError as error:
            # pyrage tells only the text of what our own side raised.
            raise source.failed or sink.failed or BackupError(DAMAGED, "not encrypted") from error
        file.flush()
        os.fsync(file.fileno())
    return Part(
        path.name, sink.total, sink.digest.hexdigest(), source.total, source.digest.hexdigest()
    )


def unseal(path: Path, key: x25519.Identity, watch: Watch) -> tuple[int, str]:
    """Open a sealed part and tell `watch` what is inside; return length and SHA-256 of that.

    Raises BackupError (BACKUP_KEY_WRONG, BACKUP_DAMAGED), OSError, and whatever `watch` raises.
    """
    sink = _Sink(None, watch)
    with path.open("rb") as file:
        try:
            decrypt_io(file, sink, [key])
        except (DecryptError, OSError) as error:
            if sink.failed is not None:
                raise sink.failed from error
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's own; pyrage's, of a damaged payload, has no number
            if not sink.total:
                text = f"{path.name}: this key is not a recipient's, or the header is damaged"
                raise BackupError(KEY_WRONG, text) from error
            raise BackupError(DAMAGED, f"{path.name} is changed or cut") from error
    return sink.total, sink.digest.hexdigest()


class _Source:
    """What is read, digested and watched; its own error is kept."""

    def __init__(self, reader: Reader, watch: Watch) -> None:
        self._reader = reader
        self._watch = watch
        self._piece = memoryview(b"")
        self.digest = hashlib.sha256()
        self.total = 0
        self.failed: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            if not self._piece:
                self._piece = memoryview(self._next())
        except BaseException as error:
            self.failed = error
            raise
        given, self._piece = self._piece[:size], self._piece[size:]
        return bytes(given)

    def _next(self) -> bytes:
        piece = self._reader.read(_PIECE_BYTES)
        self.digest.update(piece)
        self.total += len(piece)
        if piece:
            self._watch(piece)
        return piece


class _Sink:
    """What is written, digested and watched; its own error is kept."""

    def __init__(self, file: IO[bytes] | None, watch: Watch = lambda _: None) -> None:
        self._file = file
        self._watch = watch
        self.digest = hashlib.sha256()
        self.total = 0
        self.failed: BaseException | None = None

    def write(self, piece: bytes) -> int:
        try:
            self.digest.update(piece)
            self.total += len(piece)
            self._watch(piece)
            if self._file is not None:
                self._file.write(piece)
        except BaseException as error:
            self.failed = error
            raise
        return len(piece)

    def flush(self) -> None:
        """Flushed by who opened it."""
