import json

from gateway.client import reading
from gateway.sample import files
from gateway.sample.province import units_of
from tests.sample.made import COUNTIES, found, records


def test_what_is_written_is_read_back_by_the_client_from_both_forms(tmp_path):
    units = units_of(found(), COUNTIES)
    files.write(tmp_path, records(), units)
    for name, kind in files.UPLOADS:
        expected = records().by_file[name]
        for ending in ("csv", "jsonl"):
            read = [getattr(item, kind) for item in reading.items(tmp_path / f"{name}.{ending}")]
            assert read == expected, (name, ending)
    assert list(reading.units(tmp_path / "units.csv")) == list(units)
    assert list(reading.units(tmp_path / "units.jsonl")) == list(units)


def test_the_same_records_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        files.write(tmp_path / name, records(), ())
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_truth_stands_beside_the_records(tmp_path):
    files.write(tmp_path, records(), ())
    truth = [json.loads(line) for line in (tmp_path / files.TRUTH).read_text().splitlines()]
    assert len(truth) == len(records().truth) > 0
    assert all(each["rules"] and each["state"] for each in truth)


def test_an_empty_kind_gives_an_empty_file_that_can_be_read(tmp_path):
    path = tmp_path / "none.csv"
    path.write_text(files.table([]))
    assert list(reading.items(path)) == []
