"""A profile's witness: its keys, and what it cosigned last, on disk before it signs.

    PROFILE/witness/key     skey lines, Ed25519 and ML-DSA-44, made here and never sent
    PROFILE/witness/state   the checkpoint that was cosigned last (signed note), since when, and
                            when the large signature was given last; JSON

1. Nothing is cosigned but what continues the checkpoint before (`tlog.witness`).
2. The state is durable before a line leaves: whatever dies, no two heads that contradict each other
   are ever cosigned. One process at a time (`flock`).
3. A state that is gone while the key is there is not begun anew by itself: the witness would vouch
   for a log that it vouched against. A person makes a new key.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.client.checkpoints import LogError
from gateway.client.files import make_private, write_private
from gateway.client.profile import Profile
from gateway.tlog import witness as rules
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.cosignature import (
    ED25519,
    ML_DSA_44,
    SEED_LENGTH,
    Cosigner,
    WitnessKey,
    parse_skey,
)
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import NoteError
from gateway.tlog.witness import AddCheckpoint, WitnessError

FOLDER = "witness"
# A log makes an entry for every call and every ten idle seconds: one that stands longer is not the
# whole log. Longer than a restart of the gateway and of its database.
STANDS_S = 900
# The large signature (2,420 bytes) is for the day when Ed25519 falls: once an hour does.
_LARGE_EVERY_S = 3600


@dataclass(frozen=True, slots=True)
class State:
    """What was cosigned last: the note ("": nothing), since when, and when with the large key."""

    note: str = ""
    since_s: int = 0
    large_s: int = 0


class Witness:
    """The witness of a profile; `create` makes its keys, `of` takes them up."""

    def __init__(self, folder: Path, cosigners: tuple[Cosigner, ...]) -> None:
        """Use `create` or `of`."""
        self._folder, self._cosigners = folder, cosigners

    @classmethod
    def create(cls, profile: Profile) -> "Witness":
        """Make a witness's keys and an empty state; raises LogError where there are keys."""
        folder = make_private(profile.folder / FOLDER)
        if (folder / "key").exists():
            raise LogError("WITNESS_EXISTS", f"{folder / 'key'}: there is a witness already")
        remote = profile.remote
        name = f"{remote.trust_domain}/witness/{remote.organisation}/{remote.account}"
        cosigners = tuple(
            Cosigner(name, kind, secrets.token_bytes(SEED_LENGTH)) for kind in (ED25519, ML_DSA_44)
        )
        made = cls(folder, cosigners)
        made._save(State())
        lines = "".join(f"{one.secret_line()}\n" for one in cosigners)
        write_private(folder / "key", lines.encode())
        return made

    @classmethod
    def of(cls, profile: Profile) -> "Witness | None":
        """Return the profile's witness, None where it has none; raises LogError on other files."""
        folder = profile.folder / FOLDER
        try:
            lines = (folder / "key").read_text(encoding="utf-8").split()
            return cls(folder, tuple(parse_skey(line) for line in lines))
        except FileNotFoundError:
            return None
        except (NoteError, UnicodeDecodeError) as error:
            raise LogError("WITNESS_STATE", f"{folder / 'key'}: not a witness's keys") from error

    @property
    def keys(self) -> list[WitnessKey]:
        """Its public keys, to be registered with the province."""
        return [one.key for one in self._cosigners]

    def state(self) -> State:
        """Return what was cosigned last; raises LogError where the file is gone or damaged."""
        path = self._folder / "state"
        try:
            document = json.loads(path.read_bytes())
            found = State(**document)
            if not all(type(getattr(found, name)) is kind for name, kind in _TYPES.items()):
                raise ValueError("other types")
        except (OSError, ValueError, TypeError) as error:
            text = f"{path}: gone or damaged; make a new witness, do not begin this one anew"
            raise LogError("WITNESS_STATE", text) from error
        return found

    def cosigned(self, keys: LogKeys) -> Checkpoint | None:
        """Return the checkpoint that was cosigned last; raises LogError as `state`."""
        note = self.state().note
        if not note:
            return None
        try:
            return keys.open(note)
        except NoteError as error:
            raise LogError("WITNESS_STATE", f"the checkpoint kept: {error}") from error

    def answer(self, request: AddCheckpoint, keys: LogKeys, now_s: int) -> list[str]:
        """Return cosignature lines over what a log asks for, once it may have them.

        Raises LogError: a code of `tlog.witness.REFUSALS`, LOG_STANDS, WITNESS_STATE.
        """
        with self._alone():
            state = self.state()
            try:
                found = rules.judge(request, keys, self.cosigned(keys))
            except WitnessError as error:
                raise LogError(error.code, str(error)) from error
            grown = not state.note or keys.open(state.note).size < found.size
            since_s = now_s if grown else state.since_s
            if now_s - since_s > STANDS_S:
                text = f"{found.size} entries since {now_s - since_s} s: newer ones are withheld"
                raise LogError("LOG_STANDS", text)
            large = now_s - state.large_s >= _LARGE_EVERY_S
            signing = [one for one in self._cosigners if large or one.key.kind == ED25519]
            kept = request.checkpoint if grown else state.note
            self._save(State(kept, since_s, now_s if large else state.large_s))
            return [one.line(found.text(), now_s) for one in signing]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the witness for this process: what it compares with nobody else replaces."""
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _save(self, state: State) -> None:
        document = {name: getattr(state, name) for name in _TYPES}
        write_private(self._folder / "state", json.dumps(document).encode())


_TYPES = {"note": str, "since_s": int, "large_s": int}
