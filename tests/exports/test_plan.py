"""A plan has one form, and whatever is not that form is no plan: nothing is left out, nothing widens."""

import hashlib
import json
from dataclasses import fields, replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exports.plan import Party, Plan, PlanError, misshapen, parse
from tests.exports.tickets import PLAN


def test_the_canonical_bytes_are_read_back_as_the_same_plan() -> None:
    content = PLAN.canonical()
    assert parse(content) == PLAN
    assert PLAN.sha256 == hashlib.sha256(content).hexdigest()
    assert set(json.loads(content)) == {one.name for one in fields(Plan)} | {"version"}


@given(st.integers(0, len(PLAN.canonical()) - 1), st.integers(1, 255))
def test_a_plan_edited_by_one_byte_is_another_or_none(place: int, change: int) -> None:
    content = bytearray(PLAN.canonical())
    content[place] ^= change
    try:
        other = parse(bytes(content))
    except PlanError:
        return
    assert other != PLAN
    assert other.sha256 != PLAN.sha256


def test_the_order_of_columns_is_part_of_the_plan() -> None:
    assert replace(PLAN, columns=PLAN.columns[::-1]).sha256 != PLAN.sha256


EDITS = (
    ('"purpose":', '"purpose":"court-order","purpose":'),  # the same key twice
    ('"units"', '"unit\uff53"'),  # another Unicode form of the letter
    ('"units":[]', '"units":null'),
    ('"units":[],', ""),
    ('"units":[]', '"units":[],"more":1'),
    ('"row_cap":10000', '"row_cap":1e4'),
    ('"row_cap":10000', '"row_cap":true'),
    ('"row_cap":10000', '"row_cap":9223372036854775807'),
    ('"row_cap":', '"row_cap": '),
    ('"version":1', '"version":2'),
    ('"divisions":["140105"]', '"divisions":[]'),
    ('"divisions":["140105"]', '"divisions":"140105"'),
    ('"divisions":["140105"]', '"divisions":[140105]'),
    ("2026-10-31", "2026-02-31"),
    ("2026-10-31", "2026-W44-6"),
    ('"account":"li.export",', ""),
    ('"survey"', "7"),
)


@pytest.mark.parametrize(("before", "after"), EDITS)
def test_what_is_not_canonical_is_no_plan(before: str, after: str) -> None:
    text = PLAN.canonical().decode()
    assert before in text
    with pytest.raises(PlanError) as raised:
        parse(text.replace(before, after).encode())
    assert "li.export" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"x" * 70_000])
def test_other_bytes_are_no_plan(content: bytes) -> None:
    with pytest.raises(PlanError):
        parse(content)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("divisions", ()),
        ("divisions", ("",)),
        ("divisions", ("14%",)),
        ("divisions", ("140105", "140105")),
        ("divisions", ("140106", "140105")),
        ("divisions", ("../../etc",)),
        ("units", ("",)),
        ("units", ("1401050001' OR ''='",)),
        ("vaccine_codes", ("",)),
        ("columns", ()),
        ("columns", ("name", "name")),
        ("columns", ("na\u200bme",)),
        ("columns", ("Name",)),
        ("born_until", date(2019, 12, 31)),
        ("purpose", ""),
        ("legal_basis", "Because"),
        ("requester", Party("140100", "li", "")),
        ("recipient", Party("1", "wu", "wu.export")),
        ("connection_certificate_sha256", ""),
        ("encryption_certificate_sha256", "AB" * 32),
        ("tunnel", ""),
        ("row_cap", 0),
        ("row_cap", -1),
        ("row_cap", 2**63 - 1),
        ("child_cap", -1),
        ("not_after_us", PLAN.not_before_us),
        ("not_before_us", -1),
        ("dataset", "everything"),
        ("format", "xls"),
    ],
)
def test_a_field_that_is_not_of_its_form_is_named(field: str, value: Any) -> None:
    found = misshapen(replace(PLAN, **{field: value}))
    assert found in {field, "not_after_us" if field == "not_before_us" else field}


def test_a_good_plan_has_no_fault_and_a_person_is_no_account() -> None:
    assert misshapen(PLAN) == ""
    assert Party("140100", "li", "a.b").person == Party("140100", "li", "c.d").person
