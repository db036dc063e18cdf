"""CSV columns: a header of field paths, and rows to what a message's constructor takes.

A path is the names of the contract joined by dots: `household.division_code`. An element of a
repeated field is counted from 1: `guardians.1.name`; several values in one cell are separated by
`|` and dealt out to the elements: `lines.1.trace_codes.nmpa_code`. Days are `2026-03-01`, times
RFC 3339 or Shanxi's own time without zone, an enum is its national code, its name or its name
without prefix, a truth is true/false, 1/0 or 是/否. An empty cell is an absent field.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.client.fields import FieldError, single, timestamp
from gateway.v1 import (
    aefi_pb2,
    child_pb2,
    options_pb2,
    stock_pb2,
    types_pb2,
    upload_service_pb2,
    vaccination_pb2,
)

SEPARATOR = "|"
_DATE, _TIMESTAMP = "gateway.v1.Date", "google.protobuf.Timestamp"
_ELEMENTS_MAX = 1000
_TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "是"), True),
    **dict.fromkeys(("false", "0", "否"), False),
}
# Which column tells the kind of a file, in the order in which they are looked for.
KINDS: Mapping[str, tuple[str, Descriptor]] = {
    "aefi_report": ("report_id", aefi_pb2.AefiReport.DESCRIPTOR),
    "child_merge": ("merge_id", child_pb2.ChildMerge.DESCRIPTOR),
    "stock_movement": ("document_id", stock_pb2.StockMovement.DESCRIPTOR),
    "stock_balance": ("balance_date", stock_pb2.StockBalance.DESCRIPTOR),
    "vaccination": ("record_id", vaccination_pb2.Vaccination.DESCRIPTOR),
    "child": ("child_code", child_pb2.Child.DESCRIPTOR),
    "device": ("device_id", types_pb2.Device.DESCRIPTOR),
    "unit": ("unit_code", types_pb2.Unit.DESCRIPTOR),
}
ITEM_KINDS = tuple(field.name for field in upload_service_pb2.Item.DESCRIPTOR.fields)

# Any: a cell's value as a message's constructor takes it; the row that is being filled.
Cell = Callable[[str], Any]
Row = dict[str, Any]
Put = Callable[[Row, str], None]


def kind_of(header: Sequence[str]) -> str | None:
    """Return the kind of record whose columns these are, or None."""
    return next((kind for kind, (key, _) in KINDS.items() if key in header), None)


def columns(message: Descriptor, header: Sequence[str]) -> list[Put]:
    """Return what puts each cell of a row into its place; raises FieldError naming the column."""
    if len(set(header)) != len(header):
        raise FieldError(next(c for c in header if header.count(c) > 1), "once")
    return [_put(message, column.split("."), column) for column in header]


def record(puts: Sequence[Put], header: Sequence[str], cells: Sequence[str]) -> Row:
    """Return a row's values as the message's constructor takes them; raises FieldError."""
    row: Row = {}
    for put, column, cell in zip(puts, header, cells, strict=True):
        if cell:
            try:
                put(row, cell)
            except FieldError as error:
                raise FieldError(column, error.wanted) from None
    return row


def _put(message: Descriptor, path: Sequence[str], column: str) -> Put:
    """Return what puts a cell under a path into the row of a message."""
    name, rest = path[0], path[1:]
    field = message.fields_by_name.get(name)
    if field is None:
        raise FieldError(column, "known")
    if field.is_repeated and rest and rest[0].isascii() and rest[0].isdigit():
        return _counted(field, int(rest[0]), rest[1:], column)
    if field.is_repeated:
        return _listed(field, rest, column)
    if not rest:
        cell = _cell(field, column)
        return lambda row, text: row.__setitem__(name, cell(text))
    return _nested(field, rest, column)


def _nested(field: FieldDescriptor, rest: Sequence[str], column: str) -> Put:
    if field.message_type is None:
        raise FieldError(column, "known")
    below, name = _put(field.message_type, rest, column), field.name
    return lambda row, text: below(row.setdefault(name, {}), text)


def _counted(field: FieldDescriptor, number: int, rest: Sequence[str], column: str) -> Put:
    """Return what puts a cell into the element of that number, made with those before it."""
    if field.message_type is None or not rest or not 0 < number <= _ELEMENTS_MAX:
        raise FieldError(column, "known")
    below, name = _put(field.message_type, rest, column), field.name

    def put(row: Row, text: str) -> None:
        below(_element(row.setdefault(name, []), number), text)

    return put


def _listed(field: FieldDescriptor, rest: Sequence[str], column: str) -> Put:
    """Return what deals a cell's values out to the elements."""
    name = field.name
    if not rest:
        cell = _cell(field, column)
        return lambda row, text: row.__setitem__(name, [cell(one) for one in text.split(SEPARATOR)])
    if field.message_type is None:
        raise FieldError(column, "known")
    below = _put(field.message_type, rest, column)

    def put(row: Row, text: str) -> None:
        values = text.split(SEPARATOR)
        if len(values) > _ELEMENTS_MAX:
            raise FieldError(column, "list")
        for place, value in enumerate(values, 1):
            below(_element(row.setdefault(name, []), place), value)

    return put


def _element(elements: list[Row], number: int) -> Row:
    elements.extend({} for _ in range(number - len(elements)))
    return elements[number - 1]


def _cell(field: FieldDescriptor, column: str) -> Cell:
    """Return what converts a cell of a field that holds one value."""
    if field.message_type is not None:
        converts: Mapping[str, Cell] = {_DATE: _day, _TIMESTAMP: timestamp}
        if field.message_type.full_name not in converts:
            raise FieldError(column, "known")
        return converts[field.message_type.full_name]
    if field.enum_type is not None:
        return _code(_codes(field.enum_type))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _truth
    return single(field)


@cache
def _codes(enum: EnumDescriptor) -> Mapping[str, int]:
    """Return every word for a value: full name, name without prefix, national code or number."""
    prefix = _prefix(enum)
    known = [value for value in enum.values if value.number]
    national = {
        str(value.GetOptions().Extensions[options_pb2.national_code]): value.number
        for value in known
        if value.GetOptions().HasExtension(options_pb2.national_code)
    }
    names = {name: v.number for v in known for name in (v.name, v.name.removeprefix(prefix))}
    return {**names, **(national or {str(value.number): value.number for value in known})}


def _prefix(enum: EnumDescriptor) -> str:
    zero = enum.values_by_number[0].name
    return zero.removesuffix("UNSPECIFIED")


def _code(codes: Mapping[str, int]) -> Cell:
    def convert(text: str) -> int:
        if text not in codes:
            raise FieldError("", "code")
        return codes[text]

    return convert


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise FieldError("", "boolean")
    return _TRUTHS[text.lower()]


def _day(text: str) -> dict[str, int]:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise FieldError("", "day") from None
    return {"year": day.year, "month": day.month, "day": day.day}
