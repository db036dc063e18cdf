"""A faultless card: every required item, a valid identity number, parents who can be reached."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from string import ascii_uppercase

from gateway.sample import people
from gateway.sample.calendar import as_date
from gateway.v1 import child_pb2 as c
from gateway.v1 import types_pb2 as t

# Ages in months, weighted so that a child has ten doses on record on average.
_AGE_BANDS = (
    (0, 2, 10),
    (2, 4, 12),
    (4, 8, 22),
    (8, 12, 18),
    (12, 18, 16),
    (18, 30, 16),
    (30, 60, 6),
)
_MONTH_DAYS = 30.4
# Births are a little more frequent in autumn (general knowledge); index 0 is January.
_BIRTHS_BY_MONTH = (98, 92, 95, 93, 96, 97, 101, 105, 107, 110, 105, 101)
_MOST = max(_BIRTHS_BY_MONTH)
# Out of 100: boys, cards without a number, other counties, floating families, HBsAg.
_BOYS, _NO_NUMBER, _ELSEWHERE, _FLOATING, _HBSAG = 52, 30, 8, 9, 4
_YOUNG_DAYS = 90
_FILED_WITHIN_DAYS = 26
# Birth certificates of one county and letter.
_SERIALS = 1000


@dataclass(slots=True)
class Registry:
    """What is given out once only: codes, identity numbers, certificates."""

    codes: dict[tuple[str, int], int] = field(default_factory=dict)
    numbers: dict[tuple[str, date, int], int] = field(default_factory=dict)
    certificates: dict[str, int] = field(default_factory=dict)

    def child_code(self, unit: str, born: date) -> str:
        """Return the next 18-digit code of a unit and year."""
        serial = self.codes[unit, born.year] = self.codes.get((unit, born.year), 0) + 1
        return f"{unit}{born.year}{serial:04d}"

    def identity(self, division: str, born: date, sex: int, home: str) -> str:
        """Return the next identity number of a division, birthday and sex.

        People of a county `home` that is not the division begin further on, so that samples of
        different counties do not give out the same number.
        """
        key = (division, born, sex)
        first = 0 if division == home else int(home) % people.NUMBERS_PER_DAY
        serial = self.numbers.get(key, first - 1) + 1
        self.numbers[key] = serial
        return people.identity_number(division, born, serial, sex)

    def certificate(self, home: str) -> str:
        """Return a county's next birth certificate number: letter, province, county, serial."""
        serial = self.certificates[home] = self.certificates.get(home, -1) + 1
        block, place = divmod(serial, _SERIALS)
        round_, letter = divmod(block, len(ascii_uppercase))
        return f"{ascii_uppercase[letter]}{14 + round_}{home[2:]}{place:03d}"


def birthday(rng: Random, as_of: date) -> date:
    """Return a birthday before `as_of`, by the age bands and the months' births."""
    weights = [weight for _, _, weight in _AGE_BANDS]
    while True:
        low, high, _ = rng.choices(_AGE_BANDS, weights)[0]
        born = as_of - timedelta(days=1 + int(rng.uniform(low, high) * _MONTH_DAYS))
        if rng.randrange(_MOST) < _BIRTHS_BY_MONTH[born.month - 1]:
            return born


def card(
    rng: Random,
    registry: Registry,
    unit: t.Unit,
    days: tuple[date, date],
    sex: int,
    others: Sequence[str],
) -> c.Child:
    """Return a card filed at `unit`.

    `days`: the birthday and the day of the sample; `others`: divisions where a household may be.
    """
    born, as_of = days
    family = people.surname(rng)
    home = unit.division_code
    household = rng.choice(others) if others and rng.randrange(100) < _ELSEWHERE else home
    filed = min(born + timedelta(days=rng.randrange(1, _FILED_WITHIN_DAYS)), as_of)
    return c.Child(
        child_code=registry.child_code(unit.unit_code, born),
        name=family + people.given_name(rng, sex),
        sex=c.SEX_MALE if sex == people.MALE else c.SEX_FEMALE,
        birth_date=as_date(born),
        birth_weight_grams=max(1900, min(5200, int(rng.gauss(3280, 430)))),
        nationality_code="CHN",
        ethnicity_code="01" if rng.randrange(1000) else "03",
        birth_certificate_number=registry.certificate(home),
        birth_facility_code=f"{home}0002",
        guardians=_guardians(rng, registry, family, household, born),
        household=_address(rng, household),
        residence=_address(rng, home),
        household_category=_category(household, home),
        residence_type=_residence(rng, household, home),
        status=c.REGISTER_STATUS_ACTIVE,
        file_unit_code=unit.unit_code,
        current_unit_code=unit.unit_code,
        filed_date=as_date(filed),
        restricted=_restricted(rng),
    )


def give_document(rng: Random, registry: Registry, child: c.Child, born: date, as_of: date) -> None:
    """Give the card its identity number; the youngest may not have one yet."""
    young = (as_of - born).days < _YOUNG_DAYS
    if young and rng.randrange(100) < _NO_NUMBER:
        child.document = c.IDENTITY_DOCUMENT_NOT_YET_OBTAINED
        return
    sex = people.MALE if child.sex == c.SEX_MALE else people.FEMALE
    child.document = c.IDENTITY_DOCUMENT_RESIDENT_CARD
    home = child.residence.division_code
    child.document_number = registry.identity(home, born, sex, home)


def sex_of(rng: Random) -> int:
    """Return the sex of a newborn."""
    return people.MALE if rng.randrange(100) < _BOYS else people.FEMALE


def _guardians(
    rng: Random, registry: Registry, family: str, division: str, born: date
) -> list[c.Guardian]:
    parents = []
    for relation, sex in (
        (c.Guardian.RELATION_MOTHER, people.FEMALE),
        (c.Guardian.RELATION_FATHER, people.MALE),
    ):
        surname = family if sex == people.MALE else people.surname(rng)
        parent_born = born - timedelta(days=int(rng.uniform(22, 38) * 365.25))
        parents.append(
            c.Guardian(
                relation=relation,
                name=people.adult_name(rng, surname, sex),
                document=c.IDENTITY_DOCUMENT_RESIDENT_CARD,
                document_number=registry.identity(division, parent_born, sex, division),
                phone=people.phone(rng),
            )
        )
    return parents


def _address(rng: Random, division: str) -> t.Address:
    return t.Address(
        division_code=division,
        town_code=f"{division}{rng.randrange(1, 12):03d}",
        detail=people.street(rng),
    )


def _category(household: str, home: str) -> c.HouseholdCategory.ValueType:
    if household == home:
        return c.HOUSEHOLD_CATEGORY_THIS_COUNTY
    same_city = household[:4] == home[:4]
    return c.HOUSEHOLD_CATEGORY_OTHER_COUNTY if same_city else c.HOUSEHOLD_CATEGORY_OTHER_CITY


def _residence(rng: Random, household: str, home: str) -> c.ResidenceType.ValueType:
    if household != home or rng.randrange(100) < _FLOATING:
        return c.RESIDENCE_TYPE_FLOATING
    return c.RESIDENCE_TYPE_LOCAL


def _restricted(rng: Random) -> c.ChildRestricted:
    positive = rng.randrange(100) < _HBSAG
    return c.ChildRestricted(
        mother_hbsag=c.TEST_RESULT_POSITIVE if positive else c.TEST_RESULT_NEGATIVE,
        mother_hiv=c.TEST_RESULT_NEGATIVE,
    )
