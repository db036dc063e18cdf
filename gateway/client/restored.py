"""A log that was put back from a backup: when a client follows it, and what it then does.

A log that is shorter than what was signed, or another, is an alarm, unless a statement of restore
(`tlog.restored`) explains it. It is asked for only where the log contradicts what is held here:

1. a key of the log signed it that we trust, and two officers of our province for one backup, with
   certificates under our root that were valid then
2. it was not followed before, is newer than all that were, and the officers signed less than a day
   before we kept our newest checkpoint, or later: what they once signed serves no second time
3. the log as it is now continues the kept part, and every checkpoint of ours up to that size, those
   of our receipts too
4. then all that we held lies in `PROFILE/restores/` beside the statement, receipts past the kept
   part are taken out, their batches go back to the spool, a witness that vouched for more is put
   away, and the user is told

Anything else is the alarm, and nothing is sent. In `PROFILE/restores/`: `1` the statement,
`1.checkpoint`, `1.checkpoints-unproven`, `1.witness/` what we held before.
"""

import contextlib
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from gateway.client import alarm, resending
from gateway.client.checkpoints import UNPROVEN, Checkpoints, Fetch, LogError
from gateway.client.files import make_private, write_private
from gateway.client.profile import Profile
from gateway.client.witness import FOLDER as WITNESS
from gateway.client.witness import Witness
from gateway.clock import US_PER_S
from gateway.config import log_keys
from gateway.errors import Reason, Refusal
from gateway.tlog import restored
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import MerkleError, verify_consistency
from gateway.tlog.note import NoteError
from gateway.tlog.restored import VALID_S, Anchor, Restored

FOLDER = "restores"
# Of the checkpoints in our receipts so many, drawn by lot, and the newest are proven.
DRAWN = 8
_NS_PER_US = 1000


@dataclass(frozen=True, slots=True)
class Followed:
    """A restore that was followed: how many entries were kept, what is to be sent again.

    `batches` go again by themselves; of `missing` the bytes are not held here any more.
    """

    statement: Restored
    size_before: int
    batches: int
    missing: int


