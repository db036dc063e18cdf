import pytest

from gateway.client import delimited
from gateway.v1.upload_service_pb2 import BatchReceipt


def receipts(*sizes):
    return [BatchReceipt(request_id=str(size), leaf=bytes(size)) for size in sizes]


def write(file, messages):
    file.write_bytes(b"".join(map(delimited.frame, messages)))


def test_receipts_are_read_back(tmp_path):
    file, expected = tmp_path / "r", receipts(0, 5, 127, 128, 20_000, 3_000_000)
    write(file, expected)
    assert list(delimited.read(file)) == expected


@pytest.mark.parametrize("lost", [1, 2, 100, 20_002])
def test_what_a_crash_cut_off_is_an_error_to_readers_and_dropped_by_its_owner(tmp_path, lost):
    file, whole = tmp_path / "r", receipts(5, 300)
    write(file, [*whole, *receipts(20_000)])
    file.write_bytes(file.read_bytes()[:-lost])
    with pytest.raises(delimited.DelimitedError, match="byte"):
        list(delimited.read(file))
    assert list(delimited.recover(file)) == whole
    assert list(delimited.read(file)) == whole


def test_there_may_be_no_file_yet(tmp_path):
    assert list(delimited.recover(tmp_path / "none")) == []


@pytest.mark.parametrize(
    "content", [b"\xff" * 9, b"\x05\xff\xff\xff\xff\xff", b"\xff\xff\xff\xff\x7f"]
)
def test_other_content_is_no_row_of_receipts(tmp_path, content):
    file = tmp_path / "r"
    file.write_bytes(content)
    with pytest.raises(delimited.DelimitedError):
        list(delimited.read(file))
