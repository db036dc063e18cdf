"""The client as a witness: which checkpoints it saw, and that all belong to one log.

1. A checkpoint counts only with the log's origin and the signature of a key that proves its size:
   the profile's, or one that followed it by notes that both signed (`follow`), kept in `log-keys/`.
2. Two checkpoints of one size with different roots are a fork: nothing is believed after that, and
   both are kept as a proof (`alarm`), while which lies there nothing goes on.
3. Now and then, and at the end of an upload, the newest checkpoint is proven to continue the one
   kept before, and a few of those in between, drawn by lot, to be of the same tree: a gateway that
   showed another log even once is found out with a chance that it cannot foresee.
4. What could not be proven, because nobody answered, is kept and proven the next time.
"""

import base64
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gateway.client import alarm
from gateway.client.files import make_private, write_private
from gateway.client.profile import Profile
from gateway.config import log_keys
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys, Succession, read_succession
from gateway.tlog.merkle import MerkleError, verify_consistency
from gateway.tlog.note import NoteError, parse_vkey

# Fetches the hashes that prove size `old` to be a prefix of size `new`.
Fetch = Callable[[int, int], Awaitable[Sequence[bytes]]]

# How many of the checkpoints between the kept and the newest are proven each time.
DRAWN = 3
# Signed notes whose signature is known to be good; one serves every receipt of its commit group.
_REMEMBERED = 256
_UNPROVEN_MAX = 64
_NOTE_BREAK = b"\x00"
# No key that is trusted here signed: one may have followed ours, and can be asked for.
KEY_UNKNOWN = "SIGNATURE_MISSING"
UNPROVEN = "checkpoints-unproven"


class LogError(Exception):
    """The log is not what it must be; `code` is one word per cause. Stop, and tell the province."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; the message is for people."""
        super().__init__(message)
        self.code = code


