"""Every rule of a card, broken and kept."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.records import card, child
from gateway.records.ids import SENTINEL
from gateway.v1 import child_pb2 as c
from gateway.v1.child_pb2 import Guardian
from tests.records.office import desk, ids, tables
from tests.uploads.county import BORN, FOREIGN_UNIT, SECOND_UNIT, TODAY, a_child

CARD, BOOK, NOT_YET = c.IDENTITY_DOCUMENT_RESIDENT_CARD, c.IDENTITY_DOCUMENT_HOUSEHOLD_BOOK, 88


def number(division="140105", day=BORN, sequence="002"):
    body = f"{division}{day:%Y%m%d}{sequence}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(w * int(d) for w, d in zip(weights, body, strict=True)) % 11]


def numbered(text, document=CARD):
    return {"document": document, "document_number": text}


MOTHER = Guardian(relation=1, name="李秀英", phone="13800000000")
CASES = [
    ({}, []),
    ({"child_code": ""}, ["CH-01"]),
    ({"child_code": "1401050001202400019"}, ["CH-01"]),
    ({"child_code": "140105999920250001"}, ["CH-02"]),
    ({"child_code": "110101000120250001"}, []),
    ({"current_unit_code": FOREIGN_UNIT}, ["EN-03"]),
    ({"current_unit_code": SECOND_UNIT, "file_unit_code": FOREIGN_UNIT}, []),
    ({"current_unit_code": "", "file_unit_code": FOREIGN_UNIT}, ["EN-03"]),
    ({"birth_date": None}, ["CH-03"]),
    ({"birth_date__day": 40}, ["CH-03"]),
    ({"birth_date": TODAY + timedelta(days=1), "filed_date": TODAY + timedelta(days=2)}, ["CH-03"]),
    ({"birth_date": TODAY, "filed_date": TODAY}, []),
    ({"birth_date": date(TODAY.year - 19, TODAY.month, TODAY.day)}, ["CH-04", "CH-17"]),
    ({"birth_date": date(TODAY.year - 19, TODAY.month, TODAY.day) + timedelta(days=1)}, ["CH-17"]),
    ({"sex": 0}, ["CH-05"]),
    ({"sex": c.SEX_UNKNOWN}, ["CH-05"]),
    ({"sex": 7}, ["CH-05", "EN-08"]),
    (numbered(number()), []),
    (numbered(number().lower()), []),
    (numbered(number()[:-1] + ("1" if number()[-1] != "1" else "2")), ["CH-06"]),
    (numbered(""), ["CH-06"]),
    (numbered("1" + number()), ["CH-06"]),
    (numbered(number(), NOT_YET), ["CH-06"]),
    (numbered("E12345678", c.IDENTITY_DOCUMENT_PASSPORT), []),
    (numbered(number(day=BORN + timedelta(days=1))), ["CH-07"]),
    (numbered(number(sequence="003")), ["CH-08"]),
    (numbered(number(division="140402")), ["CH-09"]),
    (numbered(number(division="149999")), ["CH-09"]),
    (numbered(number(division="990101")), ["CH-09"]),
    (numbered(number(division="110101")), []),
    (numbered(SENTINEL), ["CH-10"]),
    (numbered(SENTINEL, BOOK), ["CH-10"]),
    (numbered(SENTINEL, NOT_YET), []),
    ({"birth_certificate_number": "V140000001"}, []),
    ({"birth_certificate_number": "140000001"}, ["CH-11"]),
    ({"guardians": []}, ["CH-12"]),
    ({"guardians": [Guardian(relation=1, name="李秀英")]}, ["CH-12"]),
    ({"guardians": [Guardian(relation=1, name="李秀英"), MOTHER]}, []),
    ({"guardians": [Guardian(relation=1, name="李秀英", phone="0351-4085000")]}, []),
    ({"guardians": [MOTHER, Guardian(relation=2, name="王强", phone="1380000000")]}, ["CH-13"]),
    ({"household__division_code": "149999"}, ["CH-14"]),
    ({"household__division_code": "140402"}, []),
    ({"residence__division_code": "999999"}, ["CH-14"]),
    ({"residence__division_code": "110101"}, []),
    ({"birth_weight_grams": 299}, ["CH-15"]),
    ({"birth_weight_grams": 300}, []),
    ({"birth_weight_grams": 7001}, ["CH-15"]),
    ({"birth_weight_grams": 0}, []),
    ({"filed_date": BORN - timedelta(days=1)}, ["CH-16"]),
    ({"filed_date": BORN + timedelta(days=60)}, ["CH-17"]),
    ({"filed_date__month": 13}, ["EN-10"]),
    ({"status": c.REGISTER_STATUS_LEFT}, ["CH-18"]),
    ({"status": c.REGISTER_STATUS_DEAD, "status_date": TODAY}, ["CH-18"]),
    ({"status": c.REGISTER_STATUS_LEFT, "status_date": TODAY, "status_reason": "迁出"}, []),
    ({"name": ""}, ["CH-21"]),
    ({"name": "  "}, ["CH-21"]),
    ({"household__detail": ""}, ["CH-21"]),
    ({"residence": None}, ["CH-21"]),
    ({"household_category": 0}, ["CH-21"]),
    ({"residence_type": 0}, ["CH-21"]),
    ({"status": 0}, ["CH-21"]),
    ({"filed_date": None}, ["CH-21"]),
    ({"file_unit_code": ""}, ["CH-21"]),
    ({"revision": 2**31}, ["EN-10"]),
    ({"name": "\u202e王小明"}, ["EN-09"]),
    ({"name": "王\u200b小明"}, ["EN-09"]),
    ({"name": "买买提·吐尔逊"}, []),
    ({"name": "\ue000王"}, []),
    ({"household__detail": "平阳路１号"}, []),
    ({"household__town_code": "１４０１０５００１"}, ["EN-09"]),
]


@pytest.mark.parametrize(("changes", "broken"), CASES)
def test_rules(changes, broken):
    assert ids(child.judge(card.read(a_child(**changes)), desk())) == broken


def test_every_missing_item_is_told_with_its_place():
    record = a_child(name="", residence_type=0)
    found = child.judge(card.read(record), desk())
    assert [finding.path for finding in found] == ["child.name", "child.residence_type"]


@pytest.mark.parametrize(("changes", "broken"), CASES)
def test_both_ways_find_the_same(changes, broken):
    assert ids(child.judge(card.read(a_child(**changes)), desk(), strange=True)) == broken


def test_what_is_usual_takes_the_fast_way():
    assert child.plain(card.read(a_child()), desk())
    assert child.plain(
        card.read(a_child(status_date=TODAY, status_reason="迁出", name="买买提·吐尔逊")), desk()
    )


TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", " ", "王小明", "a\x1fb", "\u3000", "１", "e\u0301", "140105"]),
)
NUMBERS = st.one_of(st.integers(0, 12), st.sampled_from([88, 99]))
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            [
                "name",
                "nationality_code",
                "ethnicity_code",
                "document_number",
                "birth_certificate_number",
                "birth_facility_code",
                "household__division_code",
                "household__town_code",
                "household__detail",
                "residence__detail",
                "status_reason",
                "file_unit_code",
                "current_unit_code",
                "correction_reason",
                "restricted__allergies",
            ],
            TEXTS,
        ),
        **dict.fromkeys(
            [
                "sex",
                "document",
                "household_category",
                "residence_type",
                "status",
                "restricted__mother_hiv",
                "status_date__day",
                "filed_date__month",
                "birth_date__day",
            ],
            NUMBERS,
        ),
        "guardians": st.lists(
            st.builds(Guardian, relation=NUMBERS, document=NUMBERS, name=TEXTS, phone=TEXTS),
            max_size=2,
        ),
        "revision": st.sampled_from([0, 1, 2**31, 2**64 - 1]),
        "household": st.none(),
        "filed_date": st.none(),
    },
)


@settings(max_examples=300)
@given(CHANGES)
def test_the_fast_way_never_overlooks(changes):
    read, place = card.read(a_child(**changes)), desk()
    found = [finding for rule in child.RULES for finding in rule(read, place)]
    assert sorted(child.judge(read, place)) == sorted(found)


def test_a_policy_with_more_required_items_is_heeded():
    more = replace(tables().required, child=(*tables().required.child, "ethnicity_code"))
    strict = desk(tables=replace(tables(), required=more))
    assert ids(child.judge(card.read(a_child()), strict)) == ["CH-21"]
    assert child.judge(card.read(a_child(ethnicity_code="01")), strict) == []
