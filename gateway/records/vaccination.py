"""The rules of one dose that need nothing but the record, the tables and the register.

`plain` finds in about a microsecond that no rule can have anything to say; only other doses go
through `RULES`.
tests/records/test_vaccination.py holds both to the same judgement.
"""

import re
from collections.abc import Callable
from datetime import date

from gateway.records.desk import Desk, ordinal_of_seconds
from gateway.records.dose import BETWEEN, NOTE_PARTS, Dose
from gateway.records.form import empty_items, form_findings, text_is_fit
from gateway.records.ids import CHILD_CODE, VACCINE_CODE, is_iso_code
from gateway.records.rulebook import Finding, Findings
from gateway.v1.types_pb2 import TraceCode
from gateway.v1.vaccination_pb2 import Vaccination

PATH = "vaccination"
_ORAL_ROUTE, _ORAL_SITE = Vaccination.ROUTE_ORAL, Vaccination.SITE_ORAL
# An injection goes into muscle or under the skin as the leaflet says; these have one way only.
_SPECIAL_ROUTES = frozenset({_ORAL_ROUTE, Vaccination.ROUTE_INTRADERMAL, Vaccination.ROUTE_NASAL})
_SITES = frozenset(Vaccination.Site.values()) - {Vaccination.SITE_UNSPECIFIED}
_ROUTES = frozenset(Vaccination.Route.values()) - {Vaccination.ROUTE_UNSPECIFIED}
_SOURCES = frozenset(Vaccination.Source.values()) - {Vaccination.SOURCE_UNSPECIFIED}
_PROPERTIES = frozenset(Vaccination.Property.values()) - {Vaccination.PROPERTY_UNSPECIFIED}
# Entered late by their nature: VA-15 asks only what was entered where and when it was given.
_LATE_SOURCES = frozenset({Vaccination.SOURCE_BACKFILLED, Vaccination.SOURCE_OTHER_PROVINCE})
_LOT_NUMBER = re.compile(r"[A-Za-z0-9()-]{1,30}", re.ASCII)
_NMPA_CODE = re.compile(r"[0-9]{20}", re.ASCII)
# Dose.codes and Dose.notes where no rule about texts finds anything: child, vaccine, manufacturer,
# lot, unit, vaccinator, trace
# code, device, lot release; amount, reason not to scan, specification.
_PLAIN_CODES = re.compile(
    r"[0-9]{18}\x1f[0-9]{4}\x1f[!-~]+\x1f[A-Za-z0-9()-]{1,30}\x1f[0-9]{10}\x1f[!-~]+\x1f"
    r"[0-9]{20}\x1f[ -~]*\x1f[ -~]*",
    re.ASCII,
)
_PLAIN_NOTES = re.compile(r"[ -~]*\x1f[ -~]*\x1f[ -~]*", re.ASCII)
_MOST_DOSES = 9
# Fits a bigint of the store, and is far beyond any real count of corrections.
MOST_REVISIONS = 2**31
_OWN_RULE = frozenset(
    f"{PATH}.{name}"
    for name in ("record_id", "child_code", "vaccinated_date", "unit_code", "lot.vaccine_code")
)


def plain(dose: Dose, desk: Desk) -> bool:
    """Return whether certainly no rule of RULES finds anything.

    False means: ask them. Unknown fields are not looked for.
    """
    return _plain_texts(dose) and _plain_place(dose, desk) and _plain_lot(dose, desk)


def _plain_texts(dose: Dose) -> bool:
    if dose.id_bytes is None or not _PLAIN_CODES.fullmatch(dose.codes):
        return False
    notes, reason = dose.notes, dose.record.correction_reason
    if not _PLAIN_NOTES.fullmatch(notes):
        parts = notes.split(BETWEEN)
        if len(parts) != NOTE_PARTS or not all(map(text_is_fit, parts)):
            return False
    return not reason or text_is_fit(reason)


def _plain_place(dose: Dose, desk: Desk) -> bool:
    day = dose.day
    if day is None or day > desk.today or dose.entered_seconds <= 0:
        return False
    unit = desk.unit(dose.unit_code)
    if (
        unit is None
        or not desk.in_scope(dose.unit_code)
        or not _active(unit.active_from, unit.active_until, day)
    ):
        return False
    days_late = ordinal_of_seconds(dose.entered_seconds) - day.toordinal()
    return (
        days_late <= desk.tables.thresholds.entered_within_days and dose.revision < MOST_REVISIONS
    )


def _plain_lot(dose: Dose, desk: Desk) -> bool:
    vaccine, day = desk.tables.vaccines.get(dose.vaccine_code), dose.day
    if vaccine is None or day is None or not vaccine.valid_from <= day <= vaccine.valid_to:
        return False
    if dose.expiry is None or dose.expiry < day or dose.iso_code:
        return False
    return (
        dose.site in _SITES
        and dose.route in _ROUTES
        and _fits(dose.route, dose.site, vaccine.route)
        and dose.source in _SOURCES
        and dose.property in _PROPERTIES
        and 1 <= dose.dose_number <= _MOST_DOSES
        and (dose.free or not vaccine.programme)
        and dose.level in (TraceCode.LEVEL_UNSPECIFIED, TraceCode.LEVEL_MINIMUM_PACKAGE)
        and desk.usual_doses
    )


def judge(dose: Dose, desk: Desk, *, strange: bool = False) -> Findings:
    """Return every finding that needs no stored record, in the order of RULES.

    `strange`: there may be unknown fields.
    """
    if not strange and plain(dose, desk):
        return []
    return [finding for rule in RULES for finding in rule(dose, desk)]


def _at(rule_id: str, field: str) -> Findings:
    return [Finding(rule_id, f"{PATH}.{field}")]


