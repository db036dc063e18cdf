"""What a process loaded, as its leaf tells it: digests of the settings and of every policy file.

The settings' digest is over their values, those that nobody set included: a new version that brings
another default shows itself too. They hold no secret (`settings.load` refuses one).
"""

import dataclasses
import hashlib
import json
from pathlib import Path

from gateway.config import policies
from gateway.config.policies import Policies
from gateway.config.settings import Settings
from gateway.names import FILE_NAME

# The word is as long as a leaf may well be; beyond, the digest of all of them stands for each.
FILES_MAX = 256


def digests(settings: Settings, loaded: Policies) -> dict[str, str]:
    """Return what every process tells at its start: two SHA-256, hex."""
    return {"settings_sha256": settings_sha256(settings), "policies_sha256": loaded.sha256}


def settings_sha256(settings: Settings) -> str:
    """Return the SHA-256 of all settings, hex: of their JSON, its keys sorted."""
    document = json.dumps(dataclasses.asdict(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(document.encode()).hexdigest()


def files(folder: Path) -> dict[str, str]:
    """Return `policy_files` for a leaf: `name=SHA-256` of each file, a space between.

    A name that a leaf may not hold is told by its own digest. {} where they are too many.
    Raises SettingsError.
    """
    found = policies.file_digests(folder)
    if len(found) > FILES_MAX:
        return {}
    return {"policy_files": " ".join(f"{_name(name)}={sha256}" for name, sha256 in found.items())}


def _name(name: str) -> str:
    if FILE_NAME.fullmatch(name):
        return name
    return f"other-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
