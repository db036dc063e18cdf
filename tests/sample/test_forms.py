from google.protobuf import json_format

from gateway.sample.forms import as_json, cells
from gateway.v1 import stock_pb2 as s
from gateway.v1 import types_pb2 as t
from tests.sample.made import records


def test_json_is_what_protobuf_itself_writes():
    for messages in records().by_file.values():
        for message in messages[:20]:
            assert as_json(message) == json_format.MessageToDict(message)


def test_cells_are_field_paths_with_national_codes():
    child = records().by_file["children"][0]
    row = cells(child)
    assert row["sex"] in {"1", "2"}
    assert (
        row["birth_date"]
        == f"{child.birth_date.year}-{child.birth_date.month:02d}-{child.birth_date.day:02d}"
    )
    assert row["guardians.1.relation"] == "MOTHER"
    assert row["household.detail"] == child.household.detail


def test_codes_of_one_line_stand_in_one_cell():
    level = t.TraceCode.LEVEL_CASE
    codes = [t.TraceCode(nmpa_code=number * 20, level=level) for number in ("1", "2")]
    movement = s.StockMovement(lines=[s.StockMovement.Line(trace_codes=codes)])
    assert cells(movement) == {
        "lines.1.trace_codes.nmpa_code": f"{'1' * 20}|{'2' * 20}",
        "lines.1.trace_codes.level": "CASE|CASE",
    }
