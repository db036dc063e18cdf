"""How old the newest verified backup is: by the log alone, which nobody quietly changes."""

from dataclasses import dataclass, replace
from typing import Literal

from gateway.clock import US_PER_S
from gateway.config.backups import BackupRules
from gateway.store.database import Transaction

State = Literal["good", "late", "blocking"]
_DAY_S, _HOUR_S = 86_400, 3_600
_NEWEST = "SELECT kept_us, since_us FROM gateway.backup_newest()"


@dataclass(frozen=True, slots=True)
class Standing:
    """When a backup was last verified, None for never; since when none was; how that is judged.

    `warns_us` is from when on it is told as late.
    """

    kept_us: int | None
    since_us: int
    state: State
    places: int
    warns_us: int

    def age_s(self, now_us: int) -> float:
        """Return how long there is none that is newer: of a new gateway, its whole life."""
        return max(0, now_us - self.since_us) / US_PER_S


def blocks_from_us(found: Standing, rules: BackupRules) -> int:
    """Return from when on exports are blocked where no newer backup comes."""
    return found.since_us + round(rules.limits.block_days * _DAY_S * US_PER_S)


async def read(tx: Transaction, rules: BackupRules, now_us: int) -> Standing:
    """Return how it stands now."""
    [(kept_us, since_us)] = await tx.fetch(_NEWEST)
    # The log of a HOME that is being founded has no first leaf yet.
    begun_us = now_us if since_us is None else since_us
    warns_us = begun_us + round(rules.limits.warn_hours * _HOUR_S * US_PER_S)
    found = Standing(kept_us, begun_us, "good", len(rules.places.folders), warns_us)
    if now_us >= blocks_from_us(found, rules):
        return replace(found, state="blocking")
    late = not found.places or now_us >= warns_us
    return replace(found, state="late") if late else found
