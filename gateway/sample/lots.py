"""Lots and packages: every dose comes from a package that a stock document brought to its unit."""

from dataclasses import dataclass, field
from datetime import date

from gateway.sample.calendar import as_date, month_end, months_later
from gateway.v1 import types_pb2 as t

_SHELF_LIFE_MONTHS = 24
# A lot is made half a year before it is used, and serves one quarter of a year.
_MADE_BEFORE_MONTHS = 6
_QUARTER_MONTHS = 3


@dataclass(slots=True)
class Delivery:
    """The packages of one lot that one unit received in one quarter; each package is one dose."""

    unit: str
    lot: t.VaccineLot
    received: date
    codes: list[str] = field(default_factory=list)
    used: int = 0


@dataclass(slots=True)
class Shelf:
    """All deliveries, made as doses are taken."""

    deliveries: dict[tuple[str, str, date], Delivery] = field(default_factory=dict)
    packages: int = 0

    def take(self, unit: str, vaccine: str, day: date) -> tuple[t.VaccineLot, str]:
        """Take one package of a unit's stock; return its lot and traceability code."""
        delivery = self.delivery(unit, vaccine, day)
        code = self.add_package(delivery)
        delivery.used += 1
        return delivery.lot, code

    def delivery(self, unit: str, vaccine: str, day: date) -> Delivery:
        """Return the delivery of a unit, vaccine and the quarter of a day."""
        quarter = date(day.year, (day.month - 1) // _QUARTER_MONTHS * _QUARTER_MONTHS + 1, 1)
        key = (unit, vaccine, quarter)
        found = self.deliveries.get(key)
        if found is None:
            found = self.deliveries[key] = Delivery(unit, lot_of(vaccine, quarter), quarter)
        return found

    def add_package(self, delivery: Delivery) -> str:
        """Put one more package into a delivery and return its code."""
        self.packages += 1
        code = trace_code(delivery.lot.vaccine_code, self.packages)
        delivery.codes.append(code)
        return code


def lot_of(vaccine: str, quarter: date) -> t.VaccineLot:
    """Return the lot of a vaccine that is given out in a quarter."""
    made = months_later(quarter, -_MADE_BEFORE_MONTHS)
    expires = month_end(months_later(made, _SHELF_LIFE_MONTHS))
    return t.VaccineLot(
        vaccine_code=vaccine,
        manufacturer_code=f"{int(vaccine) % 9 + 1:02d}",
        lot_number=f"{made:%Y%m}{int(vaccine) % 97:03d}",
        expiry_date=as_date(expires),
        specification="1剂/支",
        doses_per_package_count=1,
        lot_release_id=f"PQF{made:%Y%m}{vaccine}",
    )


def trace_code(vaccine: str, serial: int) -> str:
    """Return 20 digits: product (7), package (9), four that only the maker could foretell."""
    return f"81{vaccine}1{serial:09d}{serial * 7919 % 10_000:04d}"