class Restores:
    """The statements of restore that one profile has seen."""

    def __init__(self, profile: Profile, checkpoints: Checkpoints) -> None:
        """Take up what the profile followed before."""
        self._profile, self._checkpoints = profile, checkpoints
        self._folder = profile.folder / FOLDER

    def fresh(self, statements: Sequence[str]) -> list[str]:
        """Return those that were not seen before; what is no note is one of them."""
        seen = {_digest(each) for each in log_keys.read(self._folder)}
        return [each for each in statements if _digest(each) not in seen]

    async def follow(self, note: str, statements: Sequence[str], fetch: Fetch) -> Followed | None:
        """Follow the log of a signed checkpoint by its statements, where that is needed.

        Raises LogError (RESTORE_…, or the code of a note) once the alarm is raised, and whatever
        `fetch` raises.
        """
        fresh = self.fresh(statements)
        if not fresh:
            return None
        newest = self._open(note)
        if await self._continued(newest, fetch):
            self._remember(fresh)
            return None
        try:
            found = [self._judged(each) for each in fresh]
            cut = min(found, key=lambda each: each.size)
            await self._require_ours(cut, newest, fetch)
        except NoteError as error:
            where = alarm.raise_over(self._profile, self._checkpoints.kept_note, note)
            raise LogError(error.code, f"{error}: {where}") from error
        return self._take(cut, note, fresh)

    def _open(self, note: str) -> Checkpoint:
        try:
            return self._checkpoints.keys.open(note)
        except NoteError as error:
            raise LogError(error.code, str(error)) from error

    async def _continued(self, newest: Checkpoint, fetch: Fetch) -> bool:
        """Return whether the log continues all that is held here: then nothing was lost to us."""
        for own in self._checkpoints.known():
            if not await _one_log(own, newest, fetch):
                return False
        return True

    def _remember(self, fresh: list[str]) -> None:
        """Keep statements that are good and not needed, so that they serve nobody later."""
        for raw in fresh:
            with contextlib.suppress(NoteError):
                self._read(raw)
                write_private(log_keys.following(make_private(self._folder)), raw.encode())

    def _read(self, raw: str) -> Restored:
        """1: return the statement of a note; raises NoteError."""
        found = restored.read(raw, self._checkpoints.keys)
        remote = self._profile.remote
        root = x509.load_pem_x509_certificate(self._profile.root.read_bytes())
        found.require_officers(Anchor(root, remote.trust_domain, remote.organisation))
        return found

    def _judged(self, raw: str) -> Restored:
        """1, 2: return the statement of a note that may be followed now; raises NoteError."""
        found = self._read(raw)
        keys = self._checkpoints.keys
        before = [restored.read(each, keys) for each in log_keys.read(self._folder)]
        if any(each.restored_us >= found.restored_us for each in before):
            raise NoteError("RESTORE_REPLAYED", "a restore was followed that is no older")
        files = [self._profile.checkpoint, self._profile.checkpoint.with_name(UNPROVEN)]
        seen_us = max((_changed_us(each) for each in files if each.exists()), default=0)
        if found.signed_us + VALID_S * US_PER_S < seen_us:
            raise NoteError("RESTORE_REPLAYED", "the log was longer after the officers signed")
        return found

    async def _require_ours(self, cut: Restored, newest: Checkpoint, fetch: Fetch) -> None:
        """3: pass a log that has the kept part, and in it what we saw; raises NoteError."""
        kept = Checkpoint(cut.origin, cut.size, cut.root)
        if cut.size >= newest.size or not await _one_log(kept, newest, fetch):
            raise NoteError(
                "RESTORE_SIZE", f"the log does not continue the {cut.size} kept entries"
            )
        seen = {each.size: each for each in self._seen() if each.size <= cut.size}
        drawn = secrets.SystemRandom().sample(sorted(seen), min(DRAWN, len(seen)))
        for size in {*drawn, *sorted(seen)[-1:]}:
            if not await _one_log(seen[size], newest, fetch):
                raise NoteError("RESTORE_CONTRARY", f"what we saw of {size} entries was not kept")

    def _seen(self) -> list[Checkpoint]:
        """Return our own checkpoints, those of our receipts too."""
        notes = resending.checkpoints(self._profile)
        return [*self._checkpoints.known(), *map(self._open, notes)]

    def _take(self, cut: Restored, note: str, fresh: list[str]) -> Followed:
        """4: put away what is no more of this log; the statement last, so that nothing is half."""
        number = log_keys.following(make_private(self._folder)).name
        size_before = max(each.size for each in self._checkpoints.known())
        for name in (self._profile.checkpoint.name, UNPROVEN):
            held, away = self._profile.folder / name, self._folder / f"{number}.{name}"
            if held.exists() and not away.exists():
                write_private(away, held.read_bytes())
        batches, missing = resending.take_back(self._profile, cut.size)
        witness = Witness.of(self._profile)
        last = None if witness is None else witness.cosigned(self._checkpoints.keys)
        if last is not None and last.size > cut.size:
            # What it vouched for no statement takes back: another key vouches from now on.
            shutil.move(self._profile.folder / WITNESS, self._folder / f"{number}.{WITNESS}")
        self._checkpoints.begin_anew(note)
        for raw in fresh:
            write_private(log_keys.following(self._folder), raw.encode())
        return Followed(cut, size_before, batches, missing)


async def _one_log(one: Checkpoint, other: Checkpoint, fetch: Fetch) -> bool:
    """Return whether the smaller is proven to be a prefix of the larger, which may be withheld."""
    older, newer = sorted((one, other), key=lambda each: each.size)
    try:
        hashes = await fetch(older.size, newer.size) if 0 < older.size < newer.size else ()
        verify_consistency(older.size, newer.size, hashes, older.root, newer.root)
    except MerkleError:
        return False
    except Refusal as refusal:
        if refusal.reason is not Reason.FIELD_INVALID:
            raise
        return False  # the log is shorter than that
    return True


def _digest(raw: str) -> str:
    try:
        return restored.digest(raw)
    except NoteError:
        return ""


def _changed_us(path: Path) -> int:
    return path.stat().st_mtime_ns // _NS_PER_US
