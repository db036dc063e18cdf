"""C2SP checkpoints: `origin`, size and root of a log as the text of a signed note."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.tlog.merkle import EMPTY_ROOT, HASH_LENGTH, SIZE_MAX
from gateway.tlog.note import NoteError, Signer, Verifier, open_note, sign

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_BODY_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: its origin, how many entries, and the root over them (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the note text."""
        lines = (
            self.origin,
            str(self.size),
            base64.b64encode(self.root).decode(),
            *self.extensions,
        )
        return "".join(f"{line}\n" for line in lines)

    def signed(self, *signers: Signer) -> str:
        """Return the signed note."""
        return sign(self.text(), *signers)


def parse(text: str) -> Checkpoint:
    """Return the checkpoint of a note's text; raises NoteError with code CHECKPOINT_FORM."""
    lines = text.split("\n")
    if len(lines) <= _BODY_LINES or lines[-1] or not all(lines[:-1]):
        raise NoteError("CHECKPOINT_FORM", "a checkpoint has origin, size and root on lines")
    origin, size, encoded, *extensions = lines[:-1]
    if not _SIZE.fullmatch(size) or int(size) > SIZE_MAX:
        raise NoteError("CHECKPOINT_FORM", "the size is not a plain decimal number below 2^63")
    try:
        root = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        root = b""
    if len(root) != HASH_LENGTH or base64.b64encode(root).decode() != encoded:
        raise NoteError("CHECKPOINT_FORM", "the root is not the base64 of 32 bytes")
    if size == "0" and root != EMPTY_ROOT:
        raise NoteError("CHECKPOINT_FORM", "the root of an empty log is SHA-256 of nothing")
    return Checkpoint(origin, int(size), root, tuple(extensions))


def open_checkpoint(raw: str, verifiers: Sequence[Verifier], origin: str) -> Checkpoint:
    """Return the checkpoint of a signed note when a given key signed it and it is this log's.

    Raises NoteError.
    """
    found = parse(open_note(raw, verifiers).text)
    if found.origin != origin:
        raise NoteError("CHECKPOINT_ORIGIN", f"the checkpoint is of the log {found.origin!r}")
    return found
