"""Every rule of a dose, broken and kept; and the fast judgement beside the slow one."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.records import dose, vaccination
from gateway.v1.types_pb2 import TraceCode
from gateway.v1.vaccination_pb2 import Vaccination
from tests.records.office import desk, ids
from tests.uploads.county import (
    BORN,
    CLOSED_UNIT,
    FOREIGN_UNIT,
    SECOND_UNIT,
    TODAY,
    a_child,
    a_dose,
    seconds,
)

CHILD = a_child()
V = Vaccination
# changes to a dose without fault -> the rules that it then breaks
CASES = [
    ({}, []),
    ({"record_id": ""}, ["EN-10"]),
    ({"record_id": "not-an-id"}, ["EN-10"]),
    ({"record_id": "01HZY3Q2M7T8V9W0X1Y2Z3A4B5"}, []),
    ({"child_code": "14010500012024"}, ["CH-01"]),
    ({"child_code": "１４０１０５０００１２０２４０００１"}, ["CH-01", "EN-09"]),
    ({"lot__vaccine_code": "0099"}, ["VA-02"]),
    ({"lot__vaccine_code": ""}, ["VA-02"]),
    ({"lot__vaccine_code": "0301", "route": 4, "site": 9, "free_of_charge": False}, ["VA-02"]),
    (
        {
            "vaccinated_date": TODAY + timedelta(days=1),
            "lot__expiry_date": TODAY + timedelta(days=9),
        },
        ["VA-03"],
    ),
    ({"vaccinated_date__day": 0}, ["VA-03"]),
    ({"vaccinated_date": None}, ["VA-03"]),
    ({"lot__expiry_date": BORN - timedelta(days=1)}, ["VA-05"]),
    ({"lot__expiry_date": BORN}, []),
    ({"lot__expiry_date": None}, []),
    ({"lot__expiry_date__month": 13}, ["EN-10"]),
    ({"route": V.ROUTE_ORAL}, ["VA-13"]),
    ({"site": V.SITE_ORAL}, ["VA-13"]),
    ({"route": V.ROUTE_SUBCUTANEOUS}, []),
    ({"route": V.ROUTE_INTRADERMAL}, ["VA-13"]),
    ({"lot__vaccine_code": "0101", "route": V.ROUTE_INTRADERMAL}, []),
    ({"lot__vaccine_code": "0101"}, ["VA-13"]),
    ({"route": 0}, ["VA-23"]),
    ({"site": 0}, ["VA-23"]),
    ({"site": 3}, ["EN-08"]),
    ({"free_of_charge": False}, ["VA-14"]),
    ({"free_of_charge": False, "lot__vaccine_code": "2201"}, []),
    ({"entered_time__seconds": seconds(BORN + timedelta(days=8))}, ["VA-15"]),
    ({"entered_time__seconds": seconds(BORN + timedelta(days=7))}, []),
    (
        {
            "entered_time__seconds": seconds(BORN + timedelta(days=80)),
            "source": V.SOURCE_BACKFILLED,
        },
        [],
    ),
    ({"entered_time": None}, ["VA-23"]),
    ({"unit_code": CLOSED_UNIT}, ["VA-16"]),
    ({"unit_code": SECOND_UNIT}, []),
    ({"unit_code": FOREIGN_UNIT}, ["VA-20"]),
    ({"unit_code": "1401059999"}, ["VA-20"]),
    ({"unit_code": ""}, ["VA-20"]),
    ({"unit_code": "1101010001", "source": V.SOURCE_OTHER_PROVINCE}, []),
    ({"unit_code": FOREIGN_UNIT, "source": V.SOURCE_OTHER_PROVINCE}, ["VA-20"]),
    ({"unit_code": "1101010001"}, ["VA-20"]),
    ({"dose_number": 0}, ["VA-23"]),
    ({"dose_number": 10}, ["EN-10"]),
    ({"property": 0}, ["VA-23"]),
    ({"source": 0}, ["VA-23"]),
    ({"vaccinator_id": " "}, ["VA-23"]),
    ({"lot__manufacturer_code": ""}, ["VA-23"]),
    ({"lot__lot_number": ""}, ["VA-23"]),
    ({"lot__lot_number": "批号1"}, ["VA-23"]),
    ({"lot__lot_number": "A" * 31}, ["VA-23"]),
    ({"revision": 2**31}, ["EN-10"]),
    ({"trace": None}, []),
    ({"trace__nmpa_code": "123"}, ["TR-01"]),
    ({"trace__nmpa_code": "８1234567890123456789"}, ["EN-09", "TR-01"]),
    ({"trace__iso_code": "(01)06901234567892(21)123"}, []),
    ({"trace__iso_code": "(01)06901234567891(21)123"}, ["TR-01"]),
    ({"trace__iso_code": "\x1d0106901234567892"}, []),
    ({"trace__iso_code": "中文中文中文"}, ["TR-01"]),
    ({"trace__level": TraceCode.LEVEL_CASE}, ["TR-09"]),
    ({"trace__level": TraceCode.LEVEL_MIDDLE_PACKAGE}, ["TR-09"]),
    ({"dose_amount": "2滴"}, []),
    ({"no_scan_reason": "扫码枪故障"}, []),
    ({"no_scan_reason": "a\u202eb"}, ["EN-09"]),
    ({"dose_amount": "0.5\x00ml"}, ["EN-09"]),
    ({"device_id": "S\x1f1"}, ["EN-09"]),
    ({"correction_reason": "e\u0301"}, ["EN-09"]),
]


@pytest.mark.parametrize(("changes", "broken"), CASES)
def test_rules(changes, broken):
    record = a_dose(CHILD, **changes)
    assert ids(vaccination.judge(dose.read(record), desk())) == broken


@pytest.mark.parametrize(("changes", "broken"), CASES)
def test_both_ways_find_the_same(changes, broken):
    read = dose.read(a_dose(CHILD, **changes))
    assert ids(vaccination.judge(read, desk(), strange=True)) == broken


def test_what_is_usual_takes_the_fast_way():
    assert vaccination.plain(dose.read(a_dose(CHILD)), desk())
    assert vaccination.plain(dose.read(a_dose(CHILD, dose_amount="2滴")), desk())


TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(["", " ", "0.5ml", "2滴", "a\x1fb", "\u3000", "１"])
)
NUMBERS = st.integers(0, 12)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "record_id": TEXTS,
        "child_code": st.one_of(TEXTS, st.from_regex(r"[0-9]{17,19}", fullmatch=True)),
        "lot__vaccine_code": st.sampled_from(["0101", "0311", "0301", "2201", "0402", "12", ""]),
        "lot__manufacturer_code": TEXTS,
        "lot__lot_number": TEXTS,
        "lot__specification": TEXTS,
        "lot__lot_release_id": TEXTS,
        "lot__expiry_date": st.dates(BORN - timedelta(days=2), BORN + timedelta(days=2)),
        "vaccinated_date": st.dates(TODAY - timedelta(days=2), TODAY + timedelta(days=2)),
        "dose_number": NUMBERS,
        "property": NUMBERS,
        "source": NUMBERS,
        "site": NUMBERS,
        "route": NUMBERS,
        "unit_code": st.sampled_from(
            [CLOSED_UNIT, FOREIGN_UNIT, SECOND_UNIT, "", "11", "１401050001"]
        ),
        "vaccinator_id": TEXTS,
        "device_id": TEXTS,
        "dose_amount": TEXTS,
        "no_scan_reason": TEXTS,
        "correction_reason": TEXTS,
        "free_of_charge": st.booleans(),
        "trace__nmpa_code": TEXTS,
        "trace__iso_code": TEXTS,
        "trace__level": NUMBERS,
        "entered_time__seconds": st.integers(-(2**40), 2**40),
        "revision": st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**64 - 1]),
        "vaccinated_date__day": st.integers(-1, 32),
        "lot__expiry_date__month": st.integers(-1, 14),
    },
)


@settings(max_examples=300)
@given(CHANGES)
def test_the_fast_way_never_overlooks(changes):
    read = dose.read(a_dose(CHILD, **changes))
    place = desk()
    found = [finding for rule in vaccination.RULES for finding in rule(read, place)]
    if vaccination.plain(read, place):
        assert found == []
    # Whatever cannot be stored is refused.
    if dose.key_of(read, place, 0) is None:
        assert {"EN-10", "CH-01", "VA-03"} & set(ids(found))


def test_a_policy_with_more_required_items_is_heeded():
    from dataclasses import replace

    from tests.records.office import tables

    more = replace(tables().required, vaccination=(*tables().required.vaccination, "device_id"))
    strict = desk(tables=replace(tables(), required=more))
    assert ids(vaccination.judge(dose.read(a_dose(CHILD, device_id="")), strict)) == ["VA-23"]
    assert vaccination.judge(dose.read(a_dose(CHILD)), strict) == []


def test_unknown_fields_are_found_when_there_may_be_some():
    record = a_dose(CHILD)
    strange = Vaccination.FromString(record.SerializeToString() + b"\xf8\x3f\x01")
    assert ids(vaccination.judge(dose.read(strange), desk(), strange=True)) == ["EN-08"]
