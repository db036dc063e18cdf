"""The side parts of an exported log: each is whole, or destroyed by a leaf that says so.

    sealed/DIGEST     salt and ciphertext of the part whose SHA-256 its leaf names; never a key

What a leaf names and what is not there is a failure, unless a later leaf `audit.shred` names leaf
and digest both. Nothing is opened: that takes the gateway's own key.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit.failures import Failure
from gateway.tlog.side_parts import DIGEST, Naming, path_of


@dataclass(slots=True)
class Beside(Naming):
    """Takes the leaves in order; `judge` then compares them with the folder.

    `whole` are the leaves whose part is there, `shredded` those whose part is gone, each with the
    leaf that tells so.
    """

    whole: list[int] = field(default_factory=list)
    shredded: dict[int, int] = field(default_factory=dict)

    def judge(self, folder: Path, minimum: int, failures: list[Failure]) -> None:
        """Compare with the folder; entries before `minimum` may be missing."""
        for by, target, digest in self.shreds:
            if isinstance(target, int) and target < by and self._fits(target, digest, minimum):
                self.shredded[target] = by
            else:
                text = "the leaf tells of a part destroyed that no leaf before it names"
                failures.append(Failure("SHRED_STRANGE", f"entry {by}", text))
        for index, digest in self.named.items():
            self._one(folder, index, digest, failures)

    def _fits(self, target: int, digest: object, minimum: int) -> bool:
        """Return whether a leaf has this part, as far as it is here."""
        if target < minimum and target not in self.named:
            return True
        return self.named.get(target) == digest

    def _one(self, folder: Path, index: int, digest: str, failures: list[Failure]) -> None:
        where, by = f"entry {index}", self.shredded.get(index)
        # Whatever else a leaf says is no file's name.
        path = folder / path_of(digest) if DIGEST.fullmatch(digest) else None
        content = path.read_bytes() if path is not None and path.is_file() else None
        if by is not None:
            if content is not None:
                text = f"entry {by} says that it was destroyed"
                failures.append(Failure("SEALED_KEPT", where, text))
        elif content is None:
            failures.append(Failure("SEALED_MISSING", where, "no leaf says that it was destroyed"))
        elif hashlib.sha256(content).hexdigest() != digest:
            failures.append(Failure("SEALED_DIFFERS", where, "it is not the one the leaf names"))
        else:
            self.whole.append(index)
