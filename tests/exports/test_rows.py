"""Exactly the plan's columns, masked, in a file that a spreadsheet reads and does not run."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exports.rows import BOM, Csv, Table
from gateway.exports.tokens import TicketTokens
from gateway.policy.fields import UnknownColumnError, columns
from gateway.records.query import Row
from gateway.v1.aefi_pb2 import AefiReport
from gateway.v1.stock_pb2 import StockMovement
from tests.records.test_query import a_lot
from tests.uploads.county import a_child, a_dose

TOKENS = TicketTokens(bytes(32), "EX-00000001")
TAG, KEY = b"\1" * 16, b"\2" * 16


def table(dataset, *paths, whole_birth=False):
    return Table(dataset, paths, TOKENS, whole_birth=whole_birth)


def rows(made, message, tag=TAG):
    return list(made.rows(Row(message, tag, KEY)))


def read(content):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_a_row_has_the_columns_of_the_plan_in_its_order():
    child = a_child()
    made = table("children", "sex", "child_token", "name", "birth_date", "household.division_code")
    day = child.birth_date
    assert rows(made, child) == [
        ["FEMALE", TOKENS.child(TAG), "王*", f"{day.year}-{day.month:02d}", "140105"]
    ]


def test_every_kind_of_value_is_written():
    dose = a_dose("1" * 18, lot__expiry_date=None)
    paths = ["dose_number", "free_of_charge", "vaccinated_date", "site", "lot.expiry_date"]
    day = dose.vaccinated_date
    written = f"{day.year}-{day.month:02d}-{day.day:02d}"
    assert rows(table("vaccinations", *paths), dose) == [
        ["1", "true", written, "RIGHT_UPPER_ARM", ""]
    ]
    report = AefiReport(suspects=[AefiReport.Suspect(dose_number=2)])
    report.reported_time.FromJsonString("2026-03-01T12:00:00+08:00")
    found = rows(table("adverse_events", "reported_time", "discovered_time"), report)
    assert found == [["2026-03-01T04:00:00Z", ""]]


@pytest.mark.parametrize("seconds", [-(2**62), -62_135_596_801, 253_402_300_800, 2**62])
def test_what_is_no_time_stops_no_export(seconds):
    """A record of one county must not keep the province's exports from being built."""
    report = AefiReport(suspects=[AefiReport.Suspect(dose_number=2)])
    report.reported_time.seconds, report.onset_date.year = seconds, 2**31 - 1
    assert rows(table("adverse_events", "reported_time", "onset_date"), report) == [["", ""]]


def test_identifiers_are_tokens_of_the_ticket_whatever_the_purpose():
    dose = a_dose("140105000120250001")
    made = table("vaccinations", "record_id", "child_code", "trace.nmpa_code", whole_birth=True)
    [row] = rows(made, dose)
    assert row == [
        TOKENS.value("record_id", dose.record_id),
        TOKENS.value("child_code", dose.child_code),
        TOKENS.value("nmpa_code", dose.trace.nmpa_code),
    ]
    assert not {dose.record_id, dose.child_code, dose.trace.nmpa_code} & set(row)


def test_a_line_of_a_document_is_a_row():
    movement = StockMovement(
        document_id="IN-1",
        kind=StockMovement.KIND_OUT_USED,
        lines=[
            StockMovement.Line(lot=a_lot(vaccine), dose_count=count)
            for vaccine, count in (("0202", 5), ("0303", -2))
        ],
    )
    made = table("stock", "document_id", "kind", "lines.lot.vaccine_code", "lines.dose_count")
    assert rows(made, movement, b"") == [
        ["IN-1", "OUT_USED", "0202", "5"],
        ["IN-1", "OUT_USED", "0303", "-2"],
    ]


@pytest.mark.parametrize(
    "path", ["guardians.name", "restricted.allergies", "remark", "correction_reason", "household"]
)
def test_attack_40_and_44_a_column_that_may_not_leave_makes_no_table(path):
    for dataset in ("children", "vaccinations", "stock", "adverse_events"):
        with pytest.raises(UnknownColumnError):
            table(dataset, path)


def test_attack_44_a_number_written_into_a_code_does_not_leave():
    made = table("vaccinations", "lot.lot_number", "dose_number")
    for lot in ("11010519491231002X", "13812345678", "王小明"):
        assert rows(made, a_dose("1" * 18, lot__lot_number=lot)) == [["", "1"]]
    assert made.withheld == 3
    assert rows(made, a_dose("1" * 18)) == [["202401A(1)", "1"]]
    assert made.withheld == 3


def test_attack_43_two_exports_show_the_same_part_of_a_field():
    """Whatever ticket, purpose or recipient: what is hidden in one is hidden in the other."""
    child = a_child()
    paths = [path for path, one in columns("children").items() if one.export_class != "BIRTH"]
    others = Table("children", paths, TicketTokens(b"\1" * 32, "EX-00000002"), whole_birth=True)
    keyed = [columns("children")[path].export_class in {"", "IDENTIFIER"} for path in paths]
    one, other = rows(table("children", *paths), child)[0], rows(others, child)[0]
    for is_keyed, mine, theirs in zip(keyed, one, other, strict=True):
        assert (mine == theirs) == (not is_keyed or mine == "")


SIGNS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]


@pytest.mark.parametrize("sign", SIGNS)
def test_attack_45_a_formula_is_a_text(sign):
    """Twice: it is no code, so its cell is empty; and what came to the file all the same is a text."""
    formula = f'{sign}cmd|" /C calc"!A1'
    made = table("vaccinations", "lot.lot_number", "dose_number")
    assert rows(made, a_dose("1" * 18, lot__lot_number=formula)) == [["", "1"]]
    content = Csv(made).begin() + Csv(made).write([[formula, "1"]])
    assert read(content)[1] == [f"'{formula}", "1"]


def test_a_number_below_zero_is_no_formula():
    made = table("stock", "lines.dose_count")
    movement = StockMovement(lines=[StockMovement.Line(dose_count=-5)])
    assert read(Csv(made).write(rows(made, movement)))[0] == ["-5"]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_attack_45_whatever_a_text_holds_the_file_keeps_its_cells(text):
    """A line's end, a quote or a comma inside a cell makes no new row and no new column."""
    made = table("vaccinations", "lot.lot_number", "lot.manufacturer_code")
    [[first, second]] = read(Csv(made).write([[text, "05"]]))
    assert second == "05"
    assert first == (f"'{text}" if text[:1] in SIGNS else text)
    assert first[:1] not in SIGNS


def test_the_header_are_the_paths_and_a_mark_stands_before_it_on_request():
    made = table("children", "sex", "household.division_code")
    assert Csv(made).begin() == b"sex,household.division_code\r\n"
    assert Csv(made, bom=True).begin() == BOM + b"sex,household.division_code\r\n"
    assert Csv(made).write([]) == b""
    assert Csv(made).end() == b""
