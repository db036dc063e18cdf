"""The closed profiles of certs/*.toml: all that may stand in a certificate of each kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.config.policies import shipped
from gateway.config.strict import SettingsError, build, read

Kind = Literal[
    "root",
    "client-authority",
    "server-authority",
    "client",
    "encryption",
    "server",
    "external-client",
]

_NAMES = ("none", "spiffe", "hosts")
_KEYS = ("P-256", "P-384", "RSA")


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of certificate; usages and signatures are dotted OIDs, `days` is the life of ours.

    `path_length` counts for authorities only (RFC 5280 section 4.2.1.9); `names` says what the
    subject alternative names are: none, exactly one SPIFFE URI, or hosts. `further_extensions` may
    stand in it and are not looked at; they must not be critical.
    """

    title: str
    days: int
    days_max: int
    keys: tuple[str, ...]
    signatures: tuple[str, ...]
    authority: bool
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]
    names: str
    path_length: int = 0
    further_extensions: tuple[str, ...] = ()


def load(kind: Kind, folder: Path | None = None) -> Profile:
    """Return a profile of the folder (None: the one that ships).

    Raises SettingsError naming file and key.
    """
    path = (folder or shipped("certs")) / f"{kind}.toml"
    profile = build(Profile, read(path), f"{path.name}: ")
    if profile.names not in _NAMES:
        raise SettingsError(f"{path.name}: names: must be one of {', '.join(_NAMES)}")
    if not set(profile.keys) <= set(_KEYS):
        raise SettingsError(f"{path.name}: keys: must be of {', '.join(_KEYS)}")
    if not 0 < profile.days <= profile.days_max:
        raise SettingsError(f"{path.name}: days: must be between 1 and days_max")
    return profile
