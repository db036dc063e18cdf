"""Two signed checkpoints of one log that cannot both be true, in one file that proves it alone.

    fork        one size, two roots: both signatures are the proof
    rewritten   two sizes, and a path under the newer root that leads to another root of the older
                size than was signed: what the newer log says of its own past
    unproven    two sizes, and no path that shows it: what was answered when one was asked for

The file is JSON: the keys that vouch, both notes, the hashes that were answered. Nobody who reads
it needs the gateway; whose key it is that vouches must be known from elsewhere.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Literal

from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import HASH_LENGTH, MerkleError, grown_roots, verify_consistency
from gateway.tlog.note import NoteError, Verifier, parse_vkey

FORMAT = "gateway/contradiction/v1"
Finding = Literal["fork", "rewritten", "unproven", "none"]
_FIELDS = {"format", "key", "successions", "older", "newer", "hashes"}


class ContradictionError(ValueError):
    """The text is no such file, or its notes are not this log's; `code` is one word per cause."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A key of the log, the notes by which others followed it, two signed notes, and a path.

    `hashes` are what was answered to "prove that the older is a prefix of the newer".
    """

    key: str
    successions: tuple[str, ...]
    older: str
    newer: str
    hashes: tuple[bytes, ...] = ()

    def text(self) -> str:
        """Return the file's text."""
        document = {
            "format": FORMAT,
            "key": self.key,
            "successions": list(self.successions),
            "older": self.older,
            "newer": self.newer,
            "hashes": [base64.b64encode(each).decode() for each in self.hashes],
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def judge(self, trusted: Verifier | None = None) -> tuple[Finding, Checkpoint, Checkpoint]:
        """Return what the file shows, and both checkpoints, the smaller first.

        Raises ContradictionError: KEY_OTHER where `trusted` is not among its keys, else the code of
        what is wrong with a key or note.
        """
        try:
            keys = LogKeys.of(parse_vkey(self.key), self.successions)
            if trusted is not None and trusted not in keys.verifiers:
                raise ContradictionError("KEY_OTHER", "the file is of another key than is trusted")
            one, other = keys.open(self.older), keys.open(self.newer)
        except NoteError as error:
            raise ContradictionError(error.code, str(error)) from error
        older, newer = sorted((one, other), key=lambda each: each.size)
        return _finding(older, newer, self.hashes), older, newer


def parse(text: str) -> Contradiction:
    """Return the contradiction of a file's text; raises ContradictionError with FILE_FORM."""
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.keys() != _FIELDS:
            raise ValueError("other fields")
        if document["format"] != FORMAT:
            raise ValueError("another format")
        texts = [document["key"], document["older"], document["newer"], *document["successions"]]
        if not all(isinstance(each, str) for each in texts):
            raise ValueError("no text")
        hashes = tuple(base64.b64decode(each, validate=True) for each in document["hashes"])
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise ContradictionError("FILE_FORM", "not a file of two checkpoints") from error
    if any(len(each) != HASH_LENGTH for each in hashes):
        raise ContradictionError("FILE_FORM", "a hash is not 32 bytes long")
    key, older, newer, *successions = texts
    return Contradiction(key, tuple(successions), older, newer, hashes)


def _finding(older: Checkpoint, newer: Checkpoint, hashes: tuple[bytes, ...]) -> Finding:
    if older.size == newer.size:
        return "none" if older.root == newer.root else "fork"
    try:
        verify_consistency(older.size, newer.size, hashes, older.root, newer.root)
    except MerkleError:
        return "rewritten" if _shows_another_past(older, newer, hashes) else "unproven"
    return "none"


def _shows_another_past(older: Checkpoint, newer: Checkpoint, hashes: tuple[bytes, ...]) -> bool:
    """Return whether the path proves, under the newer root, another root of the older size.

    Where the older size is a power of two the older root itself begins the path: no path under the
    newer root names another.
    """
    if not older.size or not older.size & (older.size - 1):
        return False
    try:
        before, after = grown_roots(older.size, newer.size, hashes)
    except MerkleError:
        return False
    return after == newer.root and before != older.root
