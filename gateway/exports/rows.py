"""The rows of an export: what is left of each record, and as CSV.

A row has exactly the plan's columns, masked by their classes. CSV is RFC 4180 in UTF-8: quoted
where a cell holds a comma, a quote or a line's end. A text that a spreadsheet would take for a
formula is led by an apostrophe.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Protocol

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.exports.tokens import TicketTokens
from gateway.policy.fields import (
    CHILD_TOKEN,
    DATASETS,
    RECORD_TOKEN,
    Column,
    UnknownColumnError,
    as_it_is,
    columns,
    masker,
)
from gateway.records.form import to_day
from gateway.records.query import Row, elements
from gateway.v1.types_pb2 import Date

BOM = b"\xef\xbb\xbf"
# OWASP, "CSV Injection"; full-width signs are read as their half-width ones in a Chinese Excel.
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
# The years 1 to 9999 in UTC: what a record may hold beyond them is no time, and stops no export.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
# Any: a field's value, of the type that its kind says.
Text = Callable[[Any], str]
Cell = Callable[[Row, Message], str]


class Writer(Protocol):
    """Makes bytes of rows."""

    def begin(self) -> bytes:
        """Return what stands before the first row."""
        ...

    def write(self, rows: Sequence[list[str]]) -> bytes:
        """Return the bytes of some rows; b"" where they are kept for later."""
        ...

    def end(self) -> bytes:
        """Return what is left and what stands after the last row."""
        ...


class Table:
    """Makes the rows of a plan's columns; `withheld` counts cells emptied as a person's number."""

    def __init__(
        self, dataset: str, paths: Sequence[str], tokens: TicketTokens, *, whole_birth: bool
    ) -> None:
        """Prepare the columns; raises UnknownColumnError for one that may not leave."""
        known = columns(dataset)
        self.columns = [_known(known, path) for path in paths]
        self.withheld = 0
        self._tokens = tokens
        self._whole_birth = whole_birth
        self._each = DATASETS[dataset].each
        self._cells = [self._cell(column) for column in self.columns]

    def rows(self, row: Row) -> Iterator[list[str]]:
        """Yield a row for each element of a record, or for the record itself."""
        for element in elements(row.message):
            yield [cell(row, element) for cell in self._cells]

    def _cell(self, column: Column) -> Cell:
        if column.path == CHILD_TOKEN:
            return lambda row, _: self._tokens.child(row.child_tag)
        if column.path == RECORD_TOKEN:
            return lambda row, _: self._tokens.record(row.record_key)
        text = self._text(column)
        inner = column.path.removeprefix(f"{self._each}.") if self._each else column.path
        get = attrgetter(inner)
        if inner != column.path:
            return lambda _, element: text(get(element))
        return lambda row, _: text(get(row.message))

    def _text(self, column: Column) -> Text:
        """Return what makes the text of a value that leaves."""
        if column.export_class == "IDENTIFIER":
            name = column.path.rsplit(".", 1)[-1]
            return lambda value: self._tokens.value(name, value)
        mask = masker(column, whole_birth=self._whole_birth)
        if column.kind == "text":
            return lambda value: self._counted(value, mask(value))
        write = _WRITTEN.get(column.kind) or _word(column.codes)
        return write if mask is as_it_is else lambda value: mask(write(value))

    def _counted(self, value: str, left: str) -> str:
        if value and not left:
            self.withheld += 1
        return left


class Csv:
    """Writes CSV; with a byte order mark where a spreadsheet would guess another encoding."""

    def __init__(self, table: Table, *, bom: bool = False) -> None:
        """Write these columns."""
        self._paths = [column.path for column in table.columns]
        self._texts = [at for at, one in enumerate(table.columns) if one.kind == "text"]
        self._bom = BOM if bom else b""

    def begin(self) -> bytes:
        """Return the byte order mark, if any, and the header: the columns' paths."""
        return self._bom + _lines([self._paths])

    def write(self, rows: Sequence[list[str]]) -> bytes:
        """Return the lines of some rows."""
        return _lines([self._harmless(row) for row in rows])

    def end(self) -> bytes:
        """Return nothing: every line was written."""
        return b""

    def _harmless(self, row: list[str]) -> list[str]:
        for place in self._texts:
            if row[place][:1] in _FORMULA:
                row[place] = f"'{row[place]}"
        return row


def _known(known: Mapping[str, Column], path: str) -> Column:
    if path not in known:
        raise UnknownColumnError(path)
    return known[path]


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _truth(value: bool) -> str:  # noqa: FBT001 # a field's value
    return "true" if value else "false"


def _day(value: Date) -> str:
    """Return 2026-03-01; "" where the day is absent (all zeros) or no day."""
    found = to_day(value) if value.year else None
    return "" if found is None else found.isoformat()


def _time(value: Timestamp) -> str:
    """Return RFC 3339 in UTC, to the second; "" where the time is absent or no time."""
    if not _FIRST_SECOND <= value.seconds <= _LAST_SECOND or not value.seconds:
        return ""
    return value.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ")


def _word(codes: Mapping[int, str]) -> Text:
    return lambda value: codes.get(value, "")


_WRITTEN: Mapping[str, Text] = {"integer": str, "truth": _truth, "day": _day, "time": _time}
