"""policies/backups.toml as frozen values: when backups are made, where, how long they are kept."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.strict import SettingsError, build, read

FILE = "backups.toml"
OFFERED = "offered"
_FORMS = (OFFERED, "base", "dump")
# What lies in one place is lost with it.
PLACES = 2
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_DAY_HOURS = 24.0
# What is longer is a slip of the pen.
_MOST = 1000
# A restore opens as many backups at most, and one that is lost takes the later ones with it.
FULL_DAYS_MOST = 31


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """The folders, absolute paths, none or two and more; KiB a second, 0 for any number."""

    folders: tuple[str, ...]
    rate_kib: int

    @property
    def paths(self) -> tuple[Path, ...]:
        """The folders."""
        return tuple(map(Path, self.folders))


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """Times of the day in Beijing, "HH:MM"; where a recipient's key is mounted, "" for nowhere.

    Every so many days it is a base backup, in between what changed; 1: always, as it was before.
    """

    times: tuple[str, ...]
    drill_identity: str
    full_days: int = 1


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Of how many days, weeks and months the newest backup is kept."""

    daily: int
    weekly: int
    monthly: int


@dataclass(frozen=True, slots=True)
class WalRules:
    """How often the journal's newest part goes into the places, seconds; 0: never."""

    tail_s: float


@dataclass(frozen=True, slots=True)
class ExternalRules:
    """Of another's server: its files where it offers them and else a dump; "base", "dump" alone."""

    form: str = OFFERED


@dataclass(frozen=True, slots=True)
class LimitRules:
    """After how many hours without a verified backup is warned, after how many days blocked.

    After how many days without a good drill is warned.
    """

    warn_hours: float
    block_days: float
    drill_days: float


@dataclass(frozen=True, slots=True)
class BackupRules:
    """All of policies/backups.toml; each number is explained there."""

    places: PlaceRules
    schedule: ScheduleRules
    retention: RetentionRules
    wal: WalRules
    limits: LimitRules
    external: ExternalRules = field(default_factory=ExternalRules)


def load_backup_rules(path: Path) -> BackupRules:
    """Return the rules in a file; raises SettingsError naming the key."""
    rules = build(BackupRules, read(path), f"{path.name}: ")
    for key, good, text in _faults(rules):
        if not good:
            raise SettingsError(f"{path.name}: {key}: {text}")
    return rules


def _faults(rules: BackupRules) -> list[tuple[str, bool, str]]:
    folders, times, kept = rules.places.folders, rules.schedule.times, rules.retention
    plain = all(Path(one).is_absolute() and ".." not in Path(one).parts for one in folders)
    apart = len({Path(one) for one in folders}) == len(folders) != 1
    limits, key = rules.limits, rules.schedule.drill_identity
    return [
        ("places.folders", plain, "absolute paths"),
        ("places.folders", apart, f"none, or {PLACES} and more, none twice"),
        ("places.rate_kib", rules.places.rate_kib >= 0, "not negative"),
        ("schedule.times", bool(times) and all(map(_TIME.fullmatch, times)), "times as 02:00"),
        ("schedule.times", list(times) == sorted(set(times)), "in order, none twice"),
        (
            "schedule.drill_identity",
            not key or Path(key).is_absolute(),
            "an absolute path, or none",
        ),
        ("schedule.full_days", 1 <= rules.schedule.full_days <= FULL_DAYS_MOST, "1 to 31"),
        ("retention.daily", 1 <= kept.daily <= _MOST, "1 to 1000"),
        ("retention.weekly", 0 <= kept.weekly <= _MOST, "0 to 1000"),
        ("retention.monthly", 0 <= kept.monthly <= _MOST, "0 to 1000"),
        ("wal.tail_s", rules.wal.tail_s == 0 or rules.wal.tail_s >= 1, "0, or a second or more"),
        ("external.form", rules.external.form in _FORMS, f"one of {', '.join(_FORMS)}"),
        ("limits.warn_hours", limits.warn_hours > 0, "above 0"),
        (
            "limits.block_days",
            limits.block_days * _DAY_HOURS > limits.warn_hours,
            "longer than warn_hours",
        ),
        ("limits.drill_days", limits.drill_days > 0, "above 0"),
    ]
