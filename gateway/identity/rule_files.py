"""Reads policies/passwords.toml and the dated profiles beside it, each value in its range.

A profile's file is named after it and the day from which it rules: `mlps3-2019-12-01.toml`. One
that is valid later waits for its day in the same process. A HOME from before there were such files
has its profiles in passwords.toml itself: they are valid from ever.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gateway.clock import from_datetime
from gateway.config.strict import SettingsError, build, read
from gateway.identity.rules import (
    HOUR_US,
    BreakGlassLimits,
    Dated,
    Profile,
    Rules,
    ServiceRules,
    ThrottleLimits,
)

NAMES = ("mlps3", "nist")
_FILE = re.compile(r"(?P<name>[a-z0-9]+)-(?P<day>\d{4}-\d{2}-\d{2})\.toml", re.ASCII)
# What the contract allows (design/contract.md, "Tokens live").
_LONGEST_TOKEN_MINUTES = 10
# Below these no profile goes: SP 800-63B-4, 3.1.1.2 (8 characters where the password is the second
# factor).
_SHORTEST_PASSWORD = 8
_LONGEST_PASSWORD = 128
_CLASSES = 4
_STRONGEST = 4
# 25 ms of argon2id each at every change.
_LONGEST_HISTORY = 24
_LONGEST_ONE_TIME_HOURS = 72
# What ended restricts for no longer than it was meant to last at least (GB/T 22239 8.1.4.1 a).
_LONGEST_GRACE_DAYS = 30
# 160 bits at 6 a character; and how long a secret that was replaced may be taken.
_SHORTEST_SECRET = 27
_LONGEST_OVERLAP_HOURS = 168
# A lock that takes more guesses than this protects no password.
_MOST_LOCK_FAILURES = 1_000


def load(path: Path) -> Rules:
    """Return the rules of a file, and the profiles of the folder of its name beside it.

    Raises SettingsError naming file and key: unknown, missing or out of range.
    """
    table = read(path)
    if "dated" in table:
        raise SettingsError(f"{path.name}: dated: unknown key")
    former = table.pop("profiles", {})
    rules = build(Rules, table, f"{path.name}: ")
    _require(_ranges(rules), f"{path.name}: ")
    dated = [*_within(former, path), *map(_dated, sorted(path.with_suffix("").glob("*")))]
    if len({(one.name, one.valid_from_us) for one in dated}) < len(dated):
        raise SettingsError(f"{path.stem}/: valid_from: twice the same")
    if not any(one.name == rules.profile for one in dated):
        raise SettingsError(f"{path.name}: profile: there is no file of {rules.profile}")
    return replace(rules, dated=tuple(dated))


def _within(tables: object, path: Path) -> Iterator[Dated]:
    """Return the profiles that stand in passwords.toml itself."""
    if not isinstance(tables, Mapping):
        raise SettingsError(f"{path.name}: profiles: must be a table")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for name, table in tables.items():
        if name not in NAMES or not isinstance(table, Mapping):
            raise SettingsError(f"{path.name}: profiles.{name}: unknown key")
        yield Dated(name, 0, sha256, _profile(table, f"{path.name}: profiles.{name}."))


def _dated(path: Path) -> Dated:
    """Return the profile of a file of its own."""
    where = f"{path.parent.name}/{path.name}: "
    named = _FILE.fullmatch(path.name)
    if named is None or named["name"] not in NAMES:
        raise SettingsError(f"{where}not named <profile>-<day>.toml")
    table = read(path)
    since = table.pop("valid_from", None)
    if not isinstance(since, datetime) or since.tzinfo is None:
        raise SettingsError(f"{where}valid_from: must be a time with its offset")
    if since.date().isoformat() != named["day"]:
        raise SettingsError(f"{where}valid_from: another day than the file's name")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Dated(named["name"], from_datetime(since), sha256, _profile(table, where))


def _profile(table: Mapping[str, object], where: str) -> Profile:
    profile = build(Profile, table, where)
    _require(_of_profile(profile), where)
    return profile


def _require(ranges: list[tuple[str, bool]], where: str) -> None:
    for key, holds in ranges:
        if not holds:
            raise SettingsError(f"{where}{key}: out of range")


def _ranges(rules: Rules) -> list[tuple[str, bool]]:
    session, accounts = rules.session, rules.accounts
    return [
        ("profile", rules.profile in NAMES),
        ("session.token_minutes", 1 <= session.token_minutes <= _LONGEST_TOKEN_MINUTES),
        ("session.idle_minutes", session.idle_minutes > session.token_minutes),
        ("session.absolute_hours", 1 <= session.absolute_hours <= 24),  # noqa: PLR2004  a day
        *_of_throttle(rules.throttle),
        (
            "accounts.unused_warning_days",
            0 < accounts.unused_warning_days < accounts.unused_days,
        ),
        *_of_break_glass(rules.break_glass),
        *_of_service(rules.service),
    ]


def _of_throttle(limits: ThrottleLimits) -> list[tuple[str, bool]]:
    """Judge the limits, by the arithmetic that will be used, for whether they have an effect.

    A count that is forgotten before it is full, or whose blocks take longer than the hours it is
    counted in, would lock nobody, silently (Keycloak #28821).
    """
    in_order = limits.failures < limits.lock_failures <= _MOST_LOCK_FAILURES
    reached = in_order and limits.fastest_us < limits.lock_hours * HOUR_US
    return [
        ("throttle.failures", limits.failures >= 1),
        ("throttle.longest_block_minutes", limits.longest_block_minutes >= 1),
        ("throttle.forget_hours", limits.forget_hours * 60 >= limits.longest_block_minutes),
        ("throttle.lock_hours", 1 <= limits.lock_hours <= limits.forget_hours),
        ("throttle.lock_failures", reached),
    ]


def _of_break_glass(limits: BreakGlassLimits) -> list[tuple[str, bool]]:
    # Stricter only: the session of issue 5 lives 60 minutes, its drill is quarterly.
    return [
        ("break_glass.confirm_minutes", 1 <= limits.confirm_minutes <= 60),  # noqa: PLR2004  an hour
        ("break_glass.session_minutes", 1 <= limits.session_minutes <= 60),  # noqa: PLR2004  an hour
        ("break_glass.drill_days", 1 <= limits.drill_days <= 92),  # noqa: PLR2004  a quarter
    ]


def _of_service(service: ServiceRules) -> list[tuple[str, bool]]:
    lengths = _SHORTEST_SECRET <= service.minimum_length <= service.maximum_length
    return [
        ("service.minimum_hours", 1 <= service.minimum_hours <= service.overlap_hours),
        ("service.overlap_hours", service.overlap_hours <= _LONGEST_OVERLAP_HOURS),
        ("service.window_from", 0 < service.window_from <= service.window_until < 1),
        ("service.minimum_length", lengths),
        ("service.maximum_length", service.maximum_length <= _LONGEST_PASSWORD),
        ("service.minimum_distinct", 1 <= service.minimum_distinct <= service.minimum_length // 2),
    ]


def _of_profile(profile: Profile) -> list[tuple[str, bool]]:
    in_order = (
        _SHORTEST_PASSWORD <= profile.minimum_length < profile.maximum_length <= _LONGEST_PASSWORD
    )
    one_time = 1 <= profile.one_time_hours <= _LONGEST_ONE_TIME_HOURS
    return [
        ("minimum_length", in_order),
        ("minimum_classes", 1 <= profile.minimum_classes <= _CLASSES),
        ("maximum_age_days", profile.maximum_age_days >= 0),
        ("warning_days", all(days > 0 for days in profile.warning_days)),
        ("history_count", 1 <= profile.history_count <= _LONGEST_HISTORY),
        ("minimum_age_hours", profile.minimum_age_hours >= 0),
        ("minimum_strength", 0 <= profile.minimum_strength <= _STRONGEST),
        ("minimum_changes", profile.minimum_changes >= 1),
        ("one_time_hours", one_time),
        ("grace_days", 0 <= profile.grace_days <= _LONGEST_GRACE_DAYS),
        ("tightened_us", profile.tightened_us == 0),
    ]
