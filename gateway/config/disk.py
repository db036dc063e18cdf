"""policies/disk.toml as frozen values: how much room there must be, and how much there is.

good              everything
low               told on the log
exports_stopped   no export is built or leaves; uploads go on
uploads_stopped   nor is anything taken: what is left is for the log
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.config.home import Home
from gateway.config.strict import SettingsError, build, read

Level = Literal["good", "low", "exports_stopped", "uploads_stopped"]
Use = Literal["exports", "uploads"]
FILE = "disk.toml"
_ALL = 100.0


@dataclass(frozen=True, slots=True)
class DiskRules:
    """All of policies/disk.toml; each number is explained there."""

    low_percent: float
    exports_percent: float
    uploads_percent: float
    reserve_mib: int

    def level(self, free_percent: float) -> Level:
        """Return what this share of the disk is good for."""
        if free_percent < self.uploads_percent:
            return "uploads_stopped"
        if free_percent < self.exports_percent:
            return "exports_stopped"
        return "low" if free_percent < self.low_percent else "good"


@dataclass(frozen=True, slots=True)
class Room:
    """What an unprivileged process may still write: share of the disk, and bytes."""

    free_percent: float
    free_bytes: int


def look(folder: Path) -> Room:
    """Return the room on the disk of a folder; raises OSError."""
    found = os.statvfs(folder)
    share = _ALL * found.f_bavail / found.f_blocks if found.f_blocks else _ALL
    return Room(share, found.f_bavail * found.f_frsize)


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of a HOME and the rules for it; `look` is asked anew each time."""

    folder: Path
    rules: DiskRules
    look: Callable[[Path], Room] = look

    @classmethod
    def of(cls, home: Home) -> "Disk":
        """Return the disk of a HOME; raises SettingsError."""
        return cls(home.root, load_disk_rules(home.policies / FILE))

    def allows(self, use: Use) -> bool:
        """Return whether there is room for this; where nobody can tell there is none."""
        try:
            level = self.rules.level(self.look(self.folder).free_percent)
        except OSError:
            return False
        return level in {"good", "low"} or (use == "uploads" and level == "exports_stopped")


def load_disk_rules(path: Path) -> DiskRules:
    """Return the rules in a file; raises SettingsError naming the key."""
    rules = build(DiskRules, read(path), f"{path.name}: ")
    shares = (0.0, rules.uploads_percent, rules.exports_percent, rules.low_percent, _ALL)
    if list(shares) != sorted(set(shares)):
        msg = f"{path.name}: uploads_percent below exports_percent below low_percent, 0 to 100"
        raise SettingsError(msg)
    if rules.reserve_mib < 1:
        raise SettingsError(f"{path.name}: reserve_mib: at least 1")
    return rules
