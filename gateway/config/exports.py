"""policies/cedar/exports.toml as frozen values: what may be asked for, counted, approved, and when.

It lies among the Cedar policies because it is part of their bundle: two officers sign it too.
"""

from dataclasses import dataclass, fields

from gateway.config.strict import SettingsError, build, parse

EXPORTS_FILE = "exports.toml"

# A leaf's integer is exact up to 2^53; a cap is far below (exports.md section 8, attack 38).
_LARGEST = 10_000_000
_HOURS = 24
_DAYS = 365


@dataclass(frozen=True, slots=True)
class PlanRules:
    """The closed lists, the caps and the longest window of a plan."""

    purposes: tuple[str, ...]
    legal_bases: tuple[str, ...]
    whole_birth_for: tuple[str, ...]
    row_cap: int
    child_cap: int
    vaccine_codes: int
    units: int
    divisions: int
    columns: int
    window_days: int
    ahead_days: int
    keep_days: int


@dataclass(frozen=True, slots=True)
class CountRules:
    """How a dry-run count is told, and how often a person has one."""

    round_to: int
    every_minutes: int


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """How many persons, how far apart, and within how many hours of the submission.

    A draft waits so many days for that.
    """

    needed: int
    apart_s: int
    within_hours: int
    draft_days: int


@dataclass(frozen=True, slots=True)
class UnusualRules:
    """What counts as unusual of a requester, and what follows from how many signs of it.

    `first_is_new`: of whom nothing was released yet, purpose and division are new.
    """

    first_is_new: bool
    memory_days: int
    size_factor: float
    hours_apart: int
    three_persons_from: int
    blocked_from: int


@dataclass(frozen=True, slots=True)
class QuotaRules:
    """Distinct children at most, released to a recipient's organisation, and asked for by a person.

    In the last day, month (30 days) and year (365 days).
    """

    organisation_day: int
    organisation_month: int
    organisation_year: int
    person_day: int
    person_month: int
    person_year: int


@dataclass(frozen=True, slots=True)
class BoundRules:
    """How many drafts a person has at once, how often a file is fetched, and the days of a recall.

    Within those days of it the file must be destroyed, whatever its plan says.
    """

    drafts: int
    fetches: int
    recall_days: int


@dataclass(frozen=True, slots=True)
class ExportRules:
    """All of exports.toml; each number is explained there."""

    plan: PlanRules
    count: CountRules
    approvals: ApprovalRules
    unusual: UnusualRules
    quota: QuotaRules
    bounds: BoundRules


def export_rules(text: str) -> ExportRules:
    """Return the rules in the text of the file; raises SettingsError naming the key."""
    rules = build(ExportRules, parse(text, EXPORTS_FILE), f"{EXPORTS_FILE}: ")
    for key, good, said in [*_plan_faults(rules.plan), *_faults(rules)]:
        if not good:
            raise SettingsError(f"{EXPORTS_FILE}: {key}: {said}")
    return rules


def _plan_faults(rules: PlanRules) -> list[tuple[str, bool, str]]:
    found = [
        (f"plan.{one.name}", 0 < value <= _LARGEST, f"above 0, at most {_LARGEST}")
        for one in fields(rules)
        if isinstance(value := getattr(rules, one.name), int)
    ]
    for name in ("purposes", "legal_bases"):
        words = getattr(rules, name)
        found.append((f"plan.{name}", 0 < len(words) == len(set(words)), "some, none twice"))
    known = set(rules.whole_birth_for) <= set(rules.purposes)
    return [*found, ("plan.whole_birth_for", known, "purposes of the list")]


def _faults(rules: ExportRules) -> list[tuple[str, bool, str]]:
    count, approvals, unusual = rules.count, rules.approvals, rules.unusual
    return [
        *_quota_faults(rules.quota),
        ("count.round_to", count.round_to > 0, "above 0"),
        ("count.every_minutes", count.every_minutes > 0, "above 0"),
        # One person never starts anything, whatever the file says.
        ("approvals.needed", approvals.needed in (2, 3), "2 or 3"),
        ("approvals.apart_s", approvals.apart_s > 0, "above 0"),
        ("approvals.within_hours", approvals.within_hours > 0, "above 0"),
        ("approvals.draft_days", 0 < approvals.draft_days <= _DAYS, f"1 to {_DAYS}"),
        *_bounds_faults(rules.bounds),
        ("unusual.three_persons_from", unusual.three_persons_from >= 0, "not negative"),
        ("unusual.blocked_from", unusual.blocked_from >= 0, "not negative"),
        ("unusual.memory_days", unusual.memory_days > 0, "above 0"),
        ("unusual.size_factor", unusual.size_factor >= 1, "1 or more"),
        ("unusual.hours_apart", 0 <= unusual.hours_apart < _HOURS, "hours of a day"),
    ]


def _quota_faults(rules: QuotaRules) -> list[tuple[str, bool, str]]:
    return [
        (f"quota.{one.name}", 0 <= getattr(rules, one.name) <= _LARGEST, f"0 to {_LARGEST}")
        for one in fields(rules)
    ]


def _bounds_faults(rules: BoundRules) -> list[tuple[str, bool, str]]:
    most = {"recall_days": _DAYS}
    return [
        (f"bounds.{one.name}", 0 < getattr(rules, one.name) <= limit, f"1 to {limit}")
        for one in fields(rules)
        for limit in [most.get(one.name, _LARGEST)]
    ]
