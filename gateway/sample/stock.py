"""Stock documents that cover the doses: what came into each unit, what was used, what is left."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby

from gateway.sample.calendar import as_date, moment, month_end, months_later
from gateway.sample.lots import Delivery, Shelf
from gateway.sample.units import centre_code
from gateway.v1 import stock_pb2 as s
from gateway.v1 import types_pb2 as t

Movement = s.StockMovement
# Beyond what was used, one package in ten and one more was delivered.
_SPARE_DIVISOR = 10
_COLD = (430, 510, 480)
_QUARTER_LAST_MONTH = 2


def movements(shelf: Shelf, as_of: date) -> Iterator[Movement]:
    """Yield, per unit and quarter, the document of what was delivered and of what was used."""
    for unit, quarter, deliveries in _by_unit_and_quarter(shelf):
        for delivery in deliveries:
            for _ in range(delivery.used // _SPARE_DIVISOR + 1):
                shelf.add_package(delivery)
        yield _delivered(unit, quarter, deliveries)
        yield _used(unit, _closed(quarter, as_of), deliveries)


def balances(shelf: Shelf, as_of: date) -> Iterator[s.StockBalance]:
    """Yield what is left of each lot at the end of its quarter; to be asked after the movements."""
    for unit, quarter, deliveries in _by_unit_and_quarter(shelf):
        for delivery in deliveries:
            left = len(delivery.codes) - delivery.used
            yield s.StockBalance(
                unit_code=unit,
                lot=delivery.lot,
                balance_date=as_date(_closed(quarter, as_of)),
                inbound_count=len(delivery.codes),
                outbound_count=delivery.used,
                closing_count=left,
                counted_count=left,
            )


def _by_unit_and_quarter(shelf: Shelf) -> Iterator[tuple[str, date, list[Delivery]]]:
    ordered = sorted(
        shelf.deliveries.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])
    )
    for (unit, quarter), group in groupby(ordered, key=lambda item: (item[0][0], item[0][2])):
        yield unit, quarter, [delivery for _, delivery in group]


def _closed(quarter: date, as_of: date) -> date:
    return min(month_end(months_later(quarter, _QUARTER_LAST_MONTH)), as_of)


def _delivered(unit: str, quarter: date, deliveries: Sequence[Delivery]) -> Movement:
    centre = centre_code(unit[:6])
    number = f"{quarter:%Y%m}"
    return Movement(
        document_id=f"IN-{unit}-{number}",
        unit_code=unit,
        store_id=f"{unit}-F1",
        counterparty_unit_code=centre,
        counterparty_document_id=f"OUT-{centre}-{unit[6:]}-{number}",
        kind=Movement.KIND_IN_DISTRIBUTED,
        document_date=as_date(quarter),
        lines=[_line(delivery) for delivery in deliveries],
        transport_temperatures=[
            s.TemperatureReading(
                read_time=moment(quarter, 420 + 40 * place),
                centi_celsius=reading,
                sensor_id=f"{centre}-T1",
            )
            for place, reading in enumerate(_COLD)
        ],
        temperature_record_attached=True,
        handler_id=f"{unit}-01",
    )


def _line(delivery: Delivery) -> Movement.Line:
    minimum = t.TraceCode.LEVEL_MINIMUM_PACKAGE
    return Movement.Line(
        lot=delivery.lot,
        package_count=len(delivery.codes),
        dose_count=len(delivery.codes),
        trace_codes=[t.TraceCode(nmpa_code=code, level=minimum) for code in delivery.codes],
    )


def _used(unit: str, day: date, deliveries: Sequence[Delivery]) -> Movement:
    return Movement(
        document_id=f"USE-{unit}-{day:%Y%m%d}",
        unit_code=unit,
        store_id=f"{unit}-F1",
        kind=Movement.KIND_OUT_USED,
        document_date=as_date(day),
        lines=[
            Movement.Line(lot=each.lot, package_count=each.used, dose_count=each.used)
            for each in deliveries
        ],
        handler_id=f"{unit}-01",
    )
