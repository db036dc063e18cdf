"""policies/passwords.toml as frozen values: password profile, sessions, failed logins, accounts."""

from dataclasses import dataclass, replace
from pathlib import Path

from gateway.clock import US_PER_S
from gateway.config.strict import SettingsError, build, read

MINUTE_US = 60 * US_PER_S
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
# 9999-12-31: what stands where nothing ends; still a valid Timestamp of protobuf.
NEVER_US = 253_402_214_400 * US_PER_S
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


@dataclass(frozen=True, slots=True)
class Profile:
    """What a password must be; each key is explained in policies/passwords.toml.

    `tightened_us` is no key of the file: since when passwords of this gateway may be no older than
    `maximum_age_days` (`Rules.tightened`), 0 where that is not known.
    """

    minimum_length: int
    maximum_length: int
    minimum_classes: int
    maximum_age_days: int
    warning_days: tuple[int, ...]
    history_count: int
    minimum_age_hours: int
    minimum_strength: int
    minimum_rest_length: int
    minimum_changes: int
    one_time_hours: int
    grace_days: int
    tightened_us: int = 0

    def expires_us(self, set_us: int) -> int:
        """Return when a password set at that time ends."""
        return set_us + self.maximum_age_days * DAY_US if self.maximum_age_days else NEVER_US

    def ends_us(self, set_us: int, promised_us: int) -> int:
        """Return when a password ends that was to end at `promised_us` under the policy of then.

        Earlier under a stricter one since (Keycloak #39208), but never before its owner could be
        warned: the first of the warning days counts from the day the policy became stricter.
        """
        warned_us = self.tightened_us + max(self.warning_days, default=0) * DAY_US
        known = self.tightened_us > 0
        return min(promised_us, max(self.expires_us(set_us), warned_us if known else 0))

    def blocks_us(self, ends_us: int) -> int:
        """Return from when on a password that ended opens nothing."""
        return min(ends_us + self.grace_days * DAY_US, NEVER_US)

    def warning(self, expires_us: int, now_us: int) -> int | None:
        """Return the step of `warning_days` that is reached, None when the end is further off."""
        reached = [days for days in self.warning_days if expires_us - now_us <= days * DAY_US]
        return min(reached, default=None)


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles there are to choose from."""

    mlps3: Profile
    nist: Profile


@dataclass(frozen=True, slots=True)
class Blocklist:
    """Words that do not count in a password."""

    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session and a token live."""

    idle_minutes: int
    absolute_hours: int
    token_minutes: int


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """When failed logins block, and for how long; and when until an officer unlocks."""

    failures: int
    longest_block_minutes: int
    forget_hours: int
    lock_failures: int
    lock_hours: int

    def block_us(self, beyond: int) -> int:
        """Return how long a failure `beyond` the limit blocks: 1, 2, 4, ... minutes."""
        doublings = min(beyond, self.longest_block_minutes.bit_length())
        return min(self.longest_block_minutes, 1 << doublings) * MINUTE_US

    @property
    def fastest_us(self) -> int:
        """The shortest time, blocks included, in which `lock_failures` can be reached."""
        return sum(map(self.block_us, range(self.lock_failures - self.failures)))


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """After how many days without a login an account is disabled; how many before, it is told."""

    unused_days: int
    unused_warning_days: int

    @property
    def unused_us(self) -> int:
        """How long nobody may use it."""
        return self.unused_days * DAY_US

    @property
    def told_us(self) -> int:
        """From how long on it is told."""
        return (self.unused_days - self.unused_warning_days) * DAY_US


@dataclass(frozen=True, slots=True)
class BreakGlassLimits:
    """How long an opening waits for its officers, how long it is open, how often it is drilled."""

    confirm_minutes: int
    session_minutes: int
    drill_days: int

    @property
    def confirm_us(self) -> int:
        """How long it waits."""
        return self.confirm_minutes * MINUTE_US

    @property
    def session_us(self) -> int:
        """How long it is open."""
        return self.session_minutes * MINUTE_US


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """How service accounts' secrets follow one another, and what one must be."""

    overlap_hours: int
    minimum_hours: int
    window_from: float
    window_until: float
    minimum_length: int
    maximum_length: int
    minimum_distinct: int


@dataclass(frozen=True, slots=True)
class Rules:
    """All of policies/passwords.toml."""

    profile: str
    profiles: Profiles
    blocklist: Blocklist
    session: SessionLimits
    throttle: ThrottleLimits
    accounts: AccountLimits
    break_glass: BreakGlassLimits
    service: ServiceRules

    @property
    def active(self) -> Profile:
        """The profile in force."""
        return self.profiles.mlps3 if self.profile == "mlps3" else self.profiles.nist

    def tightened(self, since_us: int) -> "Rules":
        """Return these rules knowing since when passwords may be no older."""
        active = replace(self.active, tightened_us=since_us)
        return replace(self, profiles=replace(self.profiles, **{self.profile: active}))


def load(path: Path) -> Rules:
    """Return the rules of a file.

    Raises SettingsError naming the key that is unknown, missing or out of range.
    """
    rules = build(Rules, read(path), f"{path.name}: ")
    for key, holds in _ranges(rules):
        if not holds:
            msg = f"{path.name}: {key}: out of range"
            raise SettingsError(msg)
    return rules


def _ranges(rules: Rules) -> list[tuple[str, bool]]:
    session, accounts = rules.session, rules.accounts
    return [
        ("profile", rules.profile in ("mlps3", "nist")),
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
        *_of_profile("mlps3", rules.profiles.mlps3),
        *_of_profile("nist", rules.profiles.nist),
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


def _of_profile(name: str, profile: Profile) -> list[tuple[str, bool]]:
    in_order = (
        _SHORTEST_PASSWORD <= profile.minimum_length < profile.maximum_length <= _LONGEST_PASSWORD
    )
    one_time = 1 <= profile.one_time_hours <= _LONGEST_ONE_TIME_HOURS
    found = [
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
    return [(f"profiles.{name}.{key}", holds) for key, holds in found]
