"""Puts the files of a backup on the disk as they come out of the cipher, with owners and modes."""

import shutil
from pathlib import Path
from tarfile import TarInfo
from typing import IO

from gateway.backups.errors import BackupError
from gateway.backups.untar import DAMAGED, Visitor
from gateway.config.users import SystemUser, separate

_OWN_PREFIX = "gateway-"


class Placing:
    """Writes a tar's files below a folder that is ours; a `Visitor`.

    All belong to `user` where one is given, else to who owned them there, by name.
    """

    def __init__(
        self, root: Path, user: SystemUser | None = None, also: Visitor | None = None
    ) -> None:
        """Write below `root`, and show `also` the same."""
        self._root = root
        self._user = user
        self._also = also
        self._file: IO[bytes] | None = None

    def begin(self, info: TarInfo) -> None:
        """Make the folder, or begin the file; raises BackupError where it is there already."""
        path = self._root / info.name
        if info.isdir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            self._make_parents(path.parent)
            try:
                self._file = path.open("xb")
            except FileExistsError as error:
                raise BackupError(DAMAGED, f"{info.name} stands twice") from error
            path.chmod(info.mode & 0o777)
        self._own(path, info.uname)
        if self._also is not None:
            self._also.begin(info)

    def content(self, piece: bytes) -> None:
        """Write it."""
        if self._file is not None:
            self._file.write(piece)
        if self._also is not None:
            self._also.content(piece)

    def end(self) -> None:
        """Close the file."""
        self.close()
        if self._also is not None:
            self._also.end()

    def close(self) -> None:
        """Close what is open, if anything is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _make_parents(self, folder: Path) -> None:
        """Make what `make_folders` does not: below public and policies, which all may read."""
        for path in [*reversed(folder.parents), folder]:
            if not path.exists():
                path.mkdir(mode=0o755)

    def _own(self, path: Path, name: str) -> None:
        if not separate():
            return
        if self._user is not None:
            shutil.chown(path, self._user.uid, self._user.gid)
        elif name.startswith(_OWN_PREFIX):
            shutil.chown(path, name, name)
