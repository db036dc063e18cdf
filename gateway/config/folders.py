"""The folders under HOME with owner, group and mode: who can reach which key and which socket.

Users separate: a door's socket is reachable by the front alone, the sockets of front, signer and
PostgreSQL by every gateway user, a secret by its process alone. Socket folders carry the
set-group-id bit, so that a socket made in them has the folder's group. One user: everything is
0700.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.config.home import PROCESSES, Home, Process
from gateway.config.users import GROUP, separate, user_name

PRIVATE_FILE = 0o600
PUBLIC_FILE = 0o644
_PRIVATE = 0o700
_PASSABLE = 0o711
_PUBLIC = 0o755
# Group may enter, not list; what is made inside gets the folder's group.
_SHARED = 0o2710


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder under HOME; owner and group are names of system users where users are separate."""

    path: Path
    owner: str
    group: str
    mode: int


def folders(home: Home) -> list[Folder]:
    """Return every folder of a HOME whose processes have users of their own, parents first."""
    passable = [
        home.root,
        home.root / "run",
        home.root / "secrets",
        home.password_file("owner").parent,
    ]
    private = [home.offline, home.admin_profile, home.logs]
    public = [home.public, home.policies]
    return [
        *(Folder(path, "root", "root", _PASSABLE) for path in passable),
        *(Folder(path, "root", "root", _PRIVATE) for path in private),
        *(Folder(path, "root", "root", _PUBLIC) for path in public),
        _own(home.authority, "identity"),
        _own(home.database, "postgres"),
        _own(home.exports, "disclosure"),
        *(_own(home.secrets(process), process) for process in PROCESSES),
        *(_socket_folder(home, process) for process in PROCESSES),
    ]


def _own(path: Path, process: Process) -> Folder:
    return Folder(path, user_name(process), user_name(process), _PRIVATE)


def _socket_folder(home: Home, process: Process) -> Folder:
    shared = process in ("front", "signer", "postgres")
    return Folder(
        home.run(process), user_name(process), GROUP if shared else user_name("front"), _SHARED
    )


def make_folders(home: Home, *paths: Path) -> None:
    """Make what is absent of the folders under HOME and give all of them owner, group and mode.

    Of some of them, where `paths` names them.
    """
    for folder in (one for one in folders(home) if not paths or one.path in paths):
        folder.path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        if separate():
            shutil.chown(folder.path, folder.owner, folder.group)
        folder.path.chmod(folder.mode if separate() else _PRIVATE)


def write_private(path: Path, content: bytes, process: Process | None = None) -> None:
    """Write a new file of mode 0600, owned by `process`'s user (None: by who runs this)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        if process is not None and separate():
            shutil.chown(path, user_name(process), user_name(process))
        file.write(content)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that every process may read."""
    path.write_bytes(content)
    path.chmod(PUBLIC_FILE)


def replace_private(path: Path, content: bytes, process: Process | None = None) -> None:
    """Put a file of mode 0600 in place of the one there, at once, as `write_private` writes it."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    write_private(new, content, process)
    _put(new, path)


def replace_public(path: Path, content: bytes) -> None:
    """Put a file that every process may read in place of the one there, at once."""
    new = path.with_name(f"{path.name}.new")
    write_public(new, content)
    _put(new, path)


def _put(new: Path, path: Path) -> None:
    """Rename once the content is on the disk: after a crash there is the old or the new file."""
    sync(new)
    new.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file, or a folder's names, on the disk when this returns; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
