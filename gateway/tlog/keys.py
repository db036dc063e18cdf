"""Which keys sign a log, each for which sizes: a list that grows by notes signed by both keys.

A succession is a C2SP signed note of these lines, signed by the key before and by the new one:

    gateway/log-key/v1
    <origin>
    old <vkey>
    new <vkey>
    from <size>

1. From `size` on the new key proves, up to it the old one: at that size both, beyond it the old key
   alone proves nothing to whoever knows the note. Checkpoints carry both lines for a while longer,
   for those who do not know it yet.
2. Whoever trusts one key of a chain follows it both ways: forward because the trusted key vouches
   for its successor, back because it says until when its predecessor proved.
3. A key is followed once, and none comes again: another successor is a fork, and refused.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gateway.tlog.checkpoint import Checkpoint, open_checkpoint
from gateway.tlog.merkle import SIZE_MAX
from gateway.tlog.note import NoteError, Signer, Verifier, open_note, parse_vkey, sign, split

HEADER = "gateway/log-key/v1"
_FORM = re.compile(
    rf"{HEADER}\n(\S+)\nold (\S+)\nnew (\S+)\nfrom (0|[1-9][0-9]{{0,18}})\n", re.ASCII
)
_MISSING = "SIGNATURE_MISSING"


@dataclass(frozen=True, slots=True)
class Succession:
    """One key follows another in the log that both are named after, from a size on."""

    old: Verifier
    new: Verifier
    from_size: int

    def text(self) -> str:
        """Return the note's text."""
        return f"{HEADER}\n{self.old.name}\nold {self.old}\nnew {self.new}\nfrom {self.from_size}\n"

    def signed(self, new: Signer, old: Signer) -> str:
        """Return the note that both keys signed."""
        return sign(self.text(), new, old)


