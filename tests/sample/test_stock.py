from collections import Counter

from gateway.v1 import stock_pb2 as s
from tests.sample.made import province


def test_what_came_in_covers_what_was_used_and_the_balance_is_what_is_left():
    made = province(120)
    used = Counter()
    codes = {}
    for family in made.families():
        for dose in family.doses:
            used[dose.unit_code, dose.lot.vaccine_code, dose.lot.lot_number] += 1
            codes[dose.trace.nmpa_code] = dose.unit_code
    came, out = Counter(), Counter()
    for movement in made.movements():
        for line in movement.lines:
            key = (movement.unit_code, line.lot.vaccine_code, line.lot.lot_number)
            if movement.kind == s.StockMovement.KIND_IN_DISTRIBUTED:
                came[key] += line.dose_count
                assert len(line.trace_codes) == line.package_count == line.dose_count
                for code in line.trace_codes:
                    assert codes.pop(code.nmpa_code, movement.unit_code) == movement.unit_code
            else:
                out[key] += line.dose_count
    assert codes == {}
    assert out == used
    left = Counter()
    for balance in made.balances():
        key = (balance.unit_code, balance.lot.vaccine_code, balance.lot.lot_number)
        left[key] += balance.closing_count
        assert balance.closing_count == balance.inbound_count - balance.outbound_count >= 0
    assert left == came - out


def test_document_numbers_are_unique():
    made = province(60)
    assert list(made.families())
    documents = [movement.document_id for movement in made.movements()]
    assert len(set(documents)) == len(documents) > 0
