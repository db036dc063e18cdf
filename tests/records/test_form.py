"""Form of any record: unknown fields and codes, texts, content, empty items."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.records.form import content, empty_items, form_findings, text_is_fit, to_day
from gateway.v1.aefi_pb2 import AefiReport
from gateway.v1.child_pb2 import Child
from gateway.v1.types_pb2 import Date
from tests.records.office import ids, paths
from tests.uploads.county import a_child

# Field 1000 as a varint: no message of ours has it.
UNKNOWN = b"\xc0\x3e\x01"


@pytest.mark.parametrize(
    ("given", "day"),
    [
        ((2024, 2, 29), date(2024, 2, 29)),
        ((2023, 2, 29), None),
        ((0, 0, 0), None),
        ((2024, 13, 1), None),
        ((-1, 1, 1), None),
        ((10000, 1, 1), None),
        ((2**31 - 1, 1, 1), None),
    ],
)
def test_days(given, day):
    year, month, number = given
    assert to_day(Date(year=year, month=month, day=number)) == day


@pytest.mark.parametrize(
    "text", ["", "abc", "王小明", "买买提·吐尔逊", "１号", "\ue000", "𠮷", "a\u3000b"]
)
def test_fit_texts(text):
    assert text_is_fit(text)


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "a\nb",
        "\x1f",
        "\x7f",
        "\u200b",
        "\u202e",
        "\u2066",
        "\ufeff",
        "e\u0301",
        "\u2028",
        "\u00ad",
        "\uf900",
    ],
)
def test_unfit_texts(text):
    assert not text_is_fit(f"王{text}")


@given(st.text())
def test_every_text_is_judged(text):
    assert text_is_fit(text) in (True, False)


def test_unknown_fields_are_found_at_any_depth():
    record = Child.FromString(a_child().SerializeToString() + UNKNOWN)
    record.household.MergeFromString(UNKNOWN)
    record.guardians[0].MergeFromString(UNKNOWN)
    found = form_findings(record, "child")
    assert ids(found) == ["EN-08"]
    assert set(paths(found)) == {"child", "child.household", "child.guardians"}


def test_unknown_codes_are_found():
    assert paths(form_findings(a_child(residence_type=9), "child")) == ["child.residence_type"]


def test_texts_are_looked_at_in_lists_and_parts():
    record = a_child()
    record.guardians[0].name = "a\u202e"
    record.restricted.contraindicated_vaccine_codes.append("０１０１")
    found = form_findings(record, "child")
    assert ids(found) == ["EN-09"]
    assert set(paths(found)) == {
        "child.guardians.name",
        "child.restricted.contraindicated_vaccine_codes",
    }


def test_full_width_is_wrong_in_codes_only():
    assert form_findings(a_child(household__detail="１号"), "child") == []
    assert paths(form_findings(a_child(ethnicity_code="０１"), "child")) == ["child.ethnicity_code"]


def test_content_tells_records_apart():
    without = frozenset({"revision"})
    assert content(a_child(revision=1), without) == content(a_child(), without)
    assert content(a_child(name="王小名"), without) != content(a_child(), without)
    assert content(a_child(birth_weight_grams=1), without) != content(a_child(), without)
    one, other = a_child(), a_child()
    other.guardians.append(other.guardians[0])
    assert content(one, without) != content(other, without)


def test_empty_items():
    items = ("name", "guardians", "household.detail", "birth_date", "sex")
    assert list(empty_items(a_child(), items, "child")) == []
    assert list(empty_items(Child(), items, "child")) == [f"child.{item}" for item in items]


def test_an_item_must_be_filled_in_every_element():
    report = AefiReport()
    report.suspects.add(dose_amount="0.5ml")
    report.suspects.add()
    assert list(empty_items(report, ("suspects.dose_amount",), "aefi_report")) == [
        "aefi_report.suspects.dose_amount"
    ]
    # Nothing is missing in no elements; that there are none is its own item.
    assert list(empty_items(AefiReport(), ("suspects.dose_amount", "suspects"), "a")) == [
        "a.suspects"
    ]


def test_a_bool_is_never_empty():
    assert list(empty_items(AefiReport(), ("hospitalised",), "aefi_report")) == []
