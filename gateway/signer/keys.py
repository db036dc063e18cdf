"""The signer's private keys: one, or two while one follows the other; the newest first.

Whoever runs the gateway puts a new key's line above the old one's, and later takes the old one
away (`identity.signer_rotation`); only the signer's user reads the file, and looks at it before it
signs. When it finds a second key it vouches for it first: a note that both keys sign (`tlog.keys`),
which says from which size on the new one proves. That size is the signer's own at that moment, so
the old key never signed a larger one alone.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.config import log_keys
from gateway.config.folders import replace_private
from gateway.config.home import Home
from gateway.tlog import note
from gateway.tlog.keys import Succession, read_succession

# One, and the one before it.
_MOST = 2
Mark = tuple[int, int, int]


class KeysError(Exception):
    """The signer's keys are not as they must be; the text never quotes one."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys that sign, the newest first, and by which file they were read."""

    signers: tuple[note.Signer, ...]
    mark: Mark

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self.signers[0].verifier.name

    @property
    def verifiers(self) -> list[note.Verifier]:
        """Their public halves, in the same order."""
        return [one.verifier for one in self.signers]


def read(home: Home) -> SigningKeys:
    """Return the keys in the file; raises KeysError, OSError.

    A key that another has followed, as a note of its own says, is refused: a backup was put back.
    """
    mark = mark_of(home)
    try:
        lines = home.signing_keys.read_text(encoding="utf-8").split()
        signers = tuple(note.parse_skey(each) for each in lines)
    except (note.NoteError, UnicodeDecodeError) as error:
        raise KeysError(f"{home.signing_keys}: not a list of signing keys") from error
    if not 1 <= len(signers) <= _MOST or len({one.verifier for one in signers}) < len(signers):
        raise KeysError(f"{home.signing_keys}: one key, or two that differ, sign a log")
    found = SigningKeys(signers, mark)
    if {one.name for one in found.verifiers} != {found.origin}:
        raise KeysError(f"{home.signing_keys}: the keys are of different logs")
    if any(one.old == found.verifiers[0] for one in _successions(home, found.origin)):
        raise KeysError(f"{home.signing_keys}: another key has followed the newest one here")
    return found


def mark_of(home: Home) -> Mark:
    """Return what tells the file from the one that was there before; raises OSError."""
    found = home.signing_keys.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def vouch(home: Home, keys: SigningKeys, size: int) -> None:
    """Sign, once, the note by which the newest of two keys follows from `size` on.

    Raises OSError; KeysError where the log is smaller than where the newest key begins.
    """
    own = [one for one in _successions(home, keys.origin) if one.new == keys.verifiers[0]]
    if any(size < one.from_size for one in own):
        raise KeysError(f"the log of {size} entries is older than the key that signs it")
    if len(keys.signers) < _MOST or own:
        return
    new, old = keys.signers
    made = Succession(old.verifier, new.verifier, size).signed(new, old)
    replace_private(home.succession, made.encode())


def _successions(home: Home, origin: str) -> Iterator[Succession]:
    """Yield every succession of the log that is known here; what is none says nothing."""
    notes = log_keys.read(home.log_keys)
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
        notes.append(home.succession.read_text(encoding="utf-8"))
    for raw in notes:
        with contextlib.suppress(note.NoteError):
            yield read_succession(raw, origin)
