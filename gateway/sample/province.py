"""A generated province: units and families of one seed, with stock documents and adverse events.

The same seed, tables and numbers give the same messages, byte by byte, on every machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random

from gateway.sample.card_defects import plant_card
from gateway.sample.children import Registry, birthday, card, give_document, sex_of
from gateway.sample.dose_defects import hold_card_back, plant_dose
from gateway.sample.doses import Calendar, record
from gateway.sample.events import events
from gateway.sample.family import Case, Family, Truth
from gateway.sample.lots import Shelf
from gateway.sample.stock import balances, movements
from gateway.sample.tables import Tables
from gateway.sample.units import city_centre, clinics_of, county_units
from gateway.v1 import aefi_pb2 as a
from gateway.v1 import stock_pb2 as s
from gateway.v1 import types_pb2 as t

# The day as of which the sample is told; fixed, so that a seed means the same tomorrow.
AS_OF = date(2026, 9, 30)
# The share of families with a defect of the card, of a dose, and with a card that comes too late.
CARD_SHARE, DOSE_SHARE, LATE_SHARE = 0.02, 0.03, 0.004
_CHILDREN_PER_COUNTY = 700
_LEAST_COUNTIES = 3
# People of the cities in ten thousands (2021), in the order of their codes.
_PEOPLE = (539, 310, 131, 315, 219, 159, 339, 473, 266, 391, 337)


@dataclass(frozen=True, slots=True)
class Shares:
    """What part of the families has a planted defect of each sort; all 0: a faultless sample."""

    card: float = CARD_SHARE
    dose: float = DOSE_SHARE
    late: float = LATE_SHARE


FAULTLESS = Shares(0.0, 0.0, 0.0)


class Province:
    """The generated records of one seed; families first, stock and events come from them."""

    def __init__(
        self,
        tables: Tables,
        units: Sequence[t.Unit],
        *,
        seed: int,
        children: int,
        as_of: date = AS_OF,
        shares: Shares = Shares(),
    ) -> None:
        """Prepare; `units` are those where the children live, centres are passed over."""
        self._random = Random(seed)
        self._shares = shares
        self._counties = [county.code for county in tables.counties()]
        self._clinics = clinics_of(units)
        self._children, self._as_of = children, as_of
        self._calendar = Calendar.of(tables)
        self._registry, self._shelf = Registry(), Shelf()
        self.events: list[a.AefiReport] = []
        self.event_truth: list[Truth] = []

    def families(self) -> Iterator[Family]:
        """Yield the families, those of one unit after the other."""
        cards = doses = 0
        for number in range(self._children):
            unit = self._clinics[number * len(self._clinics) // self._children]
            family = self._family(unit)
            case = Case(self._random, self._registry, family)
            drawn = self._random.random()
            if drawn < self._shares.card:
                plant_card(case, cards)
                cards += 1
            elif drawn < self._shares.card + self._shares.dose:
                doses += plant_dose(case, doses)
            elif drawn < self._shares.card + self._shares.dose + self._shares.late:
                hold_card_back(family)
            else:
                self._note_events(family)
            yield family

    def movements(self) -> Iterator[s.StockMovement]:
        """Yield the stock documents of the families' doses."""
        return movements(self._shelf, self._as_of)

    def balances(self) -> Iterator[s.StockBalance]:
        """Yield the balances of each unit, lot and quarter; after the movements."""
        return balances(self._shelf, self._as_of)

    def _family(self, unit: t.Unit) -> Family:
        born = birthday(self._random, self._as_of)
        sex = sex_of(self._random)
        days = (born, self._as_of)
        child = card(self._random, self._registry, unit, days, sex, self._counties)
        give_document(self._random, self._registry, child, born, self._as_of)
        doses = [
            record(self._random, child, unit, dose, self._shelf)
            for dose in self._calendar.plan(self._random, born, self._as_of)
        ]
        return Family(unit, born, self._as_of, child, doses)

    def _note_events(self, family: Family) -> None:
        for report, truth in events(self._random, family, self._as_of):
            self.events.append(report)
            if truth is not None:
                self.event_truth.append(truth)


def choose_counties(tables: Tables, seed: int, children: int) -> tuple[str, ...]:
    """Return the counties for a sample of this size; populous cities have more of them."""
    rng = Random(seed)
    counties = tables.counties()
    wanted = min(len(counties), max(_LEAST_COUNTIES, children // _CHILDREN_PER_COUNTY))
    chosen: set[str] = set()
    while len(chosen) < wanted:
        city = rng.choices(tables.cities, _PEOPLE)[0]
        chosen.add(rng.choice(tables.counties(city.code)).code)
    return tuple(sorted(chosen))


def units_of(tables: Tables, counties: Sequence[str], *, clinics: int = 6) -> tuple[t.Unit, ...]:
    """Return the units of these counties, after the centres of their cities."""
    cities = sorted({tables.division(county).parent for county in counties})
    return (
        *(city_centre(tables, city) for city in cities),
        *(unit for county in counties for unit in county_units(tables, county, clinics=clinics)),
    )
