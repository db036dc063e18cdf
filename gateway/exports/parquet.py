"""Rows as Parquet: the optional extra `parquet` (pyarrow), for recipients who compute.

The same cells as CSV: integers and truths typed, everything else text; an empty cell is null. One
row group is held in memory at a time.
"""

import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.exports.rows import Table

# A group of fifteen columns of short texts is some 20 MiB in memory.
GROUP_ROWS = 20_000


def available() -> bool:
    """Return whether pyarrow is installed here."""
    return importlib.util.find_spec("pyarrow") is not None


class Parquet:
    """Writes Parquet, compressed with Zstandard."""

    def __init__(self, table: Table) -> None:
        """Write these columns; raises ImportError where pyarrow is not installed."""
        import pyarrow as pa  # noqa: PLC0415 # an extra: most gateways have none
        import pyarrow.parquet as pq  # noqa: PLC0415 # as above

        types = {"integer": pa.int64(), "truth": pa.bool_()}
        self._schema = pa.schema(
            [(one.path, types.get(one.kind, pa.string())) for one in table.columns]
        )
        self._kinds = [one.kind for one in table.columns]
        self._group = pa.table
        self._written = _Written()
        self._writer = pq.ParquetWriter(self._written, self._schema, compression="zstd")
        self._rows: list[list[str]] = []

    def begin(self) -> bytes:
        """Return the magic bytes."""
        return self._written.take()

    def write(self, rows: Sequence[list[str]]) -> bytes:
        """Keep some rows; return a row group when it is full."""
        self._rows += rows
        if len(self._rows) < GROUP_ROWS:
            return b""
        self._put()
        return self._written.take()

    def end(self) -> bytes:
        """Return the last row group and the footer."""
        self._put()
        self._writer.close()
        return self._written.take()

    def _put(self) -> None:
        if self._rows:
            columns = [
                _VALUES.get(kind, _text)(cells)
                for kind, cells in zip(self._kinds, zip(*self._rows, strict=True), strict=True)
            ]
            self._rows = []
            self._writer.write_table(self._group(columns, schema=self._schema))


class _Written(io.RawIOBase):
    """What Parquet writes, taken away as it comes; only its length stays."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._length

    def write(self, part: Any) -> int:  # noqa: ANN401 # any buffer of pyarrow's
        content = bytes(part)
        self._parts.append(content)
        self._length += len(content)
        return len(content)

    def take(self) -> bytes:
        found = b"".join(self._parts)
        self._parts.clear()
        return found


def _text(cells: Sequence[str]) -> list[str | None]:
    return [cell or None for cell in cells]


def _integer(cells: Sequence[str]) -> list[int | None]:
    return [int(cell) if cell else None for cell in cells]


def _truth(cells: Sequence[str]) -> list[bool | None]:
    return [cell == "true" if cell else None for cell in cells]


_VALUES: Mapping[str, Callable[[Sequence[str]], Sequence[object]]] = {
    "integer": _integer,
    "truth": _truth,
}
