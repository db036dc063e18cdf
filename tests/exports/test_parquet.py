"""The same cells as CSV, read by pyarrow; where pyarrow is not, nothing else is missing."""

import io
import sys

import pytest

from gateway.exports import parquet
from gateway.exports.rows import Table
from gateway.exports.tokens import TicketTokens

pq = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")


def table():
    paths = ("lot.vaccine_code", "dose_number", "free_of_charge", "vaccinated_date")
    return Table("vaccinations", paths, TicketTokens(bytes(32), "EX-00000001"), whole_birth=False)


def test_what_was_written_is_read(monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    writer = parquet.Parquet(table())
    rows = [["0202", "1", "true", "2026-03-01"], ["", "", "false", ""], ["0303", "3", "true", ""]]
    content = writer.begin() + writer.write(rows[:2]) + writer.write(rows[2:]) + writer.end()
    found = pq.ParquetFile(io.BytesIO(content))
    assert found.num_row_groups == 2
    assert found.read().to_pylist() == [
        dict(zip(found.schema_arrow.names, row, strict=True))
        for row in (
            ("0202", 1, True, "2026-03-01"),
            (None, None, False, None),
            ("0303", 3, True, None),
        )
    ]


def test_an_empty_table_is_a_file_too():
    writer = parquet.Parquet(table())
    found = pq.read_table(io.BytesIO(writer.begin() + writer.end()))
    assert found.num_rows == 0
    assert found.column_names[0] == "lot.vaccine_code"


def test_without_pyarrow_it_says_so(monkeypatch):
    assert parquet.available()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError):
        parquet.Parquet(table())
