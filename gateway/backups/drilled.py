"""When a backup was last restored in a drill, and how that went: by the log alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.clock import US_PER_S
from gateway.config.backups import BackupRules
from gateway.store.database import Transaction
from gateway.tlog import leaf

KIND = "backup.drill"
_DAY_S = 86_400
_NEWEST = (
    "SELECT time_us, leaf FROM gateway.audit_entry WHERE kind = %s AND decision = 'allow'"
    " ORDER BY idx DESC LIMIT 1"
)
_FIRST = "SELECT time_us FROM gateway.audit_entry WHERE idx = 0"


@dataclass(frozen=True, slots=True)
class LastDrill:
    """The newest good drill: when, None for never, with its RTO and RPO; since when none is newer.

    `late` says that this is longer ago than the policy allows.
    """

    good_us: int | None
    since_us: int
    late: bool
    rto_s: int = 0
    rpo_s: int = 0

    def age_s(self, now_us: int) -> float:
        """Return how long there is none that is newer: of a new gateway, its whole life."""
        return max(0, now_us - self.since_us) / US_PER_S


async def read(tx: Transaction, rules: BackupRules, now_us: int) -> LastDrill:
    """Return how it stands now; the reader may read leaves."""
    bound_us = round(rules.limits.drill_days * _DAY_S * US_PER_S)
    row = await tx.fetch_one(_NEWEST, (KIND,))
    if row is None:
        first = await tx.fetch_one(_FIRST)
        # The log of a HOME that is being founded has no first leaf yet.
        since_us = now_us if first is None else int(first[0])
        return LastDrill(None, since_us, now_us >= since_us + bound_us)
    detail = leaf.parse(bytes(row[1])).get("detail")
    told = detail if isinstance(detail, Mapping) else {}
    took = (int(str(told.get("rto_s", 0))), int(str(told.get("rpo_s", 0))))
    return LastDrill(row[0], row[0], now_us >= row[0] + bound_us, *took)
