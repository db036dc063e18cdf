"""The policies folder: where it is, its digest for the log, and the limits every process keeps.

The province's copy lies in HOME/policies; the one that ships is at the top of a checkout, or in the
wheel as gateway/_data. Each room reads the file that it judges by, with `strict.build`.
"""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

from gateway.config.activation import ActivationRules, load_activation_rules
from gateway.config.backups import BackupRules, load_backup_rules
from gateway.config.disk import DiskRules, load_disk_rules
from gateway.config.rotation import RotationRules, load_rotation_rules
from gateway.config.strict import SettingsError, build, read
from gateway.config.witnesses import WitnessRules, load_witness_rules

_PACKAGE = Path(__file__).parent.parent
# Those that are read here.
_FILES = (
    *("limits.toml", "certificates.toml", "tunnels.toml"),
    *("rotation.toml", "activation.toml", "witnesses.toml", "disk.toml"),
    "backups.toml",
)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections the front takes."""

    total: int
    per_peer: int
    new_per_peer_per_s: float
    new_per_peer_burst: int
    handshakes: int
    handshakes_per_peer: int
    longest_hours: float


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How many unary calls a door takes."""

    per_account_per_s: float
    per_account_burst: int
    per_connection_per_s: float
    per_connection_burst: int
    shortest_deadline_ms: int


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many streams of one connection are open, and batches of one stream unanswered."""

    per_connection: int
    window: int
    idle_s: float


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """How large a message grpc itself takes, bytes."""

    hard_bytes: int


@dataclass(frozen=True, slots=True)
class RefusalLimits:
    """How many leaves the calls of nobody make from one address before they are counted."""

    leaves_per_peer_per_s: float
    leaves_per_peer_burst: int


@dataclass(frozen=True, slots=True)
class Limits:
    """All of policies/limits.toml; each number is explained there."""

    connections: ConnectionLimits
    calls: CallLimits
    streams: StreamLimits
    messages: MessageLimits
    refusals: RefusalLimits


@dataclass(frozen=True, slots=True)
class RenewalRules:
    """When certificates are renewed: shares of a life, days, seconds and hours; and how often."""

    window_from: float
    window_until: float
    after_expiry_days: float
    most_per_day: int
    grace_s: float
    list_superseded_after_hours: float


@dataclass(frozen=True, slots=True)
class EnrolmentRules:
    """How long an invitation's code lives, and how much may go wrong, with it and without one."""

    code_hours: float
    attempts: int
    unknown_codes_per_hour: int


@dataclass(frozen=True, slots=True)
class RevocationListRules:
    """How often the revocation list is signed, how long it is valid, from what age it alarms."""

    renew_hours: float
    valid_hours: float
    alarm_hours: float


@dataclass(frozen=True, slots=True)
class WarningRules:
    """Days before the end of a certificate at which it is told, longest first."""

    days: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DefectiveRules:
    """How long a connection with a defective certificate may ask what is wrong."""

    longest_s: float


@dataclass(frozen=True, slots=True)
class CertificateRules:
    """All of policies/certificates.toml; each number is explained there."""

    renewal: RenewalRules
    enrolment: EnrolmentRules
    revocation_list: RevocationListRules
    warnings: WarningRules
    defective: DefectiveRules


@dataclass(frozen=True, slots=True)
class TunnelRules:
    """All of policies/tunnels.toml; each number is explained there."""

    handshake_s: float
    watch_s: float
    cache_s: float
    away_s: float
    wall_look_s: float
    wall_longest_s: float
    unused_days: float
    key_days: float
    overlap_hours: float


@dataclass(frozen=True, slots=True)
class Policies:
    """A policies folder as it was read: its digest (hex) covers every file in it."""

    folder: Path
    sha256: str
    limits: Limits
    certificates: CertificateRules
    tunnels: TunnelRules
    rotation: RotationRules
    activation: ActivationRules
    witnesses: WitnessRules
    disk: DiskRules
    backups: BackupRules


