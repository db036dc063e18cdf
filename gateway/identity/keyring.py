"""The token keys of a HOME for a process that runs: read again when their file was replaced.

Each use looks at the file's inode, size and time (a microsecond and a half): a key counts from the
first call after it was published, and no longer than until the first after it was retired. A file
that cannot be read is KeyFileError, an error that leaves the caller free to ask again: who cannot
tell which keys are good takes none.
"""

from collections.abc import Callable
from pathlib import Path

from gateway.config.watched import Watched
from gateway.identity import keys
from gateway.identity.keys import KeyFileError
from gateway.identity.token import Bearer, Claims, Minter, Verifier


class _KeyFile(Watched):
    """A key file: one that is away is a KeyFileError."""

    __slots__ = ()

    def state(self) -> tuple[int, int, int]:
        """Return which file it is; raises KeyFileError."""
        try:
            return super().state()
        except OSError as error:
            raise KeyFileError(f"{self._path}: cannot be read: {error.strerror}") from None


class CurrentVerifier(Verifier):
    """Judges tokens with the public keys as they are at that moment."""

    __slots__ = ("_file",)

    def __init__(self, path: Path, trust_domain: str) -> None:
        """Read the keys; raises KeyFileError."""
        self._file = _KeyFile(path)
        super().__init__(self._file.read(keys.read_public), trust_domain)

    def verify(
        self, token: str, bearer: Bearer, now_us: int, seen: Callable[[Claims], None] | None = None
    ) -> Claims:
        """Return what the token says; raises as `Verifier` does, and KeyFileError."""
        if self._file.changed():
            self.trust(self._file.read(keys.read_public))
        return super().verify(token, bearer, now_us, seen)


class CurrentMinter(Minter):
    """Makes tokens with the private key as it is at that moment."""

    __slots__ = ("_file",)

    def __init__(self, path: Path, trust_domain: str) -> None:
        """Read the key; raises KeyFileError."""
        self._file = _KeyFile(path)
        super().__init__(self._file.read(keys.read_private), trust_domain)

    def mint(self, claims: Claims) -> str:
        """Return the token of these claims; raises KeyFileError."""
        if self._file.changed():
            self.sign_with(self._file.read(keys.read_private))
        return super().mint(claims)