def _active(first: date | None, last: date | None, day: date) -> bool:
    return (first is None or first <= day) and (last is None or day <= last)


def _fits(route: int, site: int, wanted: int) -> bool:
    """Oral goes with the mouth and only with it.

    Intradermal and oral vaccines have no other route (VA-13).
    """
    if (route == _ORAL_ROUTE) != (site == _ORAL_SITE):
        return False
    return (
        not wanted
        or route == wanted
        or (wanted not in _SPECIAL_ROUTES and route not in _SPECIAL_ROUTES)
    )


def form(dose: Dose, _desk: Desk) -> Findings:
    """EN-08, EN-09: only known fields and codes, fit texts."""
    return form_findings(dose.record, PATH)


def identity(dose: Dose, _desk: Desk) -> Findings:
    """EN-10, CH-01: what names the dose and its child is there and in its form."""
    found: Findings = []
    if dose.id_bytes is None:
        found += _at("EN-10", "record_id")
    if not CHILD_CODE.fullmatch(dose.child_code):
        found += _at("CH-01", "child_code")
    if not VACCINE_CODE.fullmatch(dose.vaccine_code):
        found += _at("EN-10", "lot.vaccine_code")
    if dose.dose_number > _MOST_DOSES:
        found += _at("EN-10", "dose_number")
    if dose.revision >= MOST_REVISIONS:
        found += _at("EN-10", "revision")
    if dose.expiry is None and dose.record.lot.HasField("expiry_date"):
        found += _at("EN-10", "lot.expiry_date")
    return found


def known_vaccine(dose: Dose, desk: Desk) -> Findings:
    """VA-02: the code is in the table and valid on the day."""
    vaccine = desk.tables.vaccines.get(dose.vaccine_code)
    known = vaccine is not None and (
        dose.day is None or vaccine.valid_from <= dose.day <= vaccine.valid_to
    )
    return [] if known else _at("VA-02", "lot.vaccine_code")


def possible_day(dose: Dose, desk: Desk) -> Findings:
    """VA-03: a real day, not in the future (Asia/Shanghai)."""
    possible = dose.day is not None and dose.day <= desk.today
    return [] if possible else _at("VA-03", "vaccinated_date")


def in_date(dose: Dose, _desk: Desk) -> Findings:
    """VA-05: the lot had not expired."""
    expired = dose.expiry is not None and dose.day is not None and dose.expiry < dose.day
    return _at("VA-05", "lot.expiry_date") if expired else []


def given_rightly(dose: Dose, desk: Desk) -> Findings:
    """VA-13: route, site and vaccine fit each other."""
    vaccine = desk.tables.vaccines.get(dose.vaccine_code)
    if not dose.route or not dose.site:
        return []
    return (
        []
        if _fits(dose.route, dose.site, vaccine.route if vaccine else 0)
        else _at("VA-13", "route")
    )


def programme_is_free(dose: Dose, desk: Desk) -> Findings:
    """VA-14: a dose of the programme costs nothing."""
    vaccine = desk.tables.vaccines.get(dose.vaccine_code)
    return _at("VA-14", "free_of_charge") if vaccine and vaccine.programme and not dose.free else []


def entered_in_time(dose: Dose, desk: Desk) -> Findings:
    """VA-15: entered within the days that the policy allows, where it was given."""
    if dose.day is None or dose.entered_seconds <= 0 or dose.source in _LATE_SOURCES:
        return []
    days = ordinal_of_seconds(dose.entered_seconds) - dose.day.toordinal()
    return _at("VA-15", "entered_time") if days > desk.tables.thresholds.entered_within_days else []


def at_own_active_unit(dose: Dose, desk: Desk) -> Findings:
    """VA-20, VA-16: the unit is the sender's and was designated on the day.

    A dose of another province names its unit.
    """
    abroad = dose.source == Vaccination.SOURCE_OTHER_PROVINCE
    if abroad and dose.unit_code and not dose.unit_code.startswith(desk.tables.province):
        return []
    unit = desk.unit(dose.unit_code)
    if unit is None or not desk.in_scope(dose.unit_code):
        return _at("VA-20", "unit_code")
    active = dose.day is None or _active(unit.active_from, unit.active_until, dose.day)
    return [] if active else _at("VA-16", "unit_code")


def complete(dose: Dose, desk: Desk) -> Findings:
    """VA-23: the required items are filled; a lot number has its form."""
    required = desk.tables.required.vaccination
    empty = [path for path in empty_items(dose.record, required, PATH) if path not in _OWN_RULE]
    lot_number = dose.record.lot.lot_number
    if lot_number and not _LOT_NUMBER.fullmatch(lot_number):
        empty.append(f"{PATH}.lot.lot_number")
    return [Finding("VA-23", path) for path in empty]


def traceable(dose: Dose, _desk: Desk) -> Findings:
    """TR-01, TR-09: a code, where there is one, has its form and stands on a minimum package."""
    if not dose.record.HasField("trace"):
        return []
    found: Findings = []
    nmpa_code = dose.record.trace.nmpa_code
    fit = _NMPA_CODE.fullmatch(nmpa_code) or (not nmpa_code and is_iso_code(dose.iso_code))
    if not fit:
        found += _at("TR-01", "trace")
    if dose.level > TraceCode.LEVEL_MINIMUM_PACKAGE:
        found += _at("TR-09", "trace.level")
    return found


RULES: tuple[Callable[[Dose, Desk], Findings], ...] = (
    form,
    identity,
    possible_day,
    at_own_active_unit,
    known_vaccine,
    in_date,
    given_rightly,
    programme_is_free,
    entered_in_time,
    complete,
    traceable,
)