class Checkpoints:
    """The checkpoints of one log as one profile has seen them."""

    def __init__(self, profile: Profile) -> None:
        """Take up what the profile kept; raises LogError when its files were tampered with."""
        self._profile = profile
        if (proof := alarm.standing(profile)) is not None:
            raise LogError("LOG_CONTRADICTED", f"{proof}: the log contradicted itself")
        self._followed = profile.folder / log_keys.FOLDER
        self.keys = _keys(profile.remote.log_key, log_keys.read(self._followed))
        # The successions that were followed since, for the user to be told of.
        self.news: list[Succession] = []
        self._kept_file = profile.checkpoint
        self._unproven_file = profile.checkpoint.with_name(UNPROVEN)
        self._opened: OrderedDict[str, Checkpoint] = OrderedDict()
        self._roots: dict[int, bytes] = {}
        self._unproven: dict[int, str] = {}
        self.kept: Checkpoint | None = None
        self.kept_note = ""
        for note in _notes(self._kept_file):
            self.kept, self.kept_note = self._open(note), note
            self._roots[self.kept.size] = self.kept.root
        for note in _notes(self._unproven_file):
            self.see(note)

    def see(self, note: str) -> Checkpoint:
        """Return the checkpoint of a signed note once its signature is good; raises LogError."""
        known = self._opened.get(note)
        if known is not None:
            self._opened.move_to_end(note)
            return known
        found = self._open(note)
        if self._roots.setdefault(found.size, found.root) != found.root:
            where = alarm.raise_over(self._profile, self._note_of(found.size), note)
            text = f"two signed checkpoints of size {found.size} differ: {where}"
            raise LogError("LOG_FORKED", text)
        if self.kept is None or found.size != self.kept.size:
            self._unproven.setdefault(found.size, note)
        self._opened[note] = found
        if len(self._opened) > _REMEMBERED:
            self._opened.popitem(last=False)
        return found

    def follow(self, notes: Sequence[str]) -> None:
        """Trust the keys that followed ours, or that ours followed, by these notes, from now on.

        Each is kept in the profile before it counts. Raises LogError: nothing is taken then.
        """
        try:
            keys = self.keys.followed(notes)
            fresh = {raw: read_succession(raw, keys.origin) for raw in notes}
            fresh = {raw: one for raw, one in fresh.items() if not self.keys.knows(one)}
        except NoteError as error:
            raise LogError(error.code, str(error)) from error
        for raw in fresh:
            make_private(self._followed)
            write_private(log_keys.following(self._followed), raw.encode())
        if fresh:
            self.keys = keys
            self.news += fresh.values()
            # What the old key signed alone is judged anew: it may be beyond its range.
            self._opened.clear()

    def contradicts(self, note: str) -> bool:
        """Return whether another root is known for a note's size; raises LogError as `see`."""
        found = self._open(note)
        return self._roots.get(found.size, found.root) != found.root

    def known(self) -> list[Checkpoint]:
        """Return every checkpoint that is held here, the kept one and those not proven yet."""
        unproven = [self._open(note) for note in self._unproven.values()]
        return unproven if self.kept is None else [self.kept, *unproven]

    def begin_anew(self, note: str) -> None:
        """Keep this one in the place of all others: the log was restored (`client.restored`)."""
        found = self._open(note)
        write_private(self._kept_file, note.encode())
        self._unproven_file.unlink(missing_ok=True)
        self.kept, self.kept_note = found, note
        self._roots, self._unproven = {found.size: found.root}, {}
        self._opened.clear()

    def _note_of(self, size: int) -> str:
        """Return the note whose root is known for a size."""
        return self._unproven.get(size, self.kept_note)

    @property
    def unproven(self) -> int:
        """How many checkpoints wait to be proven."""
        return len(self._unproven)

    async def settle(self, fetch: Fetch) -> Checkpoint | None:
        """Prove what waits and keep the newest; raises LogError, or whatever `fetch` raises."""
        waiting = dict(self._unproven)
        if not waiting:
            return self.kept
        try:
            newest = await self._prove(waiting, fetch)
        except BaseException:
            self.save()
            raise
        for size in waiting:
            self._unproven.pop(size, None)
        self._roots = {s: r for s, r in self._roots.items() if s in self._unproven}
        self._roots[newest.size] = newest.root
        self.save()
        return self.kept

    async def _prove(self, waiting: dict[int, str], fetch: Fetch) -> Checkpoint:
        notes = [self.see(note) for note in waiting.values()]
        everything = notes if self.kept is None else [*notes, self.kept]
        newest = max(everything, key=lambda each: each.size)
        drawn = secrets.SystemRandom().sample(notes, min(DRAWN, len(notes)))
        if self.kept is not None:
            drawn.insert(0, self.kept)
        for older in {each.size: each for each in drawn}.values():
            if older.size != newest.size:
                await self.prove(older, self._note_of(newest.size), fetch)
        if newest.size in waiting:
            write_private(self._kept_file, waiting[newest.size].encode())
            self.kept, self.kept_note = newest, waiting[newest.size]
        return newest

    async def prove(self, known: Checkpoint, note: str, fetch: Fetch) -> None:
        """Prove that a known checkpoint and that of a note are of one log; raises LogError."""
        older, newer = sorted((known, self._open(note)), key=lambda each: each.size)
        hashes = await fetch(older.size, newer.size) if older.size != newer.size else ()
        try:
            verify_consistency(older.size, newer.size, hashes, older.root, newer.root)
        except MerkleError as error:
            proof = alarm.raise_over(self._profile, self._note_of(known.size), note, hashes)
            where = f"size {older.size} ({_root(older)}) and size {newer.size} ({_root(newer)})"
            text = f"{where} are not of one log: {error}: {proof}"
            raise LogError("LOG_INCONSISTENT", text) from error

    def _open(self, note: str) -> Checkpoint:
        try:
            return self.keys.open(note)
        except NoteError as error:
            raise LogError(error.code, str(error)) from error

    def save(self) -> None:
        """Write down what is not proven yet, the newest of it, for the next time."""
        newest = sorted(self._unproven)[-_UNPROVEN_MAX:]
        if newest or self._unproven_file.exists():
            notes = [self._unproven[size].encode() for size in newest]
            write_private(self._unproven_file, _NOTE_BREAK.join(notes))


def _root(checkpoint: Checkpoint) -> str:
    return base64.b64encode(checkpoint.root).decode()


def _keys(vkey: str, notes: Sequence[str]) -> LogKeys:
    try:
        return LogKeys.of(parse_vkey(vkey), notes)
    except NoteError as error:
        where = f"profile.toml: log_key, or {log_keys.FOLDER}"
        raise LogError(error.code, f"{where}: {error}") from error


def _notes(file: Path) -> list[str]:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    return [part.decode(errors="replace") for part in content.split(_NOTE_BREAK) if part]
