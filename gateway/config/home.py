"""Where everything lies under HOME, the folder of one gateway.

Pure paths; creating them is the work of `gateway init`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.config import log_keys

Door = Literal["identity", "intake", "disclosure", "administration"]
# The doors, in the order in which they start.
DOORS: tuple[Door, ...] = ("identity", "intake", "disclosure", "administration")
# Where the front listens. Enrolment is served by the identity process, on a socket of its own.
Listener = Literal["identity", "intake", "disclosure", "administration", "enrolment"]
LISTENERS: tuple[Listener, ...] = (*DOORS, "enrolment")
# Each process that has its own system user where `init` runs as root: "gateway-" and this word.
Process = Literal[
    "front", "identity", "intake", "disclosure", "administration", "signer", "postgres"
]
PROCESSES: tuple[Process, ...] = (
    "front",
    "identity",
    "intake",
    "disclosure",
    "administration",
    "signer",
    "postgres",
)


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one gateway."""

    root: Path

    @property
    def settings(self) -> Path:
        """Settings of this gateway, TOML."""
        return self.root / "settings.toml"

    @property
    def policies(self) -> Path:
        """The province's copy of the policies."""
        return self.root / "policies"

    @property
    def public(self) -> Path:
        """What every process and every visitor may read: certificates, CRL, verification keys."""
        return self.root / "public"

    @property
    def root_certificate(self) -> Path:
        """The root CA's certificate, PEM: what clients trust."""
        return self.public / "root.pem"

    @property
    def server_certificate(self) -> Path:
        """The front's certificate and its authority's, PEM: their keys are nobody else's."""
        return self.public / "server.pem"

    @property
    def client_authority_certificate(self) -> Path:
        """The client-issuing CA's certificate, PEM: the front's only trust anchor."""
        return self.public / "client-authority.pem"

    @property
    def former_authorities(self) -> Path:
        """Those that were retired, PEM: what officers signed while they were trusted stands."""
        return self.public / "former-authorities.pem"

    @property
    def first_policies(self) -> Path:
        """The digest of the bundle of policies that this HOME began with, which nobody signed."""
        return self.public / "first-policies"

    @property
    def policies_in_force(self) -> Path:
        """How far activations of policies had come: number, digest, leaf; no older one counts."""
        return self.public / "policies-in-force"

    @property
    def crl(self) -> Path:
        """The client-issuing CA's revocation list, PEM."""
        return self.public / "client-authority.crl"

    @property
    def log_key(self) -> Path:
        """The audit signer's verification key, one vkey line (C2SP signed-note)."""
        return self.public / "log.vkey"

    @property
    def log_keys(self) -> Path:
        """The notes by which the log's keys followed one another (`config.log_keys`)."""
        return self.public / log_keys.FOLDER

    @property
    def restores(self) -> Path:
        """What the log says of each time it was put back (`tlog.restored`), as `log_keys` lies."""
        return self.public / "log-restores"

    @property
    def signing_keys(self) -> Path:
        """The audit signer's private keys, a line each, the newest first: for it alone."""
        return self.secrets("signer") / "log.skey"

    @property
    def succession(self) -> Path:
        """The note by which the newest signing key follows, as the signer left it."""
        return self.secrets("signer") / "succession"

    @property
    def token_keys(self) -> Path:
        """The token verification keys, a JWK set with kid."""
        return self.public / "token-keys.json"

    @property
    def seal_keys(self) -> Path:
        """The sealing recipients' public keys, JSON by key id."""
        return self.public / "seal-keys.json"

    @property
    def export_keys(self) -> Path:
        """What checks the signatures in exports, JSON by key id."""
        return self.public / "export-keys.json"

    @property
    def exports(self) -> Path:
        """The payloads of exports, each without its header: noise."""
        return self.root / "exports"

    @property
    def offline(self) -> Path:
        """The root CA's and server CA's private keys: to be moved to a safe after init."""
        return self.root / "offline"

    @property
    def authority(self) -> Path:
        """The client-issuing CA's private key, for the host's commands and the identity process."""
        return self.root / "authority"

    @property
    def admin_profile(self) -> Path:
        """The first admin's profile: key, certificate, one-time password."""
        return self.root / "admin"

    @property
    def database(self) -> Path:
        """The embedded cluster: data folder, password files, server log."""
        return self.root / "database"

    @property
    def logs(self) -> Path:
        """One log file per process, JSON lines."""
        return self.root / "logs"

    @property
    def untold(self) -> Path:
        """Acts on the host that the log could not be told of yet (`supervise.untold`)."""
        return self.root / "untold"

    def secrets(self, process: Process) -> Path:
        """Return the folder of the keys that only this process's user can read."""
        return self.root / "secrets" / process

    def password_file(self, role: str) -> Path:
        """Return the file of a database role's password, readable by its process alone."""
        return self.root / "secrets" / "database" / role

    def run(self, process: Process) -> Path:
        """Return the folder of a process's sockets."""
        return self.root / "run" / process

    def door_socket(self, door: Listener) -> Path:
        """Return the socket that the front relays a door's connections to."""
        if door == "enrolment":
            return self.run("identity") / "enrolment.sock"
        return self.run(door) / "door.sock"

    @property
    def log_files_socket(self) -> Path:
        """Where the administration door serves the log's files to those who speak HTTP/1.1."""
        return self.run("administration") / "log-files.sock"

    @property
    def control_socket(self) -> Path:
        """The front's control socket: doors ask who stands behind a connection's name."""
        return self.run("front") / "control.sock"

    @property
    def tunnels_socket(self) -> Path:
        """Where the supervisor tells the front what the VPN knows of its peers."""
        return self.run("front") / "tunnels.sock"

    @property
    def signer_socket(self) -> Path:
        """The signer's socket."""
        return self.run("signer") / "signer.sock"

    @property
    def supervisor_pid(self) -> Path:
        """The running supervisor's pid."""
        return self.root / "run" / "supervisor.pid"

    @property
    def supervisor_status(self) -> Path:
        """What the supervisor last knew of its children, JSON."""
        return self.root / "run" / "status.json"
