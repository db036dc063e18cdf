"""What proves an invitation's row: an HMAC-SHA-256 by a key that no database role has.

    made        by whoever invites: over the whole promise, its code and its life (`invitation`)
    confirmed   by whoever confirms: over that, the key's fingerprint, and who it is

The same 32 bytes lie with administration, which makes and confirms, and with identity, which issues
(decision 0023). Nobody follows them: under another key the invitations of that day are void.
"""

import hmac
import json
import secrets
from pathlib import Path

from gateway.config.folders import replace_private
from gateway.config.home import Door, Home
from gateway.config.strict import SettingsError

KEY_FILE = "invitations.key"
KEY_BYTES = 32
HOLDERS: tuple[Door, ...] = ("identity", "administration")
MADE, CONFIRMED = "made", "confirmed"
_LABEL = b"gateway/invitation/v1|"


class Proofs:
    """Makes and judges proofs; one per process."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """Use this key."""
        self._key = key

    @classmethod
    def load(cls, home: Home, door: Door) -> "Proofs":
        """Use the key that lies with this door; raises SettingsError."""
        file = path(home, door)
        try:
            key = file.read_bytes()
        except OSError as error:
            raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
        if len(key) != KEY_BYTES:
            raise SettingsError(f"{file}: not a key of invitations")
        return cls(key)

    def of(self, act: str, *stated: str | int) -> bytes:
        """Return the proof of an act (MADE, CONFIRMED) and of what it states, in this order."""
        text = json.dumps([act, *stated], separators=(",", ":"))
        return hmac.digest(self._key, _LABEL + text.encode("ascii"), "sha256")

    def fits(self, proof: bytes | None, act: str, *stated: str | int) -> bool:
        """Return whether this is the proof of them."""
        return proof is not None and hmac.compare_digest(proof, self.of(act, *stated))


def path(home: Home, door: Door) -> Path:
    """Return where a door's copy of the key lies: in the folder that its user alone can read."""
    return home.secrets(door) / KEY_FILE


def make(home: Home) -> bool:
    """Write the key of a HOME without one, or the copy that lacks; return whether it was done.

    Raises OSError.
    """
    there = [door for door in HOLDERS if path(home, door).exists()]
    if len(there) == len(HOLDERS):
        return False
    key = path(home, there[0]).read_bytes() if there else secrets.token_bytes(KEY_BYTES)
    for door in HOLDERS:
        if door not in there:
            replace_private(path(home, door), key, door)
    return True
