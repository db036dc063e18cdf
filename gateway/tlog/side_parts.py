"""Which side parts the leaves of a log name, and which of these a later leaf says were destroyed.

A part lies beside the log under the SHA-256 that its leaf names; a leaf `audit.shred` with the
other leaf's index and the digest, both, tells of its end.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.tlog import leaf
from gateway.tlog.leaf import LeafError

SEALED_FOLDER = "sealed"
SHRED_KIND = "audit.shred"
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WORDS = (b'"sealed":"', f'"{SHRED_KIND}"'.encode())


def path_of(digest: str) -> str:
    """Return where a part lies below the log's prefix."""
    return f"{SEALED_FOLDER}/{digest}"


@dataclass(slots=True)
class Naming:
    """Takes the leaves in order, and remembers the digest that each names."""

    named: dict[int, str] = field(default_factory=dict)
    # What each leaf says of what was destroyed: its own index, the other's, the digest.
    shreds: list[tuple[int, object, object]] = field(default_factory=list)

    def read(self, index: int, document: Mapping[str, object]) -> None:
        """Take the next leaf."""
        digest = document.get("sealed")
        if digest is not None:
            self.named[index] = str(digest)
        detail = document.get("detail")
        if document.get("kind") == SHRED_KIND and document.get("decision") == "allow":
            said = detail if isinstance(detail, Mapping) else {}
            target = said.get("part_index"), said.get("part_sha256")
            self.shreds.append((index, *target))

    def take(self, index: int, entry: bytes) -> None:
        """Take the next entry; one that is no leaf is the verifier's matter."""
        if any(word in entry for word in _WORDS):
            with contextlib.suppress(LeafError):
                self.read(index, leaf.parse(entry))

    def destroyed(self) -> set[str]:
        """Return the digests whose end a later leaf tells."""
        return {
            str(digest)
            for by, target, digest in self.shreds
            if isinstance(target, int) and target < by and self.named.get(target) == digest
        }

    def digests(self) -> set[str]:
        """Return what leaves name, as far as it is the name of a part."""
        return {one for one in self.named.values() if DIGEST.fullmatch(one)}
