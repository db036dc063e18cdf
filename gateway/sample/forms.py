"""Messages as ProtoJSON (as google.protobuf.json_format writes it) and as cells of a CSV row.

What each field needs is worked out once per message type, and for cells once per column prefix.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.v1 import options_pb2

# A field's value as ListFields gives it: of whatever type the field has.
Value: TypeAlias = Any
SEPARATOR = "|"
_DATE, _TIMESTAMP = "gateway.v1.Date", "google.protobuf.Timestamp"
# Small messages of a list whose fields stand side by side in one cell.
_DEALT = "gateway.v1.TraceCode"
# ProtoJSON writes 64-bit numbers as strings.
_WIDE = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_UINT64,
    }
)

Row = dict[str, str]
_Json = Callable[[Value], object]
_Put = Callable[[Value, Row], None]


def as_json(message: Message) -> dict[str, object]:
    """Return the JSON object of a message, fields in the order of their numbers."""
    plan = _json_plan(message.DESCRIPTOR)
    found: dict[str, object] = {}
    for field, value in message.ListFields():
        name, convert = plan[field]
        found[name] = convert(value)
    return found


def cells(message: Message) -> Row:
    """Return the cell of every field that is set by its column, a field path."""
    row: Row = {}
    _fill(message, "", row)
    return row


def _fill(message: Message, prefix: str, row: Row) -> None:
    plan = _cell_plan(message.DESCRIPTOR, prefix)
    for field, value in message.ListFields():
        plan[field](value, row)


@cache
def _json_plan(message: Descriptor) -> Mapping[FieldDescriptor, tuple[str, _Json]]:
    return {field: (field.json_name, _json(field)) for field in message.fields}


def _json(field: FieldDescriptor) -> _Json:
    one = _one(field)
    if field.is_repeated:
        return lambda values: [one(each) for each in values]
    return one


def _one(field: FieldDescriptor) -> _Json:
    """Return what makes JSON of one value."""
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return lambda value: _moment(value.seconds)
        return as_json
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return names.__getitem__
    return str if field.type in _WIDE else _itself


def _itself(value: Value) -> object:
    return value


@cache
def _cell_plan(message: Descriptor, prefix: str) -> Mapping[FieldDescriptor, _Put]:
    return {field: _put(field, f"{prefix}{field.name}") for field in message.fields}


def _put(field: FieldDescriptor, column: str) -> _Put:
    """Return what puts a field's value into a row."""
    kind = "" if field.message_type is None else field.message_type.full_name
    if not field.is_repeated:
        if kind and kind not in (_DATE, _TIMESTAMP):
            return lambda value, row: _fill(value, f"{column}.", row)
        text = _text(field)
        return lambda value, row: row.__setitem__(column, text(value))
    if not kind:
        text = _text(field)
        return lambda values, row: row.__setitem__(column, SEPARATOR.join(map(text, values)))
    return (_dealt if kind == _DEALT else _counted)(column)


def _counted(column: str) -> _Put:
    def put(messages: Value, row: Row) -> None:
        for number, each in enumerate(messages, 1):
            _fill(each, f"{column}.{number}.", row)

    return put


def _dealt(column: str) -> _Put:
    """Return what writes small messages of one shape, field by field."""

    def put(messages: Value, row: Row) -> None:
        for field, _ in messages[0].ListFields():
            name, text = field.name, _text(field)
            values = (text(getattr(each, name)) for each in messages)
            row[f"{column}.{name}"] = SEPARATOR.join(values)

    return put


def _text(field: FieldDescriptor) -> Callable[[Value], str]:
    """Return what makes a cell of one value."""
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return lambda value: _moment(value.seconds)
        return lambda value: f"{value.year:04d}-{value.month:02d}-{value.day:02d}"
    if field.enum_type is not None:
        return _codes(field.enum_type).__getitem__
    if field.type == FieldDescriptor.TYPE_BOOL:
        return lambda value: "1" if value else "0"
    return str


@cache
def _codes(enum: EnumDescriptor) -> dict[int, str]:
    """Return the word of each value: its national code, else its name without prefix."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    words = {}
    for value in enum.values:
        national = value.GetOptions().Extensions[options_pb2.national_code]
        words[value.number] = national or value.name.removeprefix(prefix)
    return words


@cache
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