@dataclass(frozen=True, slots=True)
class Ranged:
    """A key and the sizes that it proves, both included; `until_size` None: no key follows yet."""

    verifier: Verifier
    from_size: int = 0
    until_size: int | None = None

    @property
    def key_id(self) -> str:
        """The key's id in notes, hex."""
        return self.verifier.key_id.hex()

    def covers(self, size: int) -> bool:
        """Return whether the key proves a log of this size."""
        return self.from_size <= size and (self.until_size is None or size <= self.until_size)


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The keys of one log, the oldest first; each range ends where the next one begins."""

    ranges: tuple[Ranged, ...]

    @classmethod
    def of(cls, trusted: Verifier, notes: Iterable[str] = ()) -> "LogKeys":
        """Return the list of a key that is trusted and of what follows from it; as `followed`."""
        return cls((Ranged(trusted),)).followed(notes)

    @property
    def origin(self) -> str:
        """The log's origin: the name of all its keys."""
        return self.newest.name

    @property
    def newest(self) -> Verifier:
        """The key that signs now."""
        return self.ranges[-1].verifier

    @property
    def verifiers(self) -> list[Verifier]:
        """All keys, the oldest first."""
        return [one.verifier for one in self.ranges]

    def knows(self, succession: Succession) -> bool:
        """Return whether the list has this very succession; raises NoteError on another one."""
        keys, old, new = self.verifiers, succession.old, succession.new
        if (old, new) in pairwise(keys):
            if self.ranges[keys.index(new)].from_size == succession.from_size:
                return True
            raise NoteError("KEY_RANGE", "the key follows from another size than was known")
        if new in keys[1:] or old in keys[:-1]:
            raise NoteError("KEY_FORKED", "a key has two successors, or follows two keys")
        if old in keys and new in keys:
            raise NoteError("KEY_RANGE", "a key that was followed comes again")
        return False

    def followed(self, notes: Iterable[str]) -> "LogKeys":
        """Return the list with what these notes add, in whatever order they are.

        Raises NoteError: KEY_NOTE_FORM, KEY_NOTE_ORIGIN, KEY_NOTE_OLD, KEY_NOTE_NEW,
        SIGNATURE_INVALID on a note; KEY_RANGE, KEY_FORKED where it contradicts the list;
        KEY_NOTE_STRANGE where it is of no key of the list.
        """
        keys, waiting = self, [read_succession(each, self.origin) for each in notes]
        while waiting:
            rest = [one for one in waiting if not keys.knows(one)]
            link = next((one for one in rest if keys.joins(one)), None)
            if link is None:
                if rest:
                    raise NoteError("KEY_NOTE_STRANGE", "the note is of no key trusted here")
                return keys
            keys, waiting = keys.with_(link), rest
        return keys

    def joins(self, link: Succession) -> bool:
        """Return whether a succession goes on from this list, at its end or at its beginning."""
        return link.old == self.newest or link.new == self.ranges[0].verifier

    def with_(self, link: Succession) -> "LogKeys":
        """Return the list with a succession that joins it; raises NoteError with KEY_RANGE."""
        first, last = self.ranges[0], self.ranges[-1]
        size = link.from_size
        if link.old == last.verifier:
            ended = replace(last, until_size=size)
            ranges = (*self.ranges[:-1], ended, Ranged(link.new, size))
        else:
            ranges = (Ranged(link.old, 0, size), replace(first, from_size=size), *self.ranges[1:])
        if any(one.until_size is not None and one.until_size < one.from_size for one in ranges):
            raise NoteError("KEY_RANGE", "a key ends before it begins")
        return LogKeys(ranges)

    def open(self, raw: str) -> Checkpoint:
        """Return the checkpoint of a signed note when a key that proves its size signed it.

        A line of a known key that is false rejects the note, whatever the size. Raises NoteError:
        KEY_ENDED or KEY_EARLY where only keys signed that do not prove this size.
        """
        found = open_checkpoint(raw, self.verifiers, self.origin)
        proving = [one.verifier for one in self.ranges if one.covers(found.size)]
        if len(proving) == len(self.ranges):
            return found
        try:
            open_note(raw, proving)
        except NoteError as error:
            if error.code != _MISSING:
                raise
            raise self._outside(raw, found.size) from error
        return found

    def _outside(self, raw: str, size: int) -> NoteError:
        """Return the error of a note that only keys signed which do not prove its size."""
        signed = [one for one in self.ranges if signs(raw, one.verifier)]
        if any(size < one.from_size for one in signed):
            return NoteError("KEY_EARLY", f"the key signs from a larger size than {size} on")
        return NoteError("KEY_ENDED", f"the key was followed by another before size {size}")


def signs(raw: str, verifier: Verifier) -> bool:
    """Return whether a note carries a line of this key; nothing is verified."""
    _, lines = split(raw)
    return (verifier.name, verifier.key_id) in {(one.name, one.key_id) for one in lines}


def read_succession(raw: str, origin: str) -> Succession:
    """Return the succession of a note that both its keys signed; raises NoteError."""
    match = _FORM.fullmatch(split(raw)[0])
    if match is None or int(match[4]) > SIZE_MAX:
        raise NoteError("KEY_NOTE_FORM", "not a note by which one key follows another")
    try:
        found = Succession(parse_vkey(match[2]), parse_vkey(match[3]), int(match[4]))
    except NoteError as error:
        raise NoteError("KEY_NOTE_FORM", str(error)) from error
    if {match[1], found.old.name, found.new.name} != {origin}:
        raise NoteError("KEY_NOTE_ORIGIN", f"the note is of the log {match[1]!r}")
    for key, code in ((found.old, "KEY_NOTE_OLD"), (found.new, "KEY_NOTE_NEW")):
        if not signs(raw, key):
            raise NoteError(code, "one of the two keys did not sign")
        open_note(raw, [key])
    return found


def told(keys: Sequence[Ranged]) -> list[dict[str, object]]:
    """Return a list of keys as documents show it."""
    return [
        {"key": str(one.verifier), "from_size": one.from_size, "until_size": one.until_size}
        for one in keys
    ]
