from datetime import date

from gateway.sample.calendar import from_date
from gateway.sample.lots import Shelf, lot_of, trace_code


def test_a_package_is_taken_once_and_its_lot_has_not_expired():
    shelf, day = Shelf(), date(2025, 8, 20)
    taken = [shelf.take("1401050003", "0402", day) for _ in range(50)]
    assert len({code for _, code in taken}) == 50
    assert all(from_date(lot.expiry_date) > day for lot, _ in taken)
    (delivery,) = shelf.deliveries.values()
    assert delivery.used == len(delivery.codes) == 50
    assert delivery.received <= day


def test_a_code_has_twenty_digits_and_names_the_product():
    assert len(trace_code("0101", 1)) == 20
    assert trace_code("0101", 1).isdigit()
    assert trace_code("0101", 1)[:7] == trace_code("0101", 2)[:7] != trace_code("0202", 1)[:7]


def test_a_lot_number_has_the_form_of_the_contract():
    lot = lot_of("1201", date(2026, 1, 1))
    assert lot.lot_number.isalnum()
    assert lot.lot_release_id
