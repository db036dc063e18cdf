"""Where a profile keeps key and certificate: two slots, one of them current, never half exchanged.

- `slots/1/`, `slots/2/`: `key.pem`, `certificate.pem`, and `token.json` of a session bound to it
- `slots/current`: the number of the slot in use, replaced at once; absent: the files at the top of
  the profile, which count as slot 0
- `slots/<n>.lock`: held, shared, by whoever has connections open with that slot's certificate

Several processes may use a profile. None connects with the old certificate after the new one was
used, because:

1. Who opens connections locks the current slot shared, then looks again which one is current; if it
   is another by now he begins anew. He holds the lock until his connections are closed.
2. Who exchanges closes his own connections, then locks the old slot exclusively, which he gets only
   when nobody has connections open with it; writes `current`; lets go.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.client.files import PRIVATE_FILE, make_private, write_private

_NUMBERS = {"1": 1, "2": 2}


@dataclass(frozen=True, slots=True)
class Slot:
    """One place for a key and its certificate in a profile's folder."""

    profile: Path
    number: int

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return self.profile / "slots" / str(self.number) if self.number else self.profile

    @property
    def key(self) -> Path:
        """The private key, PEM."""
        return self.folder / "key.pem"

    @property
    def certificate(self) -> Path:
        """The certificate, PEM."""
        return self.folder / "certificate.pem"

    @property
    def token(self) -> Path:
        """The token of a session over this certificate, JSON."""
        return self.folder / "token.json"

    @property
    def after(self) -> "Slot":
        """The slot that the next certificate goes into."""
        return Slot(self.profile, 2 if self.number == 1 else 1)


@dataclass(frozen=True, slots=True)
class Held:
    """A slot whose certificate connections are open with."""

    slot: Slot
    descriptor: int

    def release(self) -> None:
        """Say that the connections are closed."""
        os.close(self.descriptor)


def current(profile: Path) -> Slot:
    """Return the slot in use."""
    try:
        number = _current_file(profile).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return Slot(profile, 0)
    return Slot(profile, _NUMBERS[number])


def hold(profile: Path) -> Held:
    """Return the slot in use, held until it is released; waits while it is being exchanged."""
    while True:
        slot = current(profile)
        descriptor = _locked(slot, fcntl.LOCK_SH)
        if current(profile) == slot:
            return Held(slot, descriptor)
        os.close(descriptor)


def exchange(old: Slot, new: Slot) -> bool:
    """Make `new` current once nobody has connections open with `old`; returns whether it is now."""
    try:
        descriptor = _locked(old, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return current(old.profile) == new
    try:
        if current(old.profile) == old:
            write_private(_current_file(old.profile), f"{new.number}\n".encode())
        return current(old.profile) == new
    finally:
        os.close(descriptor)


@contextmanager
def renewing(profile: Path) -> Iterator[bool]:
    """Tell whether this process is the only one that renews; it stays so within the block."""
    descriptor = _opened(profile, "renewal.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _locked(slot: Slot, how: int) -> int:
    descriptor = _opened(slot.profile, f"{slot.number}.lock")
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def _opened(profile: Path, name: str) -> int:
    folder = make_private(profile / "slots")
    return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)


def _current_file(profile: Path) -> Path:
    return profile / "slots" / "current"
