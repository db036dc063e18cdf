"""A dose as it comes in: its fields, read once, and the key columns that are stored of it."""

from datetime import date
from typing import NamedTuple

from gateway.records.desk import Desk
from gateway.records.form import to_day
from gateway.records.ids import CHILD_CODE, VACCINE_CODE, record_id_bytes
from gateway.records.keys import HERE, DoseKey
from gateway.v1.vaccination_pb2 import Vaccination

# Between the parts of a join: no accepted text holds it, text_is_fit refuses control characters.
BETWEEN = "\x1f"
NOTE_PARTS = 3


class Dose(NamedTuple):
    """A vaccination read once.

    Days are None where there is no such day; `codes` and `notes` are texts, joined by BETWEEN.
    """

    record: Vaccination
    record_id: str
    id_bytes: bytes | None
    child_code: str
    vaccine_code: str
    unit_code: str
    dose_number: int
    day: date | None
    expiry: date | None
    site: int
    route: int
    property: int
    source: int
    free: bool
    consent: bool
    packaged: int
    level: int
    iso_code: str
    entered_seconds: int
    revision: int
    codes: str
    notes: str


def read(record: Vaccination) -> Dose:
    """Return the dose with every field taken out of the message once."""
    lot, trace = record.lot, record.trace
    child_code, unit_code, vaccinator_id = record.child_code, record.unit_code, record.vaccinator_id
    vaccine_code, lot_number, maker = lot.vaccine_code, lot.lot_number, lot.manufacturer_code
    record_id, nmpa_code = record.record_id, trace.nmpa_code
    codes = (child_code, vaccine_code, maker, lot_number, unit_code, vaccinator_id, nmpa_code)
    return Dose(
        record,
        record_id,
        record_id_bytes(record_id),
        child_code,
        vaccine_code,
        unit_code,
        record.dose_number,
        to_day(record.vaccinated_date),
        to_day(lot.expiry_date),
        record.site,
        record.route,
        record.property,
        record.source,
        record.free_of_charge,
        record.consent_recorded,
        lot.doses_per_package_count,
        trace.level,
        trace.iso_code,
        record.entered_time.seconds,
        record.revision,
        BETWEEN.join((*codes, record.device_id, lot.lot_release_id)),
        BETWEEN.join((record.dose_amount, record.no_scan_reason, lot.specification)),
    )


def key_of(dose: Dose, desk: Desk, index: int) -> DoseKey | None:
    """Return the key columns of a batch's item.

    None when it lacks what a stored dose must have (EN-10, CH-01, VA-03).
    """
    record_id, day = dose.id_bytes, dose.day
    if record_id is None or day is None or not CHILD_CODE.fullmatch(dose.child_code):
        return None
    if not VACCINE_CODE.fullmatch(dose.vaccine_code):
        return None
    vaccine = desk.tables.vaccines.get(dose.vaccine_code)
    return DoseKey(
        desk.child_tag(dose.child_code),
        record_id,
        dose.vaccine_code,
        dose.dose_number,
        day,
        dose.route,
        dose.site,
        desk.tag("dose", content(dose)),
        dose.unit_code,
        vaccine.series if vaccine else "",
        dose.revision,
        HERE,
        index,
    )


def content(dose: Dose) -> str:
    """Return what makes two doses the same whatever their id.

    That is all but the record id, the time of entry, the revision and its reason.
    """
    day, expiry = dose.day, dose.expiry
    days = (0 if day is None else day.toordinal(), 0 if expiry is None else expiry.toordinal())
    return (
        f"{dose.codes}{BETWEEN}{dose.notes}{BETWEEN}{dose.iso_code}{BETWEEN}{days}"
        f"{dose.dose_number} {dose.site} {dose.route} {dose.property} {dose.source} {dose.level} "
        f"{dose.packaged} {dose.free}{dose.consent}"
    )
