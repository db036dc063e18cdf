"""policies/activation.toml as a frozen value: how long two signatures and a loosening wait."""

from dataclasses import dataclass
from pathlib import Path

from gateway.config.strict import SettingsError, build, read


@dataclass(frozen=True, slots=True)
class ActivationRules:
    """All of policies/activation.toml; each number is explained there."""

    apart_s: int
    loosening_hours: float


def load_activation_rules(path: Path) -> ActivationRules:
    """Return the rules in a file; raises SettingsError naming the key."""
    rules = build(ActivationRules, read(path), f"{path.name}: ")
    for key, value in (("apart_s", rules.apart_s), ("loosening_hours", rules.loosening_hours)):
        if value <= 0:
            raise SettingsError(f"{path.name}: {key}: must be above 0")
    return rules
