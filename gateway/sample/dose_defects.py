"""Defects of doses, each planted so that no other dose of the child is judged differently."""

from collections.abc import Callable
from datetime import date, timedelta

from gateway.sample.calendar import as_date, from_date, moment, months_later
from gateway.sample.doses import new_id
from gateway.sample.family import Case, Family, State, Truth
from gateway.v1 import vaccination_pb2 as v

Record = v.Vaccination
Planted = tuple[Record, str, State]
Plant = Callable[[Case], Planted | None]
_BCG, _HEPB, _IPV, _OPV, _MMR, _JE, _HEPA = "0101", "0202", "0306", "0311", "1201", "1801", "1902"
_UNKNOWN_VACCINE = "0099"


def _dose(family: Family, code: str, number: int) -> Record | None:
    for dose in family.doses:
        if dose.lot.vaccine_code == code and dose.dose_number == number:
            return dose
    return None


def _copy(case: Case, dose: Record) -> Record:
    """Add a copy of a dose under an id of its own, after the child's other doses."""
    copy = Record()
    copy.CopyFrom(dose)
    copy.record_id = new_id(case.rng)
    case.family.doses.append(copy)
    return copy


def _move(dose: Record, day: date) -> None:
    dose.vaccinated_date.CopyFrom(as_date(day))
    dose.entered_time.CopyFrom(moment(day, 600))


def too_early(case: Case) -> Planted | None:
    """Give the first MMR a month before the child is eight months old."""
    dose = _dose(case.family, _MMR, 1)
    if dose is None:
        return None
    _move(dose, months_later(case.family.born, 8) - timedelta(days=case.rng.randrange(29, 36)))
    return dose, "VA-06", "flagged"


def short_interval(case: Case) -> Planted | None:
    """Let the second polio dose follow the first after less than 28 days."""
    first, second = _dose(case.family, _IPV, 1), _dose(case.family, _IPV, 2)
    if first is None or second is None:
        return None
    _move(first, from_date(second.vaccinated_date) - timedelta(days=case.rng.randrange(14, 24)))
    return second, "VA-07", "flagged"


def live_after_live(case: Case) -> Planted | None:
    """Give Japanese encephalitis live vaccine two weeks after MMR."""
    mmr, live = _dose(case.family, _MMR, 1), _dose(case.family, _JE, 1)
    if mmr is None or live is None:
        return None
    _move(live, from_date(mmr.vaccinated_date) + timedelta(days=case.rng.randrange(10, 20)))
    return live, "VA-08", "flagged"


def number_skipped(case: Case) -> Planted | None:
    """Record BCG as dose 2; there never was a dose 1."""
    dose = _dose(case.family, _BCG, 1)
    if dose is None:
        return None
    dose.dose_number = 2
    return dose, "VA-10", "flagged"


def twice_in_a_day(case: Case) -> Planted | None:
    """Record hepatitis A twice on one day, as two doses."""
    dose = _dose(case.family, _HEPA, 1)
    if dose is None:
        return None
    copy = _copy(case, dose)
    copy.dose_number, copy.site = 2, Record.SITE_LEFT_THIGH
    copy.trace.nmpa_code = copy.trace.nmpa_code[:-4] + "0000"
    return copy, "VA-11", "quarantined"


def same_site(case: Case) -> Planted | None:
    """Record two injections of one visit for the same arm."""
    mmr, live = _dose(case.family, _MMR, 1), _dose(case.family, _JE, 1)
    if mmr is None or live is None or mmr.vaccinated_date != live.vaccinated_date:
        return None
    live.site = mmr.site
    return live, "VA-12", "flagged"


def oral_in_the_arm(case: Case) -> Planted | None:
    """Record the drops with the site of an injection."""
    dose = _dose(case.family, _OPV, 3)
    if dose is None:
        return None
    dose.site = Record.SITE_LEFT_UPPER_ARM
    return dose, "VA-13", "flagged"


def programme_dose_paid(case: Case) -> Planted | None:
    """Take money for a dose of the programme."""
    dose = _dose(case.family, _HEPB, 2)
    if dose is None:
        return None
    dose.free_of_charge = False
    return dose, "VA-14", "flagged"


def entered_late(case: Case) -> Planted | None:
    """Enter the dose two weeks after it was given."""
    dose = _dose(case.family, _HEPB, 2)
    if dose is None:
        return None
    late = from_date(dose.vaccinated_date) + timedelta(days=case.rng.randrange(12, 20))
    if late > case.family.as_of:
        return None
    dose.entered_time.CopyFrom(moment(late, 600))
    return dose, "VA-15", "flagged"


def expired(case: Case) -> Planted | None:
    """Let the lot expire the day before; no later dose of the series hangs on this one."""
    dose = _dose(case.family, _HEPA, 1) or _dose(case.family, _BCG, 1)
    if dose is None:
        return None
    day = from_date(dose.vaccinated_date) - timedelta(days=1)
    dose.lot.expiry_date.CopyFrom(as_date(day))
    return dose, "VA-05", "quarantined"


def unknown_vaccine(case: Case) -> Planted | None:
    """Write a vaccine code that is in no table."""
    dose = _dose(case.family, _BCG, 1)
    if dose is None:
        return None
    dose.lot.vaccine_code = _UNKNOWN_VACCINE
    return dose, "VA-02", "quarantined"


def before_birth(case: Case) -> Planted | None:
    """Mistype the date, so that it lies before the birth."""
    dose = _dose(case.family, _BCG, 1)
    if dose is None:
        return None
    _move(dose, case.family.born - timedelta(days=case.rng.randrange(20, 300)))
    return dose, "VA-03", "rejected"


def replayed(case: Case) -> Planted | None:
    """Send a record again under another id."""
    dose = _dose(case.family, _HEPB, 1)
    if dose is None:
        return None
    return _copy(case, dose), "VA-19", "quarantined"


DOSE_DEFECTS: tuple[Plant, ...] = (
    too_early,
    short_interval,
    oral_in_the_arm,
    replayed,
    entered_late,
    same_site,
    expired,
    programme_dose_paid,
    live_after_live,
    unknown_vaccine,
    number_skipped,
    twice_in_a_day,
    before_birth,
)


def plant_dose(case: Case, number: int) -> bool:
    """Plant the `number`-th kind of defect, or the next one possible; False where none is."""
    for step in range(len(DOSE_DEFECTS)):
        plant = DOSE_DEFECTS[(number + step) % len(DOSE_DEFECTS)]
        planted = plant(case)
        if planted is not None:
            dose, rule, state = planted
            case.family.dose_found(dose, plant.__name__, rule, state)
            return True
    return False


def hold_card_back(family: Family) -> None:
    """Send the card after the child's first dose: the dose waits, and is judged when it arrives."""
    family.late = True
    del family.doses[1:]
    for dose in family.doses:
        rules = ("VA-01",)
        family.truth.append(
            Truth(
                "vaccination", dose.record_id, "before_its_child", rules, "quarantined", "accepted"
            )
        )
