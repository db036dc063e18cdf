"""What the signer signed: its own state, on disk before a checkpoint leaves, and never rolled back.

State lost while the log has entries is an incident: the signer stays up and refuses. Only `create`,
which `gateway init` calls, makes a state, and `resume`, at the word of two officers.
"""

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gateway import log
from gateway.config import folders
from gateway.config.folders import replace_private
from gateway.config.home import Home
from gateway.signer import keys as signing
from gateway.signer.keys import KeysError, SigningKeys
from gateway.tlog import checkpoint, note
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.growth import Claim, Growth, Verdict
from gateway.tlog.merkle import EMPTY_ROOT

STATE_FILE = "state"
# The state file holds two states of fixed length, written in turn: one fdatasync a signature, a
# quarter of what replacing a file takes, and a torn write spoils only what never left.
SLOT_BYTES = 8192
SLOTS = 2
Answer = Mapping[str, object]
_LOG = log.get("signer")


class StateError(Exception):
    """The signer's state is missing or not what its keys signed; nothing is signed."""


class Memory:
    """What the signer signed: the log as it grew, and the newest checkpoint."""

    def __init__(self, home: Home, keys: SigningKeys, frontier: Frontier) -> None:
        """Remember `frontier`, whose checkpoint is signed anew; use `load` or `create`."""
        self._home = home
        self._path = home.secrets("signer") / STATE_FILE
        self.keys = keys
        self.growth = Growth(frontier)
        self.checkpoint = self._sign()
        self._slot = 0

    @classmethod
    def load(cls, home: Home) -> "Memory":
        """Read keys and state: the newer of the two that are whole and signed by a key here.

        Raises StateError when there is none, KeysError, OSError when it cannot be stored again.
        """
        keys = signing.read(home)
        path = home.secrets("signer") / STATE_FILE
        states = _states(path)
        whole = [_opened(state, keys) for state in states]
        found = [(frontier.size, slot) for slot, frontier in enumerate(whole) if frontier]
        if not found:
            told = ", ".join(sorted({one for signed, _ in states for one in _signed_by(signed)}))
            raise StateError(
                f"{path} is missing, damaged, or not what the key here signed, but {told or None}"
            )
        _, slot = max(found)
        frontier = whole[slot]
        assert frontier is not None  # noqa: S101  as found
        signing.vouch(home, keys, frontier.size)
        memory = cls(home, keys, frontier)
        memory._slot = slot
        # What was read may never have reached the disk: nothing leaves before it has.
        memory.save()
        return memory

    def save(self) -> None:
        """Put the state on disk, durably; the one before stays beside it."""
        slot = (self._slot + 1) % SLOTS
        content = _slot_content(self.checkpoint, self.growth.frontier)
        descriptor = os.open(self._path, os.O_WRONLY)
        try:
            if os.pwrite(descriptor, content, slot * SLOT_BYTES) != SLOT_BYTES:
                raise OSError(errno.ENOSPC, "the state was written in part")
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._slot = slot

    def answer(self, requests: list[Claim]) -> list[Answer]:
        """Judge requests that wait together; at most one new checkpoint is stored, then handed out.

        Raises OSError when the state cannot be stored: nothing was signed then.
        """
        self.renew()
        before, newest = self.growth.frontier, self.checkpoint
        verdicts = [self.growth.judge(each) for each in requests]
        if self.growth.size > before.size:
            self.checkpoint = self._sign()
            try:
                self.save()
            except OSError:
                self.checkpoint = newest
                self.growth.undo(before)
                raise
        answers: dict[Verdict, Answer] = {
            "grown": {"checkpoint": self.checkpoint},
            "known": {"checkpoint": self.checkpoint},
            "elsewhere": {"have": self.growth.size},
            "inconsistent": {"refused": "inconsistent"},
        }
        return [answers[verdict] for verdict in verdicts]

    def renew(self) -> None:
        """Sign with other keys where the file has others; one that is no good changes nothing.

        Raises OSError when note or state cannot be stored: nothing is signed until they can.
        """
        mark = signing.mark_of(self._home)
        if mark == self.keys.mark:
            return
        before, newest = self.keys, self.checkpoint
        try:
            self.keys = self._others()
            self.checkpoint = self._sign()
            self.save()
        except KeysError as error:
            self.keys = replace(before, mark=mark)
            _LOG.error("other keys not taken", why=str(error))
        except OSError:
            self.keys, self.checkpoint = before, newest
            raise

    def _others(self) -> SigningKeys:
        """Return the keys in the file: of this log, one of them known here already."""
        found = signing.read(self._home)
        if found.origin != self.keys.origin or not {*self.keys.verifiers} & {*found.verifiers}:
            raise KeysError("none of the keys signed this log before")
        signing.vouch(self._home, found, self.growth.size)
        _LOG.info("keys changed", keys=[one.key_id.hex() for one in found.verifiers])
        return found

    def _sign(self) -> str:
        frontier = self.growth.frontier
        made = Checkpoint(self.keys.origin, frontier.size, frontier.root())
        return made.signed(*self.keys.signers)


