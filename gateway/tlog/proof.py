"""C2SP tlog-proof: the text that proves an entry's place in a log without asking anybody."""

import base64
import binascii
import re
from dataclasses import dataclass

from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import HASH_LENGTH, leaf_hash, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
# A path in a tree of 2^63 leaves.
HASHES_MAX = 63
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


class ProofFormError(ValueError):
    """The text is not a tlog-proof; `code` is PROOF_FORM."""

    code = "PROOF_FORM"


@dataclass(frozen=True, slots=True)
class Proof:
    """An entry's index, path (its sibling first), signed checkpoint, and unauthenticated extra."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def text(self) -> str:
        """Return the proof's text."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(each).decode() for each in self.hashes]
        return "\n".join(lines) + "\n\n" + self.checkpoint

    def verify(self, entry: bytes, keys: LogKeys) -> Checkpoint:
        """Return the checkpoint under which `entry` is proven.

        Raises NoteError or MerkleError when it is not.
        """
        found = keys.open(self.checkpoint)
        verify_inclusion(leaf_hash(entry), self.index, found.size, self.hashes, found.root)
        return found


def parse(text: str) -> Proof:
    """Return the proof of a text; raises ProofFormError. Nothing is verified."""
    head, gap, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not gap or lines.pop(0) != HEADER:
        raise ProofFormError("the text does not begin as a tlog-proof")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _decoded(lines.pop(0).removeprefix("extra "))
    match = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if match is None:
        raise ProofFormError("the proof has no index")
    hashes = tuple(_decoded(line) for line in lines)
    if len(hashes) > HASHES_MAX or any(len(each) != HASH_LENGTH for each in hashes):
        raise ProofFormError("the proof's hashes are not at most 63 of 32 bytes")
    return Proof(int(match[1]), hashes, checkpoint, extra)


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofFormError("the proof holds a line that is not base64") from None
    if base64.b64encode(content).decode() != text:
        raise ProofFormError("the proof holds base64 that is not canonical")
    return content
