"""Suspected adverse events: few, fever after a dose; one report of twenty comes too late."""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from gateway.sample.calendar import as_date, from_date, moment
from gateway.sample.family import Family, Truth
from gateway.v1 import aefi_pb2 as a
from gateway.v1 import vaccination_pb2 as v

Report = a.AefiReport
# Which vaccines are named in reports, and how often: one dose in so many.
_SUSPECT_CODES = ("0402", "1201")
_ONE_IN = 700
_LATE_ONE_IN = 20
_FOUND_MINUTE = 15 * 60


def events(rng: Random, family: Family, as_of: date) -> Iterator[tuple[Report, Truth | None]]:
    """Yield the reports of a family's doses, each with its planted defect where it has one."""
    for dose in family.doses:
        if dose.lot.vaccine_code not in _SUSPECT_CODES or rng.randrange(_ONE_IN):
            continue
        late = not rng.randrange(_LATE_ONE_IN)
        found = from_date(dose.vaccinated_date) + timedelta(days=1)
        reported = found + timedelta(days=4 if late else 1)
        if reported < as_of:
            report = _report(rng, dose, found, reported)
            truth = Truth("aefi_report", report.report_id, "reported_late", ("AE-03",), "flagged")
            yield report, truth if late else None


def _report(rng: Random, dose: v.Vaccination, found: date, reported: date) -> Report:
    return Report(
        report_id=f"{dose.unit_code[:6]}{found.year}{rng.randrange(10**4):04d}",
        child_code=dose.child_code,
        suspects=[
            Report.Suspect(
                lot=dose.lot,
                dose_number=dose.dose_number,
                dose_amount=dose.dose_amount,
                vaccinated_date=dose.vaccinated_date,
                record_id=dose.record_id,
                trace=dose.trace,
            )
        ],
        onset_date=dose.vaccinated_date,
        found_date=as_date(found),
        facility_code=dose.unit_code,
        clinical_course="接种当晚发热，精神可，对症处理后体温恢复正常。",
        fever_grade=rng.choice((1, 2, 2, 3)),
        redness_grade=rng.choice((1, 4)),
        induration_grade=4,
        outcome=Report.OUTCOME_CURED,
        classification=Report.CLASSIFICATION_COMMON_REACTION,
        surveillance=Report.SURVEILLANCE_PASSIVE,
        discovered_time=moment(found, _FOUND_MINUTE),
        reported_time=moment(reported, _FOUND_MINUTE - 60),
        reporter_unit_code=dose.unit_code,
        reporter_id=dose.vaccinator_id,
        reporter_phone="15400000000",
    )
