"""policies/rotation.toml as frozen values: how old the secrets of the gateway's host may grow."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from gateway.config.strict import SettingsError, build, read

_DAY_HOURS = 24.0
# A century: what is longer is a slip of the pen, and no clock reaches it.
_LONGEST_DAYS = 36_525.0
# What the gateway changes by itself: two generations are never less than a day apart.
_BY_ITSELF = ("sealing_key_days", "export_key_days", "database_password_days")


@dataclass(frozen=True, slots=True)
class TokenKeyRules:
    """How long a token key signs, is published before that, and is taken after it."""

    sign_days: float
    publish_hours: float
    verify_hours: float


@dataclass(frozen=True, slots=True)
class SignerKeyRules:
    """How long the log is signed with the key before too, once another follows it."""

    overlap_days: float = 30.0


@dataclass(frozen=True, slots=True)
class AgeRules:
    """After how many days a secret of the host is changed; 0: age asks for no change."""

    signer_key_days: float
    sealing_key_days: float
    index_key_days: float
    database_password_days: float
    backup_recipient_days: float
    break_glass_days: float
    # A file of an older version lacks these.
    export_key_days: float = 365.0
    export_token_key_days: float = 0.0
    export_ticket_key_days: float = 0.0
    invitation_key_days: float = 0.0
    side_part_key_days: float = 0.0
    subject_tag_key_days: float = 0.0
    witness_key_days: float = 365.0


@dataclass(frozen=True, slots=True)
class EngineRules:
    """When it is told before an end, what is late, and how many failures raise an alarm."""

    warning_days: tuple[int, ...]
    late_hours: float
    alarm_failures: int


@dataclass(frozen=True, slots=True)
class RotationRules:
    """All of policies/rotation.toml; each number is explained there."""

    token_keys: TokenKeyRules
    ages: AgeRules
    engine: EngineRules
    # A file of an older version lacks it.
    signer_key: SignerKeyRules = field(default_factory=SignerKeyRules)


def load_rotation_rules(path: Path) -> RotationRules:
    """Return the rules in a file; raises SettingsError naming the key."""
    rules = build(RotationRules, read(path), f"{path.name}: ")
    for key, good, text in _faults(rules):
        if not good:
            raise SettingsError(f"{path.name}: {key}: {text}")
    return rules


def _faults(rules: RotationRules) -> list[tuple[str, bool, str]]:
    keys, ages, engine = rules.token_keys, rules.ages, rules.engine
    days = engine.warning_days
    # So two generations are a day apart, and a token (10 minutes at most) outlives no key.
    ahead = _DAY_HOURS <= keys.publish_hours < keys.sign_days * _DAY_HOURS
    return [
        ("token_keys.sign_days", keys.sign_days <= _LONGEST_DAYS, "a century at most"),
        ("token_keys.publish_hours", ahead, "a day or more, and less than sign_days"),
        ("token_keys.verify_hours", 1 <= keys.verify_hours < _DAY_HOURS, "an hour to a day"),
        (
            "signer_key.overlap_days",
            1 <= rules.signer_key.overlap_days <= _LONGEST_DAYS,
            "a day to a century",
        ),
        *(_age(one.name, getattr(ages, one.name)) for one in fields(ages)),
        *(_apart(name, getattr(ages, name)) for name in _BY_ITSELF),
        ("engine.warning_days", bool(days) and min(days) > 0, "days above 0"),
        (
            "engine.warning_days",
            list(days) == sorted(set(days), reverse=True),
            "longest first, none twice",
        ),
        ("engine.late_hours", 0 < engine.late_hours <= _DAY_HOURS, "above 0, at most a day"),
        ("engine.alarm_failures", engine.alarm_failures > 0, "above 0"),
    ]


def _age(name: str, days: float) -> tuple[str, bool, str]:
    return f"ages.{name}", 0 <= days <= _LONGEST_DAYS, "not negative, a century at most"


def _apart(name: str, days: float) -> tuple[str, bool, str]:
    return f"ages.{name}", days == 0 or days >= 1, "0, or a day or more"
