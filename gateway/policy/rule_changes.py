"""What another exports.toml allows that the one in force does not, and the other way round. Pure.

The replay of decisions asks Cedar alone; these numbers decide as much. Where it is not plain which
way a number opens, a change of it opens.
"""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Literal

from gateway.config.exports import EXPORTS_FILE, ExportRules

Way = Literal["opens", "closes"]
# Less is more allowed: a finer or an earlier count, fewer persons who come sooner. `memory_days` is
# not here nor there: a longer memory knows more that is usual, a shorter one forgets that there was
# anything to be unlike.
_LESS_OPENS = frozenset(
    {"count.round_to", "count.every_minutes", "approvals.needed", "approvals.apart_s"}
)
_EITHER_OPENS = frozenset({"unusual.memory_days"})
# So many signs of something unusual; 0 is never, more than any number.
_ZERO_IS_NEVER = frozenset({"unusual.three_persons_from", "unusual.blocked_from"})


def opened(old: ExportRules | None, new: ExportRules | None) -> tuple[str, ...]:
    """Return what is newly allowed, a line each; None where a bundle has no such rules."""
    return tuple(line for way, line in _changes(old, new) if way == "opens")


def closed(old: ExportRules | None, new: ExportRules | None) -> tuple[str, ...]:
    """Return what is newly denied, likewise."""
    return tuple(line for way, line in _changes(old, new) if way == "closes")


def _changes(old: ExportRules | None, new: ExportRules | None) -> Iterator[tuple[Way, str]]:
    if old is None or new is None:
        if old is not new:
            yield ("opens" if old is None else "closes"), f"{EXPORTS_FILE}: all of it"
        return
    before, after = dict(_values(old)), dict(_values(new))
    for key, value in before.items():
        for way, change in _of(key, value, after[key]):
            yield way, f"{EXPORTS_FILE}: {key}: {change}"


def _values(rules: object, above: str = "") -> Iterator[tuple[str, object]]:
    for one in fields(rules):  # type: ignore[arg-type] # a dataclass, as are its sections
        value, key = getattr(rules, one.name), f"{above}{one.name}"
        if is_dataclass(value):
            yield from _values(value, f"{key}.")
        else:
            yield key, value


def _of(key: str, old: object, new: object) -> Iterator[tuple[Way, str]]:
    if isinstance(old, tuple) and isinstance(new, tuple):
        yield from (("opens", f"+ {word}") for word in _beyond(new, old))
        yield from (("closes", f"- {word}") for word in _beyond(old, new))
    elif isinstance(old, (int, float)) and isinstance(new, (int, float)) and old != new:
        more = _weight(key, new) > _weight(key, old)
        opens = key in _EITHER_OPENS or more != (key in _LESS_OPENS)
        yield ("opens" if opens else "closes"), f"{old} -> {new}"


def _beyond(words: Iterable[str], known: Iterable[str]) -> list[str]:
    return sorted(set(words) - set(known))


def _weight(key: str, number: float) -> float:
    return float("inf") if key in _ZERO_IS_NEVER and number == 0 else number