def load_policies(folder: Path) -> Policies:
    """Return the policies in a folder; raises SettingsError naming file and key.

    What an update brought and a folder lacks is told all at once, and where it is copied from.
    """
    source = shipped("policies")
    if missing := [name for name in _FILES if not (folder / name).exists()]:
        raise SettingsError(f"{folder}: copy what is missing from {source}: {', '.join(missing)}")
    limits = load_limits(folder / "limits.toml")
    certificates = load_certificate_rules(folder / "certificates.toml")
    tunnels = load_tunnel_rules(folder / "tunnels.toml")
    rotation = load_rotation_rules(folder / "rotation.toml")
    activation = load_activation_rules(folder / "activation.toml")
    witnesses = load_witness_rules(folder / "witnesses.toml")
    disk = load_disk_rules(folder / "disk.toml")
    backups = load_backup_rules(folder / "backups.toml")
    known = (limits, certificates, tunnels, rotation, activation, witnesses, disk, backups)
    return Policies(folder, digest(folder), *known)


def load_limits(path: Path) -> Limits:
    """Return the limits in a file; raises SettingsError naming the key. Every limit is above 0."""
    limits = build(Limits, read(path), f"{path.name}: ")
    for section in fields(limits):
        group = getattr(limits, section.name)
        for field in fields(group):
            if getattr(group, field.name) <= 0:
                raise SettingsError(f"{path.name}: {section.name}.{field.name}: must be above 0")
    return limits


def load_tunnel_rules(path: Path) -> TunnelRules:
    """Return the rules in a file; raises SettingsError naming the key. Every number is above 0."""
    rules = build(TunnelRules, read(path), f"{path.name}: ")
    for field in fields(rules):
        if getattr(rules, field.name) <= 0:
            raise SettingsError(f"{path.name}: {field.name}: must be above 0")
    return rules


def load_certificate_rules(path: Path) -> CertificateRules:
    """Return the rules in a file; raises SettingsError naming the key."""
    rules = build(CertificateRules, read(path), f"{path.name}: ")
    for key, good, text in _certificate_faults(rules):
        if not good:
            raise SettingsError(f"{path.name}: {key}: {text}")
    return rules


def _certificate_faults(rules: CertificateRules) -> list[tuple[str, bool, str]]:
    renewal, listed, days = rules.renewal, rules.revocation_list, rules.warnings.days
    ordered = 0 < listed.renew_hours < listed.alarm_hours < listed.valid_hours
    window = 0 < renewal.window_from < renewal.window_until < 1
    return [
        ("renewal.window_from", window, "0 < window_from < window_until < 1"),
        ("renewal.after_expiry_days", renewal.after_expiry_days >= 0, "not negative"),
        ("renewal.most_per_day", renewal.most_per_day > 1, "above 1"),
        ("renewal.grace_s", renewal.grace_s > 0, "above 0"),
        (
            "renewal.list_superseded_after_hours",
            renewal.list_superseded_after_hours >= 0,
            "not negative",
        ),
        ("enrolment.code_hours", rules.enrolment.code_hours > 0, "above 0"),
        ("enrolment.attempts", rules.enrolment.attempts > 0, "above 0"),
        (
            "enrolment.unknown_codes_per_hour",
            rules.enrolment.unknown_codes_per_hour > 0,
            "above 0",
        ),
        ("revocation_list.renew_hours", ordered, "0 < renew_hours < alarm_hours < valid_hours"),
        ("warnings.days", bool(days) and min(days) > 0, "days above 0"),
        (
            "warnings.days",
            list(days) == sorted(set(days), reverse=True),
            "longest first, none twice",
        ),
        ("defective.longest_s", rules.defective.longest_s > 0, "above 0"),
    ]


def digest(folder: Path) -> str:
    """Return the SHA-256 over a folder, hex: over the lines that `sha256sum` prints for its files.

    The files go in the order of their relative paths, byte by byte: `LC_ALL=C sort`.
    Raises SettingsError when the folder cannot be read or holds what is no plain file.
    """
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in file_digests(folder).items())
    return hashlib.sha256(lines.encode()).hexdigest()


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256, hex, of each file of a folder by its relative path, in order.

    Raises SettingsError as `digest`.
    """
    found = {}
    for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
        found[path.relative_to(folder).as_posix()] = content
    return found


def shipped(name: str) -> Path:
    """Return the folder `policies` or `certs` as it ships: in the wheel, or in the checkout."""
    packed = _PACKAGE / "_data" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SettingsError(f"{folder}: no such folder")
    found = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise SettingsError(f"{path}: neither a plain file nor a folder")
        if path.is_file():
            found.append(path)
    return found
