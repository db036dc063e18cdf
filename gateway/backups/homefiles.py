"""What of HOME is in a backup: all but what is made again, copied otherwise, or must not be there.

Left out: the database (its own part), sockets, process logs, `exports` (by its absence a restored
gateway knows itself, docs/exports.md), and `offline`, the root's keys, whose place is a safe. The
signer's state is read first: the log in the database is then never shorter than it remembers.
"""

import hashlib
import io
import os
import pwd
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from gateway.config.home import Home

LEFT_OUT = frozenset({"database", "exports", "logs", "offline", "run"})
# Theirs is to grow while a backup is made; what they hold is also in the database.
_GROWING = frozenset({"signer/state", "public/ended.json", "public/client-authority.crl"})
# What of the first admin's profile lasts; the rest changes whenever he does something.
_PROFILE_LASTS = frozenset({".pem", ".toml"})
_PASSING = frozenset({".new", ".next", ".pgpass", ".partial"})


def tar(home: Home) -> bytes:
    """Return the files as a tar, owners by name; raises OSError. Secrets are in it: seal it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for path in _paths(home):
            info = tarfile.TarInfo(str(path.relative_to(home.root)))
            status = path.stat()
            info.mode, info.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
            info.uname = _owner(status)
            content = path.read_bytes()
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


def lasting(home: Home) -> dict[str, str]:
    """Return the SHA-256 of each file that does not change by itself, by its name under HOME.

    Two looks that differ tell that a key, a certificate or a policy changed in between.
    """
    names = {path: str(path.relative_to(home.root)) for path in _paths(home)}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path, name in names.items()
        if name.removeprefix("secrets/") not in _GROWING
        and (path.suffix in _PROFILE_LASTS or not path.is_relative_to(home.admin_profile))
    }


def _paths(home: Home) -> Iterator[Path]:
    """Yield the plain files, the signer's state first."""
    state = home.secrets("signer") / "state"
    yield state
    for top in sorted(home.root.iterdir()):
        if top.name in LEFT_OUT:
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            plain = path.is_file() and not path.is_symlink()
            if plain and path != state and path.suffix not in _PASSING:
                yield path


def _owner(status: os.stat_result) -> str:
    return pwd.getpwuid(status.st_uid).pw_name
