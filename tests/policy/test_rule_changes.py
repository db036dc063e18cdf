"""Which way each number of exports.toml opens: what is told as newly allowed waits a day."""

from dataclasses import fields, replace

import pytest

from gateway.config.exports import export_rules
from gateway.policy.rule_changes import closed, opened
from tests.policies import SHIPPED

RULES = export_rules(SHIPPED["exports.toml"])


def changed(key: str, value: object) -> object:
    section, name = key.split(".")
    return replace(RULES, **{section: replace(getattr(RULES, section), **{name: value})})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("plan.row_cap", 50_001),
        ("plan.keep_days", 181),
        ("count.round_to", 99),
        ("count.every_minutes", 9),
        ("approvals.apart_s", 119),
        ("approvals.within_hours", 73),
        ("unusual.size_factor", 3.5),
        ("unusual.three_persons_from", 2),
        ("unusual.three_persons_from", 0),
        ("unusual.blocked_from", 0),
        ("quota.person_year", 100_001),
    ],
)
def test_what_opens_is_newly_allowed_and_its_contrary_newly_denied(key: str, value: object) -> None:
    [line] = opened(RULES, changed(key, value))
    assert line.startswith(f"exports.toml: {key}: ")
    assert closed(RULES, changed(key, value)) == ()
    assert len(closed(changed(key, value), RULES)) == 1
    assert opened(changed(key, value), RULES) == ()


def test_three_persons_instead_of_two_close() -> None:
    three = changed("approvals.needed", 3)
    assert closed(RULES, three) == ("exports.toml: approvals.needed: 2 -> 3",)
    assert opened(three, RULES) == ("exports.toml: approvals.needed: 3 -> 2",)


def test_of_a_list_every_word_counts() -> None:
    other = changed("plan.purposes", ("survey", "curiosity"))
    assert opened(RULES, other) == ("exports.toml: plan.purposes: + curiosity",)
    assert "exports.toml: plan.purposes: - outbreak" in closed(RULES, other)


def test_where_it_is_not_plain_every_change_opens() -> None:
    for days in (30, 700):
        assert len(opened(RULES, changed("unusual.memory_days", days))) == 1


def test_no_change_of_any_number_goes_unseen() -> None:
    for section in fields(RULES):
        for one in fields(getattr(RULES, section.name)):
            value = getattr(getattr(RULES, section.name), one.name)
            other = (*value, "more") if isinstance(value, tuple) else value + 1
            both = changed(f"{section.name}.{one.name}", other)
            assert len(opened(RULES, both)) + len(closed(RULES, both)) == 1, one.name


def test_rules_that_there_were_none_of_are_all_new() -> None:
    assert opened(None, RULES) == ("exports.toml: all of it",)
    assert closed(RULES, None) == ("exports.toml: all of it",)
    assert opened(RULES, RULES) == closed(RULES, RULES) == opened(None, None) == ()
