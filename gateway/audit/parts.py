"""Side parts: words beside the log, sealed, that can be destroyed while it still verifies.

Each is AES-256-GCM under a key of its own, which is wrapped to administration's (`store.part_key`)
and lies in the same row; the leaf has SHA-256(salt | ciphertext) and nothing else. So the digest
answers no guess, exported copies are noise without the row, and a row that is gone is gone
everywhere but in backups. Words are filled up to 64 bytes: their length tells little.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.config.home import Home
from gateway.store import part_key
from gateway.store.database import Transaction
from gateway.store.seal import ContentKey, Opener
from gateway.store.seal_keys import SealError

SALT_BYTES = 16
_FILL_BYTES = 64
_TABLE = "audit_sealed"
# Of a key that seals once.
_NONCE = bytes(12)
_INSERT = (
    "INSERT INTO gateway.audit_sealed (digest, salt, ciphertext, key_id, recipient, wrapped,"
    " made_us) VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
_FIND = (
    "SELECT salt, ciphertext, key_id, recipient, wrapped FROM gateway.audit_sealed"
    " WHERE digest = %s"
)
_SHRED = "DELETE FROM gateway.audit_sealed WHERE digest = %s"


class Part(NamedTuple):
    """A row: what is sealed, and its key, wrapped."""

    salt: bytes
    ciphertext: bytes
    key_id: UUID
    recipient: str
    wrapped: bytes

    @property
    def digest(self) -> bytes:
        """What the leaf says of it."""
        return hashlib.sha256(self.salt + self.ciphertext).digest()


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals words for the transactions of a door; one per process."""

    home: Home
    clock: Clock

    def seal(self, words: str) -> "Sealed":
        """Return the words as a part of their own; raises SealError."""
        now_us = self.clock.now_us()
        key = ContentKey(part_key.recipient(self.home), "", now_us)
        salt, plain = secrets.token_bytes(SALT_BYTES), words.encode()
        filled = plain + bytes(-len(plain) % _FILL_BYTES)
        _, ciphertext = key.seal(_TABLE, salt, 0, filled)
        key_id, recipient, wrapped, *_ = key.row
        return Sealed(Part(salt, ciphertext, key_id, recipient, wrapped), now_us)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A part that is not stored yet."""

    part: Part
    made_us: int

    async def keep(self, tx: Transaction, event: Event) -> Event:
        """Store it in the transaction of its leaf and return the event that names it."""
        await tx.execute(_INSERT, (self.part.digest, *self.part, self.made_us))
        return event.with_(sealed=self.part.digest.hex())


async def find(tx: Transaction, digest: bytes) -> Part | None:
    """Return the row that a leaf's digest names, None where it is gone.

    As it is stored: compare its digest.
    """
    row = await tx.fetch_one(_FIND, (digest,))
    return (
        None if row is None else Part(bytes(row[0]), bytes(row[1]), row[2], row[3], bytes(row[4]))
    )


def opened(opener: Opener, digest: bytes, part: Part) -> str:
    """Return the words; raises SealError where part or key are not those that the leaf names."""
    if part.digest != digest:
        raise SealError("the side part is not the one that its leaf names")
    key = opener.unwrap(part.key_id, part.recipient, part.wrapped)
    return key.open(_TABLE, part.salt, 0, _NONCE, part.ciphertext).rstrip(b"\0").decode()


async def shred(tx: Transaction, digest: bytes) -> bool:
    """Destroy a part with its key; return whether there was one. Only the owner's role may."""
    return await tx.execute(_SHRED, (digest,)) == 1
