"""Sealed bodies and blind indexes: what intake writes, only disclosure's private keys open.

A content key (AES-256) per organisation lives at most a minute in memory and is stored only wrapped
to a recipient by HPKE (RFC 9180 base mode, MLKEM768_X25519 / HKDF_SHA256 / AES_256_GCM). A body is
AES-256-GCM under it with a counter nonce, bound by its associated data to table, record id and
revision, so that no body can be moved to another row. There are two recipients (`seal_keys`):
`body`, and `restricted` for what ChildRestricted holds. A blind index is HMAC-SHA-256, cut to 16
bytes, under a key of its own.
"""

import hmac
import secrets
import uuid
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from gateway.clock import US_PER_S, Clock
from gateway.store import seal_keys
from gateway.store.seal_keys import INDEX_KEY_BYTES, Recipient, Recipients, SealError, Use

# Small batches of one organisation share a key this long: wrapping costs 90 µs, sealing 2 µs.
KEY_LIFE_US = 60 * US_PER_S
# Far below the 2^64 of the counter and the data limits of GCM.
KEY_SEALS = 2**32
TAG_BYTES = 16
_CONTENT_KEY_BYTES = 32
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class ContentKey:
    """One AES-256 key in use; `row` is its row of content_key, stored with what it seals.

    The row is (key_id, recipient, wrapped, organisation, created_us).
    """

    __slots__ = ("_cipher", "_count", "expires_us", "key_id", "row")

    def __init__(self, recipient: Recipient, organisation: str, now_us: int) -> None:
        """Make a fresh random key and wrap it."""
        self.key_id = uuid.UUID(bytes=secrets.token_bytes(16), version=4)
        self.expires_us = now_us + KEY_LIFE_US
        self._count = 0
        key = secrets.token_bytes(_CONTENT_KEY_BYTES)
        self._cipher = AESGCM(key)
        wrapped = _SUITE.encrypt(key, recipient.public_key, _info(recipient.key_id, self.key_id))
        self.row = (self.key_id, recipient.key_id, wrapped, organisation, now_us)

    @property
    def spent(self) -> bool:
        """Whether it has sealed as much as one key may."""
        return self._count >= KEY_SEALS

    def seal(
        self, table: str, record_id: bytes, revision: int, plaintext: bytes
    ) -> tuple[bytes, bytes]:
        """Return (nonce of 12 bytes, ciphertext with its 16-byte tag) of a body of this row."""
        nonce = self._count.to_bytes(12)
        self._count += 1
        return nonce, self._cipher.encrypt(nonce, plaintext, _row_bytes(table, record_id, revision))


class ContentKeys:
    """The content keys in use, one per organisation and use, each for at most a minute."""

    def __init__(self, recipients: Recipients, clock: Clock) -> None:
        """Seal to these recipients."""
        self._recipients = recipients
        self._clock = clock
        self._keys: dict[tuple[str, Use], ContentKey] = {}

    def current(self, organisation: str, use: Use = "body") -> ContentKey:
        """Return the key to seal with now; store its row in the same transaction as the bodies."""
        now_us = self._clock.now_us()
        key = self._keys.get((organisation, use))
        # A clock that was set back must not prolong a key's life.
        if key is None or key.spent or not key.expires_us - KEY_LIFE_US <= now_us < key.expires_us:
            key = ContentKey(self._recipients.newest(use), organisation, now_us)
            self._keys[organisation, use] = key
        return key


class Opener:
    """The private keys, by key id: disclosure's alone."""

    def __init__(self, folder: Path) -> None:
        """Name the folder of secrets; `load` is how to make one."""
        self._folder = folder
        self._keys: dict[str, MLKEM768X25519PrivateKey] = {}

    @classmethod
    def load(cls, folder: Path) -> "Opener":
        """Return an opener with every seal-*.key in a folder of secrets; raises SealError."""
        opener = cls(folder)
        opener._keys = seal_keys.read_private(folder)
        return opener

    def unwrap(self, key_id: uuid.UUID, recipient: str, wrapped: bytes) -> "OpenedKey":
        """Return the content key of a row of content_key; raises SealError."""
        if recipient not in self._keys:
            # Made since: a private key lies here before anything is sealed to it.
            self._keys = seal_keys.read_private(self._folder)
        if recipient not in self._keys:
            raise SealError(f"no private key {recipient}")
        try:
            key = _SUITE.decrypt(wrapped, self._keys[recipient], _info(recipient, key_id))
        except (InvalidTag, ValueError) as error:
            raise SealError(f"content key {key_id} does not unwrap") from error
        return OpenedKey(key)


class OpenedKey:
    """A content key that opens bodies."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        """Open with this key."""
        self._cipher = AESGCM(key)

    def open(
        self, table: str, record_id: bytes, revision: int, nonce: bytes, ciphertext: bytes
    ) -> bytes:
        """Return this row's body; raises SealError when it is another's or was changed."""
        try:
            return self._cipher.decrypt(nonce, ciphertext, _row_bytes(table, record_id, revision))
        except (InvalidTag, ValueError) as error:
            raise SealError("the body does not open") from error


class BlindIndex:
    """Tags by which equal values are found without storing them."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """Tag under a key of 32 bytes; raises SealError for another length."""
        if len(key) != INDEX_KEY_BYTES:
            raise SealError(f"a blind index key has {INDEX_KEY_BYTES} bytes")
        self._key = key

    @classmethod
    def load(cls, folder: Path) -> "BlindIndex":
        """Return the index of a folder of secrets (intake's or disclosure's)."""
        return cls((folder / "blind-index.key").read_bytes())

    def tag(self, domain: str, value: str) -> bytes:
        """Return the 16-byte tag of a value in a domain (a word without NUL)."""
        return hmac.digest(self._key, f"{domain}\0{value}".encode(), "sha256")[:TAG_BYTES]


def _info(recipient: str, key_id: uuid.UUID) -> bytes:
    return f"gateway/seal/v1|{recipient}|content-key {key_id}".encode()


def _row_bytes(table: str, record_id: bytes, revision: int) -> bytes:
    # Unambiguous: a table's name has no NUL, the revision has a fixed width.
    return b"%b\0%b%b" % (table.encode(), record_id, revision.to_bytes(8))
