"""Stock documents and balances by themselves."""

from datetime import timedelta

import pytest

from gateway.records import stock
from gateway.v1.stock_pb2 import StockBalance, StockMovement
from gateway.v1.types_pb2 import TraceCode, VaccineLot
from tests.records.office import desk, ids
from tests.uploads.county import FOREIGN_UNIT, TODAY, UNIT, _set, a_date

M = StockMovement
SMALL = TraceCode(nmpa_code="1" * 20, level=TraceCode.LEVEL_MINIMUM_PACKAGE)


def a_lot(**changes):
    lot = VaccineLot(
        vaccine_code="0202",
        manufacturer_code="05",
        lot_number="A1",
        expiry_date=a_date(TODAY + timedelta(days=100)),
        doses_per_package_count=2,
        lot_release_id="LR1",
    )
    for name, value in changes.items():
        _set(lot, name, value)
    return lot


def a_movement(line=None, **changes):
    lines = [M.Line(lot=a_lot(), package_count=3, dose_count=6, trace_codes=[SMALL] * 3)]
    found = M(
        document_id="IN-1",
        unit_code=UNIT,
        kind=M.KIND_IN_DISTRIBUTED,
        document_date=a_date(TODAY),
        lines=lines,
    )
    for name, value in (line or {}).items():
        _set(found.lines[0], name, value)
    for name, value in changes.items():
        _set(found, name, value)
    return found


def a_balance(**changes):
    found = StockBalance(
        unit_code=UNIT,
        lot=a_lot(),
        balance_date=a_date(TODAY),
        opening_count=10,
        inbound_count=5,
        outbound_count=3,
        returned_count=1,
        scrapped_count=1,
        closing_count=10,
    )
    for name, value in changes.items():
        _set(found, name, value)
    return found


@pytest.mark.parametrize(
    ("line", "changes", "broken"),
    [
        ({}, {}, []),
        ({}, {"document_id": ""}, ["EN-10"]),
        ({}, {"document_id": "11010519491231002X"}, ["EN-10"]),
        ({}, {"kind": 0}, ["EN-10"]),
        ({}, {"kind": 9}, ["EN-08", "EN-10"]),
        ({}, {"document_date": TODAY + timedelta(days=1)}, ["EN-10"]),
        ({}, {"document_date": None}, ["EN-10"]),
        ({}, {"lines": []}, ["EN-10"]),
        ({}, {"revision": 2**31}, ["EN-10"]),
        ({"lot__lot_number": ""}, {}, ["EN-10"]),
        ({}, {"unit_code": FOREIGN_UNIT}, ["EN-03"]),
        ({"dose_count": 0}, {}, ["ST-02", "ST-04"]),
        ({"dose_count": -6}, {}, ["ST-02", "ST-04"]),
        ({"package_count": -3}, {}, ["ST-02", "ST-04", "ST-05"]),
        ({"dose_count": 5}, {}, ["ST-04"]),
        ({"dose_count": 5, "lot__doses_per_package_count": 0}, {}, []),
        ({"trace_codes": [SMALL]}, {}, ["ST-05"]),
        ({"trace_codes": []}, {}, []),
        ({"trace_codes": [TraceCode(nmpa_code="1" * 20, level=3)]}, {}, []),
        ({"lot__expiry_date": TODAY - timedelta(days=1)}, {}, ["ST-08"]),
        ({"lot__expiry_date": TODAY - timedelta(days=1)}, {"kind": M.KIND_OUT_EXPIRED}, []),
        ({"lot__lot_release_id": ""}, {}, ["ST-09"]),
        ({"lot__lot_release_id": ""}, {"kind": M.KIND_OUT_USED}, []),
        ({"remark": "\u202e"}, {}, ["EN-09"]),
    ],
)
def test_movements(line, changes, broken):
    assert ids(stock.judge_movement(a_movement(line, **changes), desk())) == broken


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"closing_count": 9}, ["ST-04"]),
        ({"inbound_count": -5, "closing_count": 0}, ["ST-02"]),
        ({"closing_count": 12, "scrapped_count": -1}, ["ST-02"]),
        ({"balance_date": None}, ["EN-10"]),
        ({"balance_date": TODAY + timedelta(days=1)}, ["EN-10"]),
        ({"lot__lot_number": ""}, ["EN-10"]),
        ({"lot__manufacturer_code": "王"}, ["EN-10", "EN-09"][:1]),
        ({"unit_code": FOREIGN_UNIT}, ["EN-03"]),
        ({"unit_code": ""}, ["EN-03"]),
    ],
)
def test_balances(changes, broken):
    assert ids(stock.judge_balance(a_balance(**changes), desk())) == broken


def test_ids_within_the_unit():
    assert stock.movement_id(a_movement()) == "IN-1"
    assert stock.movement_id(a_movement(document_id="13800000000")) == ""
    assert stock.balance_id(a_balance()) == f"{TODAY}/0202/05/A1"
    assert stock.balance_id(a_balance(lot__lot_number="a1")) == f"{TODAY}/0202/05/A1"
    assert stock.balance_id(a_balance(lot__lot_number="王小明")) == ""
