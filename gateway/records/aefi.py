"""Reports of suspected adverse events.

The starred items and the order of their times (AE-01 to AE-03).
"""

from gateway.clock import US_PER_S
from gateway.records.desk import Desk
from gateway.records.form import empty_items, form_findings, to_day
from gateway.records.ids import CHILD_CODE, is_document_id
from gateway.records.rulebook import Finding, Findings
from gateway.records.vaccination import MOST_REVISIONS
from gateway.v1.aefi_pb2 import AefiReport

PATH = "aefi_report"
_SECONDS_PER_HOUR = 3600


def report_id(record: AefiReport) -> str:
    """Return the report's id within its unit, or "" when it has none in our form."""
    return record.report_id if is_document_id(record.report_id) else ""


def judge(record: AefiReport, desk: Desk) -> Findings:
    """Return every finding about a report that needs no stored record."""
    found = form_findings(record, PATH)
    if not report_id(record):
        found.append(Finding("EN-10", f"{PATH}.report_id"))
    if record.revision >= MOST_REVISIONS:
        found.append(Finding("EN-10", f"{PATH}.revision"))
    if record.child_code and not CHILD_CODE.fullmatch(record.child_code):
        found.append(Finding("CH-01", f"{PATH}.child_code"))
    if record.reporter_unit_code and not desk.in_scope(record.reporter_unit_code):
        found.append(Finding("EN-03", f"{PATH}.reporter_unit_code"))
    found += [
        Finding("AE-01", path)
        for path in empty_items(record, desk.tables.required.aefi_report, PATH)
    ]
    return found + _in_order(record, desk) + _in_time(record, desk)


def _in_order(record: AefiReport, desk: Desk) -> Findings:
    """EN-10, AE-02: real days.

    Vaccination, onset, discovery, in this order, and none of them in the future.
    """
    found: Findings = []
    onset, seen = to_day(record.onset_date), to_day(record.found_date)
    given = [to_day(suspect.vaccinated_date) for suspect in record.suspects]
    for name, day in (("onset_date", onset), ("found_date", seen)):
        present = record.HasField(name)  # type: ignore[arg-type] # two of the literals mypy-protobuf lists
        if present and (day is None or day > desk.today):
            found.append(Finding("EN-10", f"{PATH}.{name}"))
    if onset is not None and any(day is not None and onset < day for day in given):
        found.append(Finding("AE-02", f"{PATH}.onset_date"))
    if onset is not None and seen is not None and seen < onset:
        found.append(Finding("AE-02", f"{PATH}.found_date"))
    return found


def _in_time(record: AefiReport, desk: Desk) -> Findings:
    """EN-10, AE-03: not reported in the future; reported within the hours after discovery."""
    reported, discovered = record.reported_time.seconds, record.discovered_time.seconds
    skew_s = desk.tables.thresholds.live_skew_minutes * 60
    if reported * US_PER_S > desk.now_us + skew_s * US_PER_S:
        return [Finding("EN-10", f"{PATH}.reported_time")]
    if not discovered or not reported:
        return []
    overdue = reported - discovered > desk.tables.thresholds.aefi_report_hours * _SECONDS_PER_HOUR
    return [Finding("AE-03", f"{PATH}.reported_time")] if overdue else []
