"""Defects of cards as they occur in real registers; each is planted alone, so that its findings are known."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

from gateway.sample.calendar import as_date
from gateway.sample.children import Registry
from gateway.sample.family import Family, State, Truth
from gateway.v1 import child_pb2 as c

Planted = tuple[str, State]
Plant = Callable[[Random, Registry, Family], Planted | None]
_SENTINEL = "888888888888888888"
_ABOLISHED = "140402"
_UNKNOWN_DIVISION = "149999"
_RESIDENT = c.IDENTITY_DOCUMENT_RESIDENT_CARD


def _numbered(family: Family) -> bool:
    return family.child.document == _RESIDENT


def missing_address(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The street is left empty."""
    family.child.household.ClearField("detail")
    return "CH-21", "flagged"


def missing_guardian_phone(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """Nobody can be reached."""
    for guardian in family.child.guardians:
        guardian.ClearField("phone")
    return "CH-12", "quarantined"


def sentinel_number(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """Eighteen eights stand for "not yet obtained", under the type of a resident card."""
    family.child.document = _RESIDENT
    family.child.document_number = _SENTINEL
    return "CH-10", "rejected"


def wrong_check_digit(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The last character was mistyped."""
    if not _numbered(family):
        return None
    number = family.child.document_number
    family.child.document_number = number[:-1] + ("5" if number[-1] != "5" else "6")
    return "CH-06", "quarantined"


def other_birthday(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The number says another birthday than the card."""
    if not _numbered(family):
        return None
    division, day = family.child.household.division_code, family.born + timedelta(days=1)
    family.child.document_number = registry.identity(division, day, _sex(family))
    return "CH-07", "quarantined"


def other_sex(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The number says another sex than the card."""
    if not _numbered(family):
        return None
    division = family.child.household.division_code
    family.child.document_number = registry.identity(division, family.born, 3 - _sex(family))
    return "CH-08", "flagged"


def abolished_division(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The number begins with a county that was abolished before the child was born."""
    if not _numbered(family):
        return None
    family.child.document_number = registry.identity(_ABOLISHED, family.born, _sex(family))
    return "CH-09", "flagged"


def odd_certificate(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The birth certificate's number lacks its letter."""
    family.child.birth_certificate_number = family.child.birth_certificate_number[1:]
    return "CH-11", "flagged"


def odd_phone(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The father's number lacks a digit."""
    family.child.guardians[1].phone = family.child.guardians[1].phone[:-1]
    return "CH-13", "flagged"


def unknown_division(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The household's county does not exist."""
    family.child.household.division_code = _UNKNOWN_DIVISION
    family.child.household.ClearField("town_code")
    return "CH-14", "quarantined"


def weight_in_kilograms(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The weight was typed in hectograms."""
    family.child.birth_weight_grams = 33
    return "CH-15", "flagged"


def filed_before_birth(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The card was filed before the child was born."""
    family.child.filed_date.CopyFrom(as_date(family.born - timedelta(days=3)))
    return "CH-16", "rejected"


def filed_late(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The card was filed when the child was two months old."""
    filed = family.born + timedelta(days=62)
    if filed > family.as_of:
        return None
    family.child.filed_date.CopyFrom(as_date(filed))
    return "CH-17", "flagged"


def left_without_reason(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The child left, nobody wrote when and why."""
    family.child.status = c.REGISTER_STATUS_LEFT
    return "CH-18", "quarantined"


def hidden_character(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The name holds a bidirectional override, as copied from a web page."""
    family.child.name = f"\u202e{family.child.name}"
    return "EN-09", "rejected"


def second_card(rng: Random, registry: Registry, family: Family) -> Planted | None:
    """The child got a second card with the same identity number; the second is held."""
    if not _numbered(family):
        return None
    twin = c.Child()
    twin.CopyFrom(family.child)
    twin.child_code = registry.child_code(family.unit.unit_code, family.born)
    twin.birth_certificate_number = registry.certificate()
    family.second_card = twin
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
    weight_in_kilograms,
    abolished_division,
    left_without_reason,
    filed_before_birth,
    hidden_character,
)


def _sex(family: Family) -> int:
    return 1 if family.child.sex == c.SEX_MALE else 2


def plant_card(rng: Random, registry: Registry, family: Family, number: int) -> None:
    """Plant the `number`-th kind of defect, or the next one that this card can have."""
    for step in range(len(CARD_DEFECTS)):
        plant = CARD_DEFECTS[(number + step) % len(CARD_DEFECTS)]
        planted = plant(rng, registry, family)
        if planted is not None:
            _note(family, plant.__name__, *planted)
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
