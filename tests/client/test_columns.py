import pytest

from gateway.client.columns import columns, kind_of, record
from gateway.client.fields import FieldError
from gateway.v1 import child_pb2 as c
from gateway.v1 import stock_pb2 as s
from gateway.v1 import vaccination_pb2 as v


def read(message, row):
    header = list(row)
    puts = columns(message.DESCRIPTOR, header)
    return message(**record(puts, header, list(row.values())))


def test_paths_numbers_codes_days_and_truths():
    dose = read(
        v.Vaccination,
        {
            "record_id": "r",
            "lot.lot_number": "L",
            "lot.expiry_date": "2027-01-31",
            "property": "0",
            "site": "9",
            "route": "ROUTE_ORAL",
            "source": "SCANNED",
            "free_of_charge": "是",
            "dose_number": "2",
            "entered_time": "2026-03-01 08:30:00",
            "no_scan_reason": "",
        },
    )
    assert dose.lot.expiry_date.month == 1
    assert (dose.property, dose.site, dose.route) == (
        1,
        v.Vaccination.SITE_ORAL,
        v.Vaccination.ROUTE_ORAL,
    )
    assert dose.free_of_charge
    assert not dose.HasField("trace")


def test_a_national_code_comes_before_the_number_on_the_wire():
    assert read(c.Child, {"sex": "0"}).sex == c.SEX_UNKNOWN
    assert read(c.Child, {"document": "88"}).document == 88
    with pytest.raises(FieldError):
        read(c.Child, {"sex": "3"})


def test_elements_are_counted_or_dealt_out():
    child = read(
        c.Child,
        {
            "guardians.2.name": "b",
            "guardians.1.name": "a",
            "restricted.contraindicated_vaccine_codes": "0101|1201",
        },
    )
    assert [guardian.name for guardian in child.guardians] == ["a", "b"]
    assert list(child.restricted.contraindicated_vaccine_codes) == ["0101", "1201"]
    movement = read(
        s.StockMovement,
        {
            "lines.1.trace_codes.nmpa_code": "1|2",
            "lines.1.trace_codes.level": "CASE|2",
            "lines.1.dose_count": "-4",
        },
    )
    (line,) = movement.lines
    assert [(code.nmpa_code, code.level) for code in line.trace_codes] == [("1", 3), ("2", 2)]


@pytest.mark.parametrize(
    ("column", "cell", "wanted"),
    [
        ("colour", "x", "known"),
        ("name.first", "x", "known"),
        ("guardians.0.name", "x", "known"),
        ("guardians.1", "x", "known"),
        ("guardians", "x", "known"),
        ("guardians.1001.name", "x", "known"),
        ("household", "x", "known"),
        ("birth_date.year", "x", "integer"),
        ("birth_date", "2026-2-30", "day"),
        ("sex", "male", "code"),
        ("revision", "1.5", "integer"),
    ],
)
def test_an_error_names_the_column_and_never_the_value(column, cell, wanted):
    with pytest.raises(FieldError) as raised:
        read(c.Child, {column: cell})
    assert (raised.value.path, raised.value.wanted) == (column, wanted)


def test_a_column_stands_once():
    with pytest.raises(FieldError) as raised:
        columns(c.Child.DESCRIPTOR, ["name", "sex", "name"])
    assert (raised.value.path, raised.value.wanted) == ("name", "once")


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (["child_code", "name", "birth_date"], "child"),
        (["record_id", "child_code", "unit_code"], "vaccination"),
        (["document_id", "unit_code"], "stock_movement"),
        (["unit_code", "balance_date"], "stock_balance"),
        (["report_id", "child_code"], "aefi_report"),
        (["merge_id", "kept_child_code"], "child_merge"),
        (["device_id", "unit_code"], "device"),
        (["unit_code", "name"], "unit"),
        (["colour"], None),
    ],
)
def test_the_kind_is_told_by_its_column(header, kind):
    assert kind_of(header) == kind
