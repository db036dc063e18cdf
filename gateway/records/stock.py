"""Stock documents and balances, each by itself.

Its form, its numbers, its lots (ST rules without the ledger).
"""

import re
from datetime import date

from gateway.records.desk import Desk
from gateway.records.form import form_findings, to_day
from gateway.records.ids import is_document_id
from gateway.records.rulebook import Finding, Findings
from gateway.records.vaccination import MOST_REVISIONS
from gateway.v1.stock_pb2 import StockBalance, StockMovement
from gateway.v1.types_pb2 import TraceCode, VaccineLot

MOVEMENT = "stock_movement"
BALANCE = "stock_balance"
_CODE = re.compile(r"[A-Za-z0-9()-]{1,30}", re.ASCII)
_KINDS = frozenset(StockMovement.Kind.values()) - {StockMovement.KIND_UNSPECIFIED}
# What arrives from outside; returns and openings may hold expired vaccine, to be scrapped.
_ARRIVALS = frozenset({StockMovement.KIND_IN_PURCHASE, StockMovement.KIND_IN_DISTRIBUTED})


def movement_id(record: StockMovement) -> str:
    """Return the document's id within its unit, or "" when it has none in our form."""
    return record.document_id if is_document_id(record.document_id) else ""


def balance_id(record: StockBalance) -> str:
    """Return the balance's id within its unit: day, vaccine, manufacturer and lot.

    Or "" when one of them has not its form.
    """
    day, lot = to_day(record.balance_date), record.lot
    parts = (lot.vaccine_code, lot.manufacturer_code, lot.lot_number.upper())
    if day is None or not all(_CODE.fullmatch(part) for part in parts):
        return ""
    return "/".join((day.isoformat(), *parts))


def judge_movement(record: StockMovement, desk: Desk) -> Findings:
    """Return every finding about a document that needs no other document."""
    found = form_findings(record, MOVEMENT)
    day = to_day(record.document_date)
    wrong = (
        ("document_id", not movement_id(record)),
        ("kind", record.kind not in _KINDS),
        ("document_date", day is None or day > desk.today),
        ("lines", not record.lines),
        ("revision", record.revision >= MOST_REVISIONS),
    )
    found += [Finding("EN-10", f"{MOVEMENT}.{name}") for name, is_wrong in wrong if is_wrong]
    if not desk.in_scope(record.unit_code):
        found.append(Finding("EN-03", f"{MOVEMENT}.unit_code"))
    rules = {rule_id for line in record.lines for rule_id in _line(line, record.kind, day)}
    return found + [
        Finding(rule_id, f"{MOVEMENT}.lines.{field}") for rule_id, field in sorted(rules)
    ]


def _line(line: StockMovement.Line, kind: int, day: date | None) -> set[tuple[str, str]]:
    """ST-02, ST-04, ST-05, ST-08, ST-09 of one lot, as rule id and field."""
    found: set[tuple[str, str]] = set()
    if line.dose_count <= 0 or line.package_count < 0:
        found.add(("ST-02", "dose_count"))
    per_package = line.lot.doses_per_package_count
    if per_package and line.dose_count != line.package_count * per_package:
        found.add(("ST-04", "dose_count"))
    # A case stands for many packages: what is in it comes with the manufacturer's file.
    smallest = all(trace.level <= TraceCode.LEVEL_MINIMUM_PACKAGE for trace in line.trace_codes)
    if line.trace_codes and smallest and len(line.trace_codes) != line.package_count:
        found.add(("ST-05", "trace_codes"))
    if not line.lot.vaccine_code or not line.lot.lot_number:
        found.add(("EN-10", "lot"))
    if kind in _ARRIVALS:
        found |= _arrival(line.lot, day)
    return found


def _arrival(lot: VaccineLot, day: date | None) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    expiry = to_day(lot.expiry_date)
    if expiry is not None and day is not None and expiry < day:
        found.add(("ST-08", "lot.expiry_date"))
    if not lot.lot_release_id.strip():
        found.add(("ST-09", "lot.lot_release_id"))
    return found


def judge_balance(record: StockBalance, desk: Desk) -> Findings:
    """Return every finding about a day's balance that needs no ledger."""
    found = form_findings(record, BALANCE)
    day = to_day(record.balance_date)
    if day is None or day > desk.today:
        found.append(Finding("EN-10", f"{BALANCE}.balance_date"))
    elif not balance_id(record):
        found.append(Finding("EN-10", f"{BALANCE}.lot"))
    if not desk.in_scope(record.unit_code):
        found.append(Finding("EN-03", f"{BALANCE}.unit_code"))
    counts = ("inbound_count", "outbound_count", "returned_count", "scrapped_count")
    found += [Finding("ST-02", f"{BALANCE}.{name}") for name in counts if getattr(record, name) < 0]
    gone = record.outbound_count + record.returned_count + record.scrapped_count
    if record.closing_count != record.opening_count + record.inbound_count - gone:
        found.append(Finding("ST-04", f"{BALANCE}.closing_count"))
    return found
