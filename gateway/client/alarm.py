"""A log that contradicts itself, as a profile found it: the proof is kept, and nothing goes on.

`PROFILE/contradiction.json` holds both signed checkpoints (`tlog.contradiction`). While it lies
there the client believes nothing and uploads nothing; a person takes it to the province, has it
judged (`gateway audit contradiction FILE`), and moves it away.
"""

from collections.abc import Sequence
from pathlib import Path

from gateway.client.files import write_private
from gateway.client.profile import Profile
from gateway.config import log_keys
from gateway.tlog.contradiction import Contradiction

FILE = "contradiction.json"


def standing(profile: Profile) -> Path | None:
    """Return the proof that lies in a profile, None where there is none."""
    path = profile.folder / FILE
    return path if path.exists() else None


def raise_over(profile: Profile, older: str, newer: str, hashes: Sequence[bytes] = ()) -> Path:
    """Keep two signed notes that contradict one another, and what was answered; the first stays."""
    path = profile.folder / FILE
    if not path.exists():
        notes = tuple(log_keys.read(profile.folder / log_keys.FOLDER))
        found = Contradiction(profile.remote.log_key, notes, older, newer, tuple(hashes))
        write_private(path, found.text().encode())
    return path
