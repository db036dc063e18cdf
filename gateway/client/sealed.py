"""What a recipient keeps of an export in the profile, until and after it is opened.

In `exports/`, by the ticket's number:

- `<ticket>.payload`: the sealed bytes that have come so far; unreadable without the header, which
  is never written down; gone once the file is opened
- `<ticket>.json`: the keys that sign manifests, and what was opened and where: what is told to the
  gateway when it is acknowledged, and when it is destroyed
"""

import fcntl
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from gateway.client.files import PRIVATE_FILE, make_private, write_private
from gateway.client.journal import BusyError
from gateway.client.profile import Profile

_TICKET = re.compile(r"EX-[0-9]{8}", re.ASCII)


class ExportError(Exception):
    """An export cannot be taken or opened on our side.

    `code`: TICKET_NUMBER, ENCRYPTION_CERTIFICATE, PAYLOAD_DIFFERS, PAYLOAD_LOST, FILE_DIFFERS
    (`cause` is then that of TaggedError or ManifestError), NOT_OPENED.
    """

    def __init__(self, code: str, cause: str = "") -> None:
        """Make an error."""
        super().__init__(f"{code} {cause}".rstrip())
        self.code, self.cause = code, cause


@dataclass(slots=True)
class Note:
    """What is remembered of a ticket; digests in lower hex, the keys' DER in hex by their id."""

    keys: dict[str, str] = field(default_factory=dict)
    manifest_sha256: str = ""
    file: str = ""


def place(profile: Profile, ticket_id: str, kind: str) -> Path:
    """Return where something of a ticket lies; raises ExportError where that is no ticket."""
    if not _TICKET.fullmatch(ticket_id):
        raise ExportError("TICKET_NUMBER")
    return make_private(profile.folder / "exports") / f"{ticket_id}.{kind}"


def note(profile: Profile, ticket_id: str) -> Note:
    """Return what is remembered of a ticket."""
    try:
        return Note(**json.loads(place(profile, ticket_id, "json").read_bytes()))
    except (FileNotFoundError, TypeError, json.JSONDecodeError):
        return Note()


def remember(profile: Profile, ticket_id: str, found: Note) -> None:
    """Keep it."""
    write_private(place(profile, ticket_id, "json"), json.dumps(asdict(found)).encode())


class Sealed:
    """The payload as far as it came; held by one process, used as `with`."""

    def __init__(self, profile: Profile, ticket_id: str) -> None:
        """Take up what is there."""
        self.path = place(profile, ticket_id, "payload")
        self._ticket_id = ticket_id

    def __enter__(self) -> Self:
        """Raise BusyError where another process fetches the same."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        self.file = os.fdopen(os.open(self.path, flags, PRIVATE_FILE), "r+b")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.file.close()
            raise BusyError(self._ticket_id) from error
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @property
    def length(self) -> int:
        """How many bytes have come."""
        return self.file.seek(0, os.SEEK_END)

    def append(self, piece: bytes) -> None:
        """Add what came next; raises OSError."""
        self.file.seek(0, os.SEEK_END)
        self.file.write(piece)

    def settle(self) -> str:
        """Bring it to the disk; return the SHA-256 of all of it, lower hex."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.seek(0)
        return hashlib.file_digest(self.file, "sha256").hexdigest()

    def clear(self) -> None:
        """Throw away what came."""
        self.file.truncate(0)

    def remove(self) -> None:
        """Unlink it: it is opened, or never will be."""
        self.path.unlink(missing_ok=True)
