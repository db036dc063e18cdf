"""Does a claimed head continue the log as it was last seen? Pure; the signer's whole judgement.

    size above ours     from the hashes and our frontier follows the claimed root: grown
    size ours or below  the root we remember for it: known; another root: inconsistent
    anything else       not to be judged from here: elsewhere

Only `grown` changes anything. A log that was shortened or rewritten is never `grown`.
"""

import base64
import binascii
import hmac
import json
from dataclasses import dataclass
from typing import Literal

from gateway.tlog.frontier import Frontier
from gateway.tlog.merkle import HASH_LENGTH, SIZE_MAX

Verdict = Literal["grown", "known", "elsewhere", "inconsistent"]

# Roots that may still be asked for by a door whose commit was overtaken by another door's.
RECENT_ROOTS = 4096


@dataclass(frozen=True, slots=True)
class Claim:
    """A head: `size` and `root`, and the concatenated leaf hashes from `begin` on."""

    begin: int
    size: int
    root: bytes
    hashes: bytes


class Growth:
    """A log as it grows: its frontier and recent roots."""

    def __init__(self, frontier: Frontier) -> None:
        """Begin at this frontier."""
        self.frontier = frontier
        self._recent = {frontier.size: frontier.root()}

    @property
    def size(self) -> int:
        """How many entries the log has."""
        return self.frontier.size

    def judge(self, claim: Claim) -> Verdict:
        """Judge a claim, and take it when the log has grown to it."""
        if claim.size <= self.size:
            known = self._recent.get(claim.size)
            if known is None:
                return "elsewhere"
            return "known" if hmac.compare_digest(known, claim.root) else "inconsistent"
        if claim.begin > self.size:
            return "elsewhere"
        grown = self.frontier.copy()
        for place in range((self.size - claim.begin) * HASH_LENGTH, len(claim.hashes), HASH_LENGTH):
            grown.append(claim.hashes[place : place + HASH_LENGTH])
        if grown.size != claim.size or not hmac.compare_digest(grown.root(), claim.root):
            return "inconsistent"
        self.frontier = grown
        self._recent[grown.size] = claim.root
        while len(self._recent) > RECENT_ROOTS:
            del self._recent[next(iter(self._recent))]
        return "grown"

    def undo(self, frontier: Frontier) -> None:
        """Go back to an earlier frontier, because the growth since could not be kept."""
        self.frontier = frontier
        self._recent = {size: root for size, root in self._recent.items() if size <= frontier.size}


def read_claim(line: bytes) -> Claim | None:
    """Return the claim in a JSON line, None for "newest"; raises ValueError when it is neither."""
    document = json.loads(line)
    if document == {"newest": True}:
        return None
    if not isinstance(document, dict) or document.keys() != {"from", "size", "root", "hashes"}:
        raise ValueError("not a claim")
    begin, size = document["from"], document["size"]
    if type(begin) is not int or type(size) is not int or not 0 <= begin <= size <= SIZE_MAX:
        raise ValueError("not a range")
    try:
        root = bytes.fromhex(document["root"])
        hashes = base64.b64decode(document["hashes"], validate=True)
    except (TypeError, binascii.Error) as error:
        raise ValueError("not hashes") from error
    if len(root) != HASH_LENGTH or len(hashes) != (size - begin) * HASH_LENGTH:
        raise ValueError("not the hashes of the range")
    return Claim(begin, size, root, hashes)
