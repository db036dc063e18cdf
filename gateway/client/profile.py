"""A client's profile: one folder with all that one account needs to talk to one gateway.

- `profile.toml`: where the gateway is, who we are, the log's verification key
- `key.pem`, `certificate.pem`: private key and certificate as first handed out; after a renewal
  those in `slots/` count
- `root.pem`: the gateway's root certificate: the only one trusted for its servers
- `secret.json`: a service account's secret, kept and rotated by the client (`kept_secret`)
- `password`: a one-time password, only until the first `gateway passwd`
- `token.json`: the running session's token, 0600; beside the certificate that it is bound to
- `encryption-key.pem`, `encryption.pem`: where we were invited to receive encrypted data; the keys
  before lie beside as `encryption-key-<digits>.pem`, after the key's fingerprint
- `checkpoint`: the last checkpoint of the log that was verified and kept
- `receipts/ spool/ sent/`: evidence of what was uploaded; batches on their way; those of some days
- `restores/`: what was held of the log before it was restored, and why it was followed
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.client import slots
from gateway.client.files import make_private, write_private
from gateway.client.slots import Slot
from gateway.config.settings import PortSettings
from gateway.config.strict import SettingsError, build, read

__all__ = ["Profile", "ProfileError", "Remote", "load", "locate", "write", "write_remote"]

DEFAULT_NAME = "default"


class ProfileError(Exception):
    """There is no usable profile; the text names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What profile.toml says.

    `server_name` is the name in the server's certificate, `log_key` a vkey line (C2SP signed-note).
    """

    host: str
    server_name: str
    trust_domain: str
    organisation: str
    account: str
    log_key: str
    ports: PortSettings = field(default_factory=PortSettings)


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile's folder and what its profile.toml says."""

    folder: Path
    remote: Remote

    @property
    def slot(self) -> Slot:
        """Where the key and the certificate that are in use lie."""
        return slots.current(self.folder)

    @property
    def key(self) -> Path:
        """The private key, PEM."""
        return self.slot.key

    @property
    def certificate(self) -> Path:
        """The client certificate, PEM."""
        return self.slot.certificate

    @property
    def root(self) -> Path:
        """The gateway's root certificate, PEM."""
        return self.folder / "root.pem"

    @property
    def password(self) -> Path:
        """The one-time password's file; absent after the first change."""
        return self.folder / "password"

    @property
    def token(self) -> Path:
        """The session's token, JSON."""
        return self.slot.token

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint kept, a signed note."""
        return self.folder / "checkpoint"

    @property
    def receipts(self) -> Path:
        """The folder of receipts."""
        return make_private(self.folder / "receipts")

    @property
    def spool(self) -> Path:
        """The folder of batches that are on their way."""
        return make_private(self.folder / "spool")


def locate(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return a profile's folder: a path where the name holds a slash, else in ~/.config/gateway."""
    if "/" in name or name in (".", ".."):
        return Path(name)
    configuration = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(configuration) / "gateway" / name


def load(folder: Path) -> Profile:
    """Return the profile in a folder.

    Raises ProfileError when a file is absent or malformed, or when others can read the key.
    """
    try:
        remote = build(Remote, read(folder / "profile.toml"), f"{folder / 'profile.toml'}: ")
    except SettingsError as error:
        raise ProfileError(str(error)) from error
    profile = Profile(folder, remote)
    for path in (profile.key, profile.certificate, profile.root):
        if not path.is_file():
            raise ProfileError(f"{path}: there is no such file")
    if profile.key.stat().st_mode & 0o077:
        raise ProfileError(f"{profile.key}: others can read it; chmod 600")
    return profile


def write(
    folder: Path, remote: Remote, *, key: bytes, certificate: bytes, root: bytes, password: str = ""
) -> Profile:
    """Write a new profile (PEM bytes; the one-time password where there is one) and return it."""
    make_private(folder)
    profile = Profile(folder, remote)
    write_private(profile.key, key)
    write_private(profile.certificate, certificate)
    write_private(profile.root, root)
    if password:
        write_private(profile.password, f"{password}\n".encode())
    write_remote(folder, remote)
    return profile


def write_remote(folder: Path, remote: Remote) -> None:
    """Write profile.toml: the file that makes a folder a profile."""
    write_private(folder / "profile.toml", _toml(remote).encode())


def _toml(remote: Remote) -> str:
    values = asdict(remote)
    ports = values.pop("ports")
    # A JSON string of ASCII names and addresses is a TOML basic string.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    numbers = [f"{key} = {value}" for key, value in ports.items()]
    return "\n".join([*lines, "", "[ports]", *numbers, ""])
