"""Defects of cards as real registers have them, each planted alone: its findings are known."""

from collections.abc import Callable
from datetime import date, timedelta

from gateway.sample.calendar import as_date
from gateway.sample.family import Case, Family, State, Truth
from gateway.v1 import child_pb2 as c

Planted = tuple[str, State]
Plant = Callable[[Case], Planted | None]
_SENTINEL = "888888888888888888"
_ABOLISHED = "140402"
_UNKNOWN_DIVISION = "149999"
_RESIDENT = c.IDENTITY_DOCUMENT_RESIDENT_CARD


def _numbered(family: Family) -> bool:
    return family.child.document == _RESIDENT


def _sex(family: Family) -> int:
    return 1 if family.child.sex == c.SEX_MALE else 2


def _renumber(case: Case, *, division: str = "", born: date | None = None, sex: int = 0) -> None:
    """Give the card another valid number, as if it were of that division, birthday or sex."""
    family, home = case.family, case.family.unit.division_code
    sex = sex or _sex(family)
    number = case.registry.identity(division or home, born or family.born, sex, home)
    family.child.document_number = number


def missing_address(case: Case) -> Planted | None:
    """Leave the street empty."""
    case.family.child.household.ClearField("detail")
    return "CH-21", "flagged"


def missing_guardian_phone(case: Case) -> Planted | None:
    """Leave nobody who can be reached."""
    for guardian in case.family.child.guardians:
        guardian.ClearField("phone")
    return "CH-12", "quarantined"


def sentinel_number(case: Case) -> Planted | None:
    """Write eighteen eights, "not yet obtained", under the type of a resident card."""
    case.family.child.document = _RESIDENT
    case.family.child.document_number = _SENTINEL
    return "CH-10", "rejected"


def wrong_check_digit(case: Case) -> Planted | None:
    """Mistype the last character of the number."""
    if not _numbered(case.family):
        return None
    number = case.family.child.document_number
    case.family.child.document_number = number[:-1] + ("5" if number[-1] != "5" else "6")
    return "CH-06", "quarantined"


def other_birthday(case: Case) -> Planted | None:
    """Give a number that says another birthday."""
    if not _numbered(case.family):
        return None
    _renumber(case, born=case.family.born + timedelta(days=1))
    return "CH-07", "quarantined"


def other_sex(case: Case) -> Planted | None:
    """Give a number that says the other sex."""
    if not _numbered(case.family):
        return None
    _renumber(case, sex=3 - _sex(case.family))
    return "CH-08", "flagged"


def abolished_division(case: Case) -> Planted | None:
    """Give a number of a county that was abolished before the child was born."""
    if not _numbered(case.family):
        return None
    _renumber(case, division=_ABOLISHED)
    return "CH-09", "flagged"


def odd_certificate(case: Case) -> Planted | None:
    """Drop the letter of the birth certificate's number."""
    case.family.child.birth_certificate_number = case.family.child.birth_certificate_number[1:]
    return "CH-11", "flagged"


def odd_phone(case: Case) -> Planted | None:
    """Drop a digit of the father's phone."""
    case.family.child.guardians[1].phone = case.family.child.guardians[1].phone[:-1]
    return "CH-13", "flagged"


def unknown_division(case: Case) -> Planted | None:
    """Let the household's county be one that never was."""
    case.family.child.household.division_code = _UNKNOWN_DIVISION
    case.family.child.household.ClearField("town_code")
    return "CH-14", "quarantined"


def weight_in_hectograms(case: Case) -> Planted | None:
    """Give the weight in hectograms."""
    case.family.child.birth_weight_grams = 33
    return "CH-15", "flagged"


def filed_before_birth(case: Case) -> Planted | None:
    """File the card before the birth."""
    case.family.child.filed_date.CopyFrom(as_date(case.family.born - timedelta(days=3)))
    return "CH-16", "rejected"


def filed_late(case: Case) -> Planted | None:
    """File the card when the child is two months old."""
    filed = case.family.born + timedelta(days=62)
    if filed > case.family.as_of:
        return None
    case.family.child.filed_date.CopyFrom(as_date(filed))
    return "CH-17", "flagged"


def left_without_reason(case: Case) -> Planted | None:
    """Let the child leave without a day and a reason."""
    case.family.child.status = c.REGISTER_STATUS_LEFT
    return "CH-18", "quarantined"


def hidden_character(case: Case) -> Planted | None:
    """Put a bidirectional override into the name, as copied from a web page."""
    case.family.child.name = f"\u202e{case.family.child.name}"
    return "EN-09", "rejected"


def second_card(case: Case) -> Planted | None:
    """Give the child a second card with the same number; the second is held."""
    if not _numbered(case.family):
        return None
    twin = c.Child()
    twin.CopyFrom(case.family.child)
    twin.child_code = case.registry.child_code(case.family.unit.unit_code, case.family.born)
    twin.birth_certificate_number = case.registry.certificate(case.family.unit.division_code)
    case.family.second_card = twin
    return "CH-23", "quarantined"


CARD_DEFECTS: tuple[Plant, ...] = (
    missing_address,
    wrong_check_digit,
    second_card,
    sentinel_number,
    missing_guardian_phone,
    other_birthday,
    filed_late,
    odd_phone,
    other_sex,
    unknown_division,
    odd_certificate,
    weight_in_hectograms,
    abolished_division,
    left_without_reason,
    filed_before_birth,
    hidden_character,
)


def plant_card(case: Case, number: int) -> None:
    """Plant the `number`-th kind of defect, or the next one that this card can have."""
    for step in range(len(CARD_DEFECTS)):
        plant = CARD_DEFECTS[(number + step) % len(CARD_DEFECTS)]
        planted = plant(case)
        if planted is not None:
            _note(case.family, plant.__name__, *planted)
            return


def _note(family: Family, defect: str, rule: str, state: State) -> None:
    """Write the truth; a child whose card is not accepted keeps its first dose, which waits."""
    if family.second_card is not None:
        code = family.second_card.child_code
        family.truth.append(Truth("child", code, defect, (rule,), state))
        return
    family.truth.append(Truth("child", family.child.child_code, defect, (rule,), state))
    if state in ("quarantined", "rejected"):
        del family.doses[1:]
        for dose in family.doses:
            family.dose_found(dose, "child_not_accepted", "VA-01", "quarantined")
