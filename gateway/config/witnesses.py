"""policies/witnesses.toml as a frozen value: who suffices, how long the log may go without."""

from dataclasses import dataclass
from pathlib import Path

from gateway.clock import SHANGHAI, to_datetime
from gateway.config.strict import SettingsError, build, read

_HOURS = 24
# More organisations than a province has.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class WitnessRules:
    """All of policies/witnesses.toml; each number is explained there."""

    organisations: int
    offer_s: float
    tail_entries: int
    tail_s: float
    night_tail_s: float
    day_from_hour: int
    day_until_hour: int

    def longest_s(self, now_us: int) -> float:
        """Return how old, at this hour, an entry may be that nobody outside vouches for."""
        hour = to_datetime(now_us).astimezone(SHANGHAI).hour
        by_day = self.day_from_hour <= hour < self.day_until_hour
        return self.tail_s if by_day else self.night_tail_s


def load_witness_rules(path: Path) -> WitnessRules:
    """Return the rules in a file; raises SettingsError naming the key."""
    rules = build(WitnessRules, read(path), f"{path.name}: ")
    day = 0 <= rules.day_from_hour <= rules.day_until_hour <= _HOURS
    for key, good, text in (
        ("organisations", 0 <= rules.organisations <= _MOST, "not negative, a thousand at most"),
        ("offer_s", 1 <= rules.offer_s < rules.tail_s, "a second or more, and less than tail_s"),
        ("tail_entries", rules.tail_entries > 0, "above 0"),
        ("night_tail_s", rules.night_tail_s >= rules.tail_s, "tail_s or more"),
        ("day_from_hour", day, "hours of a day, in order"),
    ):
        if not good:
            raise SettingsError(f"{path.name}: {key}: {text}")
    return rules
