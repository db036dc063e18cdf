"""Reports of adverse events by themselves."""

from datetime import timedelta

import pytest

from gateway.records import aefi
from gateway.v1.aefi_pb2 import AefiReport
from gateway.v1.types_pb2 import VaccineLot
from tests.records.office import desk, ids, paths, tables
from tests.uploads.county import FOREIGN_UNIT, TODAY, UNIT, _set, a_child, a_date, seconds

GIVEN = TODAY - timedelta(days=5)


def a_report(**changes):
    lot = VaccineLot(vaccine_code="0402", manufacturer_code="05", lot_number="A1")
    suspect = AefiReport.Suspect(
        lot=lot, dose_number=1, dose_amount="0.5ml", vaccinated_date=a_date(GIVEN)
    )
    report = AefiReport(
        report_id="14010520260001",
        child_code=a_child().child_code,
        suspects=[suspect],
        onset_date=a_date(GIVEN),
        found_date=a_date(GIVEN + timedelta(days=1)),
        clinical_course="发热",
        fever_grade=2,
        redness_grade=4,
        induration_grade=4,
        outcome=AefiReport.OUTCOME_CURED,
        classification=AefiReport.CLASSIFICATION_COMMON_REACTION,
        surveillance=AefiReport.SURVEILLANCE_PASSIVE,
        reporter_unit_code=UNIT,
    )
    report.discovered_time.seconds = seconds(GIVEN + timedelta(days=1))
    report.reported_time.seconds = seconds(GIVEN + timedelta(days=2))
    for name, value in changes.items():
        _set(report, name, value)
    return report


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"report_id": ""}, ["EN-10"]),
        ({"report_id": a_child().child_code}, ["EN-10"]),
        ({"child_code": "1"}, ["CH-01"]),
        ({"child_code": ""}, ["AE-01"]),
        ({"reporter_unit_code": FOREIGN_UNIT}, ["EN-03"]),
        ({"reporter_unit_code": ""}, ["AE-01"]),
        ({"suspects": []}, ["AE-01"]),
        ({"onset_date": None}, ["AE-01"]),
        ({"onset_date__day": 0}, ["EN-10"]),
        (
            {"onset_date": TODAY + timedelta(days=1), "found_date": TODAY + timedelta(days=1)},
            ["EN-10"],
        ),
        ({"onset_date": GIVEN - timedelta(days=1)}, ["AE-02"]),
        ({"found_date": GIVEN - timedelta(days=1)}, ["AE-02"]),
        ({"reported_time__seconds": seconds(GIVEN + timedelta(days=3))}, []),
        ({"reported_time__seconds": seconds(GIVEN + timedelta(days=3)) + 1}, ["AE-03"]),
        ({"reported_time__seconds": seconds(TODAY + timedelta(days=1))}, ["EN-10"]),
        ({"reported_time": None}, ["AE-01"]),
        ({"discovered_time": None}, []),
        ({"revision": 2**31}, ["EN-10"]),
        ({"clinical_course": "a\0"}, ["EN-09"]),
    ],
)
def test_rules(changes, broken):
    assert ids(aefi.judge(a_report(**changes), desk())) == broken


@pytest.mark.parametrize("item", tables().required.aefi_report)
def test_every_starred_item_counts(item):
    report = a_report()
    *parents, last = item.split(".")
    message = report
    for parent in parents:
        message = getattr(message, parent)
        message = message[0] if parent == "suspects" else message
    message.ClearField(last)
    found = aefi.judge(report, desk())
    assert f"aefi_report.{item}" in paths([one for one in found if one.rule_id == "AE-01"])


def test_report_id_is_never_a_persons_number():
    assert aefi.report_id(a_report()) == "14010520260001"
    assert aefi.report_id(a_report(report_id="11010519491231002X")) == ""
