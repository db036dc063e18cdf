"""When a backup is due, and which are kept: pure functions of policy and time, Beijing's days."""

from collections.abc import Callable, Container, Iterable
from datetime import datetime, time, timedelta

from gateway.clock import SHANGHAI, civil_day, from_datetime
from gateway.config.backups import RetentionRules


def due_since_us(times: Iterable[str], now_us: int) -> int:
    """Return the newest scheduled moment that is not after now."""
    today = civil_day(now_us)
    moments = [
        from_datetime(datetime.combine(day, time.fromisoformat(one), SHANGHAI))
        for day in (today - timedelta(days=1), today)
        for one in times
    ]
    return max(one for one in moments if one <= now_us)


def retained(
    made_us: Iterable[int], rules: RetentionRules, base_us: Container[int] | None = None
) -> frozenset[int]:
    """Return which of these backups, by the moment they were made, are kept.

    The newest of each of the last days, ISO weeks and months that have one; the newest of all.
    Of weeks and months the newest base backup (`base_us`; None: all are): it stands alone.
    """
    newest_first = sorted(set(made_us), reverse=True)
    based = [one for one in newest_first if base_us is None or one in base_us]
    kept = set(newest_first[:1])
    kept.update(_newest_of_each(newest_first, civil_day)[: rules.daily])
    kept.update(_newest_of_each(based, _week)[: rules.weekly])
    kept.update(_newest_of_each(based, _month)[: rules.monthly])
    return frozenset(kept)


def _week(us: int) -> tuple[int, int]:
    return civil_day(us).isocalendar()[:2]


def _month(us: int) -> tuple[int, int]:
    return civil_day(us).year, civil_day(us).month


def _newest_of_each(newest_first: list[int], span: Callable[[int], object]) -> list[int]:
    found: dict[object, int] = {}
    for one in newest_first:
        found.setdefault(span(one), one)
    return list(found.values())
