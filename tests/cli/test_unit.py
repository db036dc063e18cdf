from gateway.sample import files
from gateway.sample.province import units_of
from tests.sample.made import found


def file_of(folder):
    path = folder / "units.csv"
    path.write_text(files.table(units_of(found(), ["140105"], clinics=3)))
    return path


def test_units_of_a_file_are_registered_and_listed(small, told, said, tmp_path):
    assert told("unit", "add", str(file_of(tmp_path))) == {"registered": 5}
    assert len(told("unit", "list")["units"]) == 5
    assert len(told("unit", "list", "--organisation", "140105")["units"]) == 4
    assert "maternity" in said("unit", "list")


def test_who_runs_them_can_be_said_in_place_of_the_file(small, told, tmp_path):
    told("unit", "add", str(file_of(tmp_path)), "--run-by", "140199")
    assert {unit.organisation_code for unit in small.units.values()} == {"140199"}


def test_a_line_that_is_no_unit_is_named(told, tmp_path):
    path = tmp_path / "units.csv"
    path.write_text("unit_code,level\n1401050003,PALACE\n")
    refused = told("unit", "add", str(path), status=2)
    assert refused["refused"] == "LINE_INVALID"
    assert "PALACE" not in str(refused)
