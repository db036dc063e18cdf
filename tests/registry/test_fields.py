"""Checks of fields: violations are collected in both languages and refused together."""

import pytest

from gateway.errors import InvalidError
from gateway.registry.fields import MOST_VIOLATIONS, Wrong, is_division, is_name


def test_violations_are_refused_together_in_both_languages() -> None:
    wrong = Wrong()
    wrong.refuse_if_any()
    wrong.unless("something", "name", "name")
    wrong.unless("", "name", "name")
    wrong.add("kind", "organisation-kind")
    with pytest.raises(InvalidError) as refused:
        wrong.refuse_if_any()
    first, second = refused.value.violations
    assert (first.field, first.rule, second.rule) == ("name", "name", "organisation-kind")
    assert "characters" in first.english
    assert "名称" in first.chinese


def test_no_more_are_collected_than_a_status_holds() -> None:
    wrong = Wrong()
    for index in range(MOST_VIOLATIONS + 5):
        wrong.add(f"units[{index}].name", "name")
    with pytest.raises(InvalidError) as refused:
        wrong.refuse_if_any()
    assert len(refused.value.violations) == MOST_VIOLATIONS


@pytest.mark.parametrize("name", ["太原市", "A", "x" * 100])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "x" * 101, " a", "a ", "a\tb", "a\u200bb", "\ue000"])
def test_no_names(name: str) -> None:
    assert not is_name(name)


def test_a_division_is_the_first_six_digits() -> None:
    assert is_division("140105001", {"140105"})
    assert not is_division("14010", {"140105"})
