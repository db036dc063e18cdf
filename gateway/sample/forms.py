"""Messages as ProtoJSON (as google.protobuf.json_format writes it) and as cells of a CSV row."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.v1 import options_pb2, types_pb2

# A field's value as ListFields gives it: of whatever type the field has.
Value: TypeAlias = Any
SEPARATOR = "|"
_TIMESTAMP = "google.protobuf.Timestamp"
# ProtoJSON writes 64-bit numbers as strings.
_WIDE = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_UINT64,
    }
)


def as_json(message: Message) -> dict[str, object]:
    """Return the JSON object of a message, fields in the order of their numbers."""
    return {field.json_name: _json(field, value) for field, value in message.ListFields()}


def cells(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield column and cell of every field that is set; the columns are field paths."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if not field.is_repeated:
            yield from _cells(field, value, path)
        elif field.message_type is None:
            yield path, SEPARATOR.join(_cell(field, each) for each in value)
        elif field.message_type.full_name == "gateway.v1.TraceCode":
            yield from _dealt(value, path)
        else:
            for number, each in enumerate(value, 1):
                yield from cells(each, f"{path}.{number}.")


def _dealt(messages: Value, path: str) -> Iterator[tuple[str, str]]:
    """Yield one cell per field of small messages, their values side by side."""
    rows = [dict(cells(each)) for each in messages]
    for column in rows[0]:
        yield f"{path}.{column}", SEPARATOR.join(row[column] for row in rows)


def _cells(
    field: FieldDescriptor,
    value: Value,
    path: str,
) -> Iterator[tuple[str, str]]:
    if field.message_type is None:
        yield path, _cell(field, value)
    elif isinstance(value, types_pb2.Date):
        yield path, f"{value.year:04d}-{value.month:02d}-{value.day:02d}"
    elif field.message_type.full_name == _TIMESTAMP:
        yield path, _moment(value.seconds)
    else:
        yield from cells(value, f"{path}.")


def _json(field: FieldDescriptor, value: Value) -> object:
    if field.is_repeated:
        return [_one(field, each) for each in value]
    return _one(field, value)


def _one(field: FieldDescriptor, value: Value) -> object:
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return _moment(value.seconds)
        return as_json(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return str(value) if field.type in _WIDE else value


def _cell(field: FieldDescriptor, value: Value) -> str:
    if field.enum_type is not None:
        return _codes(field.enum_type)[value]
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


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
