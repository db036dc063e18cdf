"""Defects of doses; each is planted so that no other dose of the child is judged differently by it."""

from collections.abc import Callable
from datetime import date, timedelta
from random import Random

from gateway.sample.calendar import as_date, from_date, moment, months_later
from gateway.sample.doses import new_id
from gateway.sample.family import Family, State, Truth
from gateway.v1 import vaccination_pb2 as v

Record = v.Vaccination
Planted = tuple[Record, str, State]
Plant = Callable[[Random, Family], Planted | None]
_BCG, _HEPB, _IPV, _OPV, _MMR, _JE, _HEPA = "0101", "0202", "0306", "0311", "1201", "1801", "1902"
_UNKNOWN_VACCINE = "9899"


def _dose(family: Family, code: str, number: int) -> Record | None:
    for dose in family.doses:
        if dose.lot.vaccine_code == code and dose.dose_number == number:
            return dose
    return None


def _copy(rng: Random, family: Family, dose: Record) -> Record:
    """Add a copy of a dose, under an id and a package of its own, at the end of the child's doses."""
    copy = Record()
    copy.CopyFrom(dose)
    copy.record_id = new_id(rng)
    family.doses.append(copy)
    return copy


def _move(dose: Record, day: date) -> None:
    dose.vaccinated_date.CopyFrom(as_date(day))
    dose.entered_time.CopyFrom(moment(day, 600))


def too_early(rng: Random, family: Family) -> Planted | None:
    """The first MMR was given a month before the child was eight months old."""
    dose = _dose(family, _MMR, 1)
    if dose is None:
        return None
    _move(dose, months_later(family.born, 8) - timedelta(days=rng.randrange(29, 36)))
    return dose, "VA-06", "flagged"


def short_interval(rng: Random, family: Family) -> Planted | None:
    """The second polio dose followed the first after less than 28 days."""
    first, second = _dose(family, _IPV, 1), _dose(family, _IPV, 2)
    if first is None or second is None:
        return None
    _move(first, from_date(second.vaccinated_date) - timedelta(days=rng.randrange(14, 24)))
    return second, "VA-07", "flagged"


def live_after_live(rng: Random, family: Family) -> Planted | None:
    """Japanese encephalitis live vaccine came two weeks after MMR."""
    mmr, live = _dose(family, _MMR, 1), _dose(family, _JE, 1)
    if mmr is None or live is None:
        return None
    _move(live, from_date(mmr.vaccinated_date) + timedelta(days=rng.randrange(10, 20)))
    return live, "VA-08", "flagged"


def number_skipped(rng: Random, family: Family) -> Planted | None:
    """BCG was recorded as dose 2; there never was a dose 1."""
    dose = _dose(family, _BCG, 1)
    if dose is None:
        return None
    dose.dose_number = 2
    return dose, "VA-10", "flagged"


def twice_in_a_day(rng: Random, family: Family) -> Planted | None:
    """Hepatitis A was recorded twice on one day, as two doses."""
    dose = _dose(family, _HEPA, 1)
    if dose is None:
        return None
    copy = _copy(rng, family, dose)
    copy.dose_number, copy.site = 2, Record.SITE_LEFT_THIGH
    copy.trace.nmpa_code = copy.trace.nmpa_code[:-4] + "0000"
    return copy, "VA-11", "quarantined"


def same_site(rng: Random, family: Family) -> Planted | None:
    """Two injections of one visit are recorded for the same arm."""
    mmr, live = _dose(family, _MMR, 1), _dose(family, _JE, 1)
    if mmr is None or live is None or mmr.vaccinated_date != live.vaccinated_date:
        return None
    live.site = mmr.site
    return live, "VA-12", "flagged"


def oral_in_the_arm(rng: Random, family: Family) -> Planted | None:
    """The drops are recorded with the site of an injection."""
    dose = _dose(family, _OPV, 3)
    if dose is None:
        return None
    dose.site = Record.SITE_LEFT_UPPER_ARM
    return dose, "VA-13", "flagged"


def programme_dose_paid(rng: Random, family: Family) -> Planted | None:
    """Money was taken for a dose of the programme."""
    dose = _dose(family, _HEPB, 2)
    if dose is None:
        return None
    dose.free_of_charge = False
    return dose, "VA-14", "flagged"


def entered_late(rng: Random, family: Family) -> Planted | None:
    """The dose was entered two weeks after it was given."""
    dose = _dose(family, _HEPB, 2)
    if dose is None:
        return None
    late = from_date(dose.vaccinated_date) + timedelta(days=rng.randrange(12, 20))
    if late > family.as_of:
        return None
    dose.entered_time.CopyFrom(moment(late, 600))
    return dose, "VA-15", "flagged"


def expired(rng: Random, family: Family) -> Planted | None:
    """The vaccine had expired the day before; no later dose of the series hangs on this one."""
    dose = _dose(family, _HEPA, 1) or _dose(family, _BCG, 1)
    if dose is None:
        return None
    day = from_date(dose.vaccinated_date) - timedelta(days=1)
    dose.lot.expiry_date.CopyFrom(as_date(day))
    return dose, "VA-05", "quarantined"


def unknown_vaccine(rng: Random, family: Family) -> Planted | None:
    """The vaccine's code is in no table."""
    dose = _dose(family, _BCG, 1)
    if dose is None:
        return None
    dose.lot.vaccine_code = _UNKNOWN_VACCINE
    return dose, "VA-02", "quarantined"


def before_birth(rng: Random, family: Family) -> Planted | None:
    """The year of the dose was mistyped: it lies before the birth."""
    dose = _dose(family, _BCG, 1)
    if dose is None:
        return None
    _move(dose, family.born - timedelta(days=rng.randrange(20, 300)))
    return dose, "VA-03", "rejected"


def replayed(rng: Random, family: Family) -> Planted | None:
    """A record was sent again under another id."""
    dose = _dose(family, _HEPB, 1)
    if dose is None:
        return None
    return _copy(rng, family, dose), "VA-19", "quarantined"


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


def plant_dose(rng: Random, family: Family, number: int) -> bool:
    """Plant the `number`-th kind of defect, or the next one possible; False where none is."""
    for step in range(len(DOSE_DEFECTS)):
        plant = DOSE_DEFECTS[(number + step) % len(DOSE_DEFECTS)]
        planted = plant(rng, family)
        if planted is not None:
            dose, rule, state = planted
            family.dose_found(dose, plant.__name__, rule, state)
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
