"""Records out of files: JSON Lines (one Item per line, ProtoJSON) and CSV (see `columns`).

A line that cannot be read stops the reading with its number and the field, never with a value: the
line may be a child's. Blank lines are passed over; a byte order mark is.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from gateway.client.columns import ITEM_KINDS, KINDS, columns, kind_of, record
from gateway.client.fields import FieldError, keywords
from gateway.v1 import upload_service_pb2 as v1
from gateway.v1.types_pb2 import Unit

Record = TypeVar("Record")

# A record has some hundred bytes, a stock document with a thousand codes some ten thousand.
_LINE_MAX_BYTES = 4_000_000


class _Rows(Protocol):
    """The csv module's reader, which has no name of its own."""

    line_num: int

    def __next__(self) -> list[str]: ...

    def __iter__(self) -> Iterator[list[str]]: ...


class ReadingError(Exception):
    """A line of a file is not a record; `line` counts from 1, `field` may be empty."""

    def __init__(self, file: Path, line: int, field: str, wanted: str) -> None:
        """Make an error; `wanted` is one of the ids of the catalogue's reading.wanted.*."""
        super().__init__(f"{file}:{line}: {field}: {wanted}")
        self.file, self.line, self.field, self.wanted = file, line, field, wanted


def items(file: Path) -> Iterator[v1.Item]:
    """Yield the records of a file by its ending, .csv or .jsonl; raises ReadingError."""
    if file.suffix == ".csv":
        for kind, values in _rows(file):
            if kind not in ITEM_KINDS:
                raise ReadingError(file, 1, "", "kind")
            yield v1.Item(**{kind: values})  # type: ignore[arg-type] # one of the oneof's names
    else:
        yield from _lines(file, _item)


def units(file: Path) -> Iterator[Unit]:
    """Yield the units of a file, .csv or JSON Lines with one Unit per line; raises ReadingError."""
    if file.suffix == ".csv":
        for kind, values in _rows(file):
            if kind != "unit":
                raise ReadingError(file, 1, "", "kind")
            yield Unit(**values)  # type: ignore[arg-type] # judged by the columns
    else:
        yield from _lines(file, lambda value: Unit(**keywords(Unit.DESCRIPTOR, value)))


def _item(value: object) -> v1.Item:
    values = keywords(v1.Item.DESCRIPTOR, value)
    if len(values) != 1:
        raise FieldError("", "item")
    return v1.Item(**values)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise FieldError("", "once")
    return values


def _lines(file: Path, convert: Callable[[object], Record]) -> Iterator[Record]:
    with file.open("rb") as stream:
        for number, line in enumerate(_texts(stream, file), 1):
            if not line.strip():
                continue
            try:
                yield convert(json.loads(line, object_pairs_hook=_unique))
            except FieldError as error:
                raise ReadingError(file, number, error.path, error.wanted) from None
            except (ValueError, RecursionError):
                raise ReadingError(file, number, "", "json") from None


def _rows(file: Path) -> Iterator[tuple[str, dict[str, object]]]:
    with file.open("rb") as stream:
        reader = csv.reader(_texts(stream, file), strict=True)
        header = [name.strip() for name in _next(reader, file) or []]
        if not any(header) and _next(reader, file) is None:
            return  # no record has no columns
        kind = kind_of(header)
        if kind is None:
            raise ReadingError(file, 1, "", "kind")
        try:
            puts = columns(KINDS[kind][1], header)
        except FieldError as error:
            raise ReadingError(file, 1, error.path, error.wanted) from None
        while (cells := _next(reader, file)) is not None:
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise ReadingError(file, reader.line_num, "", "cells")
            try:
                yield kind, record(puts, header, cells)
            except FieldError as error:
                raise ReadingError(file, reader.line_num, error.path, error.wanted) from None


def _next(reader: _Rows, file: Path) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error:
        raise ReadingError(file, reader.line_num, "", "csv") from None


def _texts(stream: BinaryIO, file: Path) -> Iterator[str]:
    number = 0
    while line := stream.readline(_LINE_MAX_BYTES):
        number += 1
        if len(line) == _LINE_MAX_BYTES:
            raise ReadingError(file, number, "", "short")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise ReadingError(file, number, "", "utf8") from None
