"""C2SP tlog-witness without HTTP: what a log asks of a witness, and when the witness may cosign.

    old <size>
    <hash, base64>          the proof that the log of the old size is a prefix, at most 63 lines

    <signed checkpoint>

A witness answers with cosignature lines, or refuses by one of `REFUSALS`, each with the status that
the specification gives it over HTTP.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.tlog import checkpoint
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import HASH_LENGTH, SIZE_MAX, MerkleError, verify_consistency
from gateway.tlog.note import NoteError, decoded, split

HASHES_MAX = 63
REFUSALS: Mapping[str, int] = MappingProxyType(
    {
        "REQUEST_FORM": 400,
        "SIZE_SHRANK": 400,
        "LOG_SIGNATURE": 403,
        "LOG_UNKNOWN": 404,
        "SIZE_OTHER": 409,
        "LOG_FORKED": 409,
        "LOG_INCONSISTENT": 422,
    }
)
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)


class WitnessError(ValueError):
    """A witness does not cosign; `code` is one of REFUSALS."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the size that the witness is taken to have cosigned, a proof, a signed note."""

    old_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    def text(self) -> str:
        """Return the request's body."""
        lines = [f"old {self.old_size}", *(base64.b64encode(each).decode() for each in self.hashes)]
        return "\n".join(lines) + "\n\n" + self.checkpoint


def parse(text: str) -> AddCheckpoint:
    """Return the request of a body; raises WitnessError with REQUEST_FORM."""
    head, gap, signed = text.partition("\n\n")
    first, *lines = head.split("\n")
    match = _OLD.fullmatch(first)
    hashes = tuple(decoded(line) for line in lines)
    if not gap or match is None or int(match[1]) > SIZE_MAX:
        raise WitnessError("REQUEST_FORM", "not a request to cosign")
    if len(hashes) > HASHES_MAX or any(len(each) != HASH_LENGTH for each in hashes):
        raise WitnessError("REQUEST_FORM", "the proof is not at most 63 hashes of 32 bytes")
    return AddCheckpoint(int(match[1]), hashes, signed)


def judge(request: AddCheckpoint, keys: LogKeys, cosigned: Checkpoint | None) -> Checkpoint:
    """Return the checkpoint that a witness which last cosigned `cosigned` may cosign now.

    Raises WitnessError. The caller keeps the checkpoint durably before it signs.
    """
    try:
        if checkpoint.parse(split(request.checkpoint)[0]).origin != keys.origin:
            raise WitnessError("LOG_UNKNOWN", "the checkpoint is of another log")
        found = keys.open(request.checkpoint)
    except NoteError as error:
        raise WitnessError("LOG_SIGNATURE", f"{error.code}: {error}") from error
    known = cosigned or Checkpoint(found.origin, 0, b"")
    if found.size < known.size:
        raise WitnessError("SIZE_SHRANK", f"the log shrank from {known.size} to {found.size}")
    if request.old_size != known.size:
        raise WitnessError("SIZE_OTHER", f"{known.size} entries were cosigned")
    if known.size and found.size == known.size and found.root != known.root:
        raise WitnessError("LOG_FORKED", f"two signed checkpoints of size {found.size} differ")
    if not known.size:
        if request.hashes:
            raise WitnessError("LOG_INCONSISTENT", "a proof from nothing is empty")
        return found
    try:
        verify_consistency(known.size, found.size, request.hashes, known.root, found.root)
    except MerkleError as error:
        where = f"{known.size} and {found.size} are not of one log"
        raise WitnessError("LOG_INCONSISTENT", f"{where}: {error}") from error
    return found
