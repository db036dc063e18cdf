"""exports.toml: what ships is good, and each slip of the pen is named."""

import pytest

from gateway.config.exports import export_rules
from gateway.config.policies import shipped
from gateway.config.strict import SettingsError

SHIPPED = (shipped("policies") / "cedar" / "exports.toml").read_text(encoding="utf-8")


def test_what_ships_takes_two_persons_and_never_one() -> None:
    rules = export_rules(SHIPPED)
    assert rules.approvals.needed == 2
    assert rules.approvals.apart_s == 120
    assert rules.approvals.within_hours == 72
    assert rules.plan.window_days == 7
    assert set(rules.plan.whole_birth_for) <= set(rules.plan.purposes)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("approvals.needed", "needed = 1"),
        ("approvals.needed", "needed = 0"),
        ("approvals.apart_s", "apart_s = 0"),
        ("approvals.within_hours", "within_hours = -1"),
        ("approvals.draft_days", "draft_days = 0"),
        ("approvals.draft_days", "draft_days = 366"),
        ("bounds.drafts", "drafts = 0"),
        ("bounds.fetches", "fetches = 0"),
        ("bounds.recall_days", "recall_days = 0"),
        ("bounds.recall_days", "recall_days = 366"),
        ("unusual.first_is_new", "first_is_new = 1"),
        ("plan.row_cap", "row_cap = 9223372036854775807"),
        ("plan.child_cap", "child_cap = 0"),
        ("plan.window_days", "window_days = 0"),
        ("plan.purposes", "purposes = []"),
        ("plan.legal_bases", 'legal_bases = ["a", "a"]'),
        ("plan.whole_birth_for", 'whole_birth_for = ["anything"]'),
        ("count.round_to", "round_to = 0"),
        ("count.every_minutes", "every_minutes = 0"),
        ("quota.person_day", "person_day = -1"),
        ("quota.organisation_year", "organisation_year = 10_000_001"),
        ("unusual.three_persons_from", "three_persons_from = -1"),
        ("unusual.blocked_from", "blocked_from = -1"),
        ("unusual.memory_days", "memory_days = 0"),
        ("unusual.size_factor", "size_factor = 0.5"),
        ("unusual.hours_apart", "hours_apart = 24"),
        ("unknown key", "wish = 1"),
    ],
)
def test_a_number_that_would_open_something_is_no_rule(key: str, line: str) -> None:
    name = line.split(" = ", 1)[0]
    lines = SHIPPED.splitlines()
    changed = [line if one.startswith(f"{name} = ") else one for one in lines]
    if changed == lines:
        changed.append(line)
    with pytest.raises(SettingsError, match=key):
        export_rules("\n".join(changed))
