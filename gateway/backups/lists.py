"""From which backup the next one goes on: for that the server's list of the newest ones is kept.

`HOME/database/lists` holds them by the digests of their manifests: names and SHA-256 of files, no
content. It is in no backup, so a restored gateway, whose journal goes another way from there on,
begins with a base backup.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from gateway.backups import manifest, placed
from gateway.backups.checking import Checked
from gateway.clock import civil_day
from gateway.config.folders import replace_private
from gateway.config.home import Home

FOLDER = "lists"
# Backups are made into other places in between, too.
_KEPT = 4
# The first server with incremental backups (PostgreSQL 17, release notes).
_SERVER = 17
# Why it is a base backup.
FIRST, SCHEDULED, UNLISTED = "first", "scheduled", "unlisted"
RECIPIENTS, UNSUMMARIZED = "recipients", "unsummarized"


@dataclass(frozen=True, slots=True)
class Parent:
    """What an incremental backup goes on from, and the file with the server's list of that."""

    found: Checked
    listed: Path

    @property
    def since(self) -> str:
        """The position from which on the server is asked for what changed."""
        return self.found.manifest.wal.start

    def stands(self) -> bool:
        """Whether it and its parents are still there: asked with the place held, when none goes."""
        with contextlib.suppress(OSError):
            return all(
                manifest.sha256(placed.content(one.folder / manifest.MANIFEST_FILE)) == one.sha256
                for one in self.found.whole
            )
        return False


def choose(
    home: Home, newest: Checked | None, now_us: int, full_days: int
) -> tuple[Parent | None, str]:
    """Return what the next backup in the place of that one goes on from; or why from none.

    A base backup is due `full_days` civil days after the one that the newest goes on from; 1:
    always.
    """
    if newest is None or newest.manifest.form == manifest.DUMP or newest.manifest.server < _SERVER:
        return None, FIRST
    base_us = newest.whole[0].manifest.made_us
    days = (civil_day(now_us) - civil_day(base_us)).days
    if full_days == 1 or days >= full_days:
        return None, SCHEDULED
    listed = _file(home, newest.sha256)
    return (Parent(newest, listed), "") if listed.is_file() else (None, UNLISTED)


def keep(home: Home, sha256: str, listed: bytes) -> None:
    """Keep the list of the backup with this manifest, and few older ones.

    Where that fails the backup is good all the same, and the next one is a base backup.
    """
    with contextlib.suppress(OSError):
        path = _file(home, sha256)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_private(path, listed)
        for old in sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime_ns)[:-_KEPT]:
            old.unlink()


def _file(home: Home, sha256: str) -> Path:
    return home.database / FOLDER / sha256
