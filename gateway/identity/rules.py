"""The password policy as frozen values: dated profiles, sessions, failed logins, accounts.

`rule_files` reads them from policies/.
"""

from dataclasses import dataclass, replace

from gateway.clock import US_PER_S
from gateway.config.strict import SettingsError

MINUTE_US = 60 * US_PER_S
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
# 9999-12-31: what stands where nothing ends; still a valid Timestamp of protobuf.
NEVER_US = 253_402_214_400 * US_PER_S


@dataclass(frozen=True, slots=True)
class Profile:
    """What a password must be; each key is explained in policies/passwords/.

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

    def stricter_than(self, days: int) -> bool:
        """Tell whether passwords may be less old than that many days (0: of any age)."""
        return self.maximum_age_days > 0 and (days == 0 or self.maximum_age_days < days)

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
class Dated:
    """A profile, from when on it rules (microseconds), and the SHA-256 (hex) of its file."""

    name: str
    valid_from_us: int
    sha256: str
    profile: Profile


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
    """All of policies/passwords.toml, and as `dated` the profiles of policies/passwords/."""

    profile: str
    blocklist: Blocklist
    session: SessionLimits
    throttle: ThrottleLimits
    accounts: AccountLimits
    break_glass: BreakGlassLimits
    service: ServiceRules
    dated: tuple[Dated, ...] = ()

    def at(self, now_us: int) -> Profile:
        """Return the profile in force at a moment; raises SettingsError where none is valid yet."""
        return self.ruling(now_us).profile

    def ruling(self, now_us: int) -> Dated:
        """Return the newest of the chosen name that is valid at a moment; raises as `at` does."""
        valid = [one for one in self._chosen if one.valid_from_us <= now_us]
        if not valid:
            raise SettingsError(f"passwords: no profile {self.profile} is valid yet")
        return valid[-1]

    def coming(self, now_us: int) -> tuple[Dated, ...]:
        """Return those of the chosen name that will follow, the next one first."""
        return tuple(one for one in self._chosen if now_us < one.valid_from_us)

    def tightened(self, since_us: int, now_us: int) -> "Rules":
        """Return these rules knowing since when passwords may be no older than they may be now.

        What follows and is stricter than what it follows counts from its own day on.
        """
        known, before = [], self.ruling(now_us)
        for one in (before, *self.coming(now_us)):
            if one.profile.stricter_than(before.profile.maximum_age_days):
                since_us = one.valid_from_us
            known.append(replace(one, profile=replace(one.profile, tightened_us=since_us)))
            before = one
        since = known[0].valid_from_us
        rest = [one for one in self.dated if one.name != self.profile or one.valid_from_us < since]
        return replace(self, dated=(*rest, *known))

    @property
    def _chosen(self) -> list[Dated]:
        named = [one for one in self.dated if one.name == self.profile]
        return sorted(named, key=lambda one: one.valid_from_us)
