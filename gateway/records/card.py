"""A child's card as it comes in: its fields, read once, and the key columns stored of it."""

import unicodedata
from datetime import date
from typing import NamedTuple

from gateway.records.desk import Desk
from gateway.records.form import to_day
from gateway.records.ids import CHILD_CODE, SENTINEL, identity_number_day, is_birth_certificate
from gateway.records.keys import HERE, ChildKey
from gateway.v1 import child_pb2 as c
from gateway.v1.types_pb2 import Address, Date

# Between the parts of a join: no accepted text holds it, text_is_fit refuses control characters.
BETWEEN = "\x1f"
_RESIDENT_CARD = c.IDENTITY_DOCUMENT_RESIDENT_CARD
_NOT_YET = c.IDENTITY_DOCUMENT_NOT_YET_OBTAINED


class Card(NamedTuple):
    """A card read once; days are None where there is no such day.

    `number`: the identity number in upper case, "" for a placeholder of one not yet obtained;
    `number_day`: the birth date in it, None where it is no valid number of a resident card;
    `texts`: every text of the card, joined by BETWEEN; `parts`: how many they are.
    """

    record: c.Child
    birth: date | None
    filed: date | None
    status_date: date | None
    number: str
    number_day: date | None
    texts: str
    parts: int


class CardKey(NamedTuple):
    """The key columns of a card, and the tags of what certainly names one child (tier D0).

    These are a valid identity number and a birth certificate number.
    """

    child: ChildKey
    identities: tuple[bytes, ...]
    has_reason: bool


def read(record: c.Child) -> Card:
    """Return the card with its days made, its texts joined and its identity number normalised."""
    number = record.document_number.strip().upper()
    if number == SENTINEL and record.document == _NOT_YET:
        number = ""
    numbered = number and record.document == _RESIDENT_CARD
    texts = _texts(record)
    return Card(
        record,
        to_day(record.birth_date),
        to_day(record.filed_date),
        to_day(record.status_date),
        number,
        identity_number_day(number) if numbered else None,
        BETWEEN.join(texts),
        len(texts),
    )


def _texts(record: c.Child) -> list[str]:
    texts = [
        record.child_code,
        record.name,
        record.nationality_code,
        record.ethnicity_code,
        record.document_number,
        record.birth_certificate_number,
        record.birth_facility_code,
        record.status_reason,
        record.file_unit_code,
        record.current_unit_code,
        *_place(record.household),
        *_place(record.residence),
    ]
    for guardian in record.guardians:
        texts += (guardian.name, guardian.document_number, guardian.phone)
    if record.HasField("restricted"):
        texts.append(record.restricted.allergies)
        texts += record.restricted.contraindicated_vaccine_codes
    return texts


def _place(address: Address) -> tuple[str, str, str]:
    return address.division_code, address.town_code, address.detail


def content(card: Card) -> str:
    """Return what makes two cards the same: all but the revision and the reason of a correction."""
    record = card.record
    guardians = [(one.relation, one.document) for one in record.guardians]
    apart: tuple[int, ...] = ()
    if record.HasField("restricted"):
        found = record.restricted
        codes = len(found.contraindicated_vaccine_codes)
        apart = (found.mother_hbsag, found.mother_hiv, codes)
    numbers = (
        record.sex,
        record.birth_weight_grams,
        record.document,
        record.household_category,
        record.residence_type,
        record.status,
        _numbers(record.birth_date),
        _numbers(record.filed_date),
        _numbers(record.status_date),
        guardians,
        apart,
    )
    return f"{card.texts}{BETWEEN}{numbers}"


def _numbers(value: Date) -> tuple[int, int, int]:
    return value.year, value.month, value.day


def normal_name(name: str) -> str:
    """Return a name as it is compared: NFKC, no spaces, upper case."""
    return "".join(unicodedata.normalize("NFKC", name).split()).upper()


def unit_of(record: c.Child) -> str:
    """Return the unit that manages the card: the current one, else the one that filed it."""
    return record.current_unit_code or record.file_unit_code


def key_of(card: Card, desk: Desk, index: int) -> CardKey | None:
    """Return the key columns of a batch's item.

    None when it lacks what a stored card must have (CH-01, CH-03).
    """
    record = card.record
    if card.birth is None or not CHILD_CODE.fullmatch(record.child_code):
        return None
    mother = next((one.name for one in record.guardians if _is_mother(one)), "")
    child = ChildKey(
        desk.child_tag(record.child_code),
        card.birth,
        record.sex,
        record.status,
        card.status_date,
        record.revision,
        unit_of(record),
        desk.tag("name", normal_name(record.name)),
        desk.tag("mother", normal_name(mother)) if mother else None,
        desk.tag("card", content(card)),
        HERE,
        index,
    )
    return CardKey(child, _identities(card, desk), record.correction_reason.strip() != "")


def _is_mother(guardian: c.Guardian) -> bool:
    return guardian.relation == c.Guardian.RELATION_MOTHER and guardian.name.strip() != ""


def _identities(card: Card, desk: Desk) -> tuple[bytes, ...]:
    """Return the identity tags; placeholders and numbers that fail their check never contribute."""
    found: list[bytes] = []
    if card.number_day is not None:
        found.append(desk.tag("identity", card.number))
    certificate = card.record.birth_certificate_number
    if is_birth_certificate(certificate):
        found.append(desk.tag("birth-certificate", certificate))
    return tuple(found)