def create(home: Home, origin: str) -> None:
    """Make the log's key, its public line and the state of an empty log.

    `gateway init` calls this once.
    """
    key = note.Signer(origin, secrets.token_bytes(note.KEY_LENGTH))
    folders.write_private(home.signing_keys, key.secret_line().encode(), "signer")
    first = _slot_content(Checkpoint(origin, 0, EMPTY_ROOT).signed(key), Frontier())
    folders.write_private(home.secrets("signer") / STATE_FILE, first * SLOTS, "signer")
    folders.write_public(home.log_key, f"{key.verifier}\n".encode())


def resume(home: Home, frontier: Frontier) -> bool:
    """Make the state anew in place of one that is lost; return whether it was.

    The signer finds it by itself. Raises KeysError, OSError.
    """
    with contextlib.suppress(StateError):
        Memory.load(home)
        return False
    keys = signing.read(home)
    signed = Checkpoint(keys.origin, frontier.size, frontier.root()).signed(*keys.signers)
    content = _slot_content(signed, frontier) * SLOTS
    replace_private(home.secrets("signer") / STATE_FILE, content, "signer")
    return True


def stored_checkpoint(home: Home) -> str | None:
    """Return the newest checkpoint in the signer's state, for the host's own tools; None without.

    Nothing is verified: who reads it has the log's key.
    """
    found: list[tuple[int, str]] = []
    for signed, _ in _states(home.secrets("signer") / STATE_FILE):
        with contextlib.suppress(note.NoteError):
            found.append((checkpoint.parse(note.split(signed)[0]).size, signed))
    return max(found)[1] if found else None


def _states(path: Path) -> list[tuple[str, list[str]]]:
    """Return checkpoint and frontier of each slot; an unreadable one is empty."""
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    states: list[tuple[str, list[str]]] = []
    for place in range(0, SLOTS * SLOT_BYTES, SLOT_BYTES):
        try:
            document = json.loads(content[place : place + SLOT_BYTES])
            states.append((str(document["checkpoint"]), list(map(str, document["frontier"]))))
        except (ValueError, KeyError, TypeError):
            states.append(("", []))
    return states


def _opened(state: tuple[str, Sequence[str]], keys: SigningKeys) -> Frontier | None:
    """Return the frontier of a state when it is whole and signed by one of these keys."""
    signed, subtrees = state
    try:
        known = checkpoint.open_checkpoint(signed, keys.verifiers, keys.origin)
        frontier = Frontier(known.size, [bytes.fromhex(each) for each in subtrees])
    except ValueError:  # NoteError, MerkleError and what is not hexadecimal
        return None
    return frontier if frontier.root() == known.root else None


def _signed_by(signed: str) -> list[str]:
    """Return the ids of the keys that a state names as its own."""
    try:
        return [line.key_id.hex() for line in note.split(signed)[1]]
    except note.NoteError:
        return []


def _slot_content(signed: str, frontier: Frontier) -> bytes:
    document = {"checkpoint": signed, "frontier": [each.hex() for each in frontier.hashes]}
    return json.dumps(document).encode().ljust(SLOT_BYTES)
