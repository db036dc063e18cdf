"""Plain values (of JSON or CSV) to messages of the contract, by its descriptors.

The JSON form is protobuf's own (ProtoJSON): lowerCamelCase or proto names, enums by name or number,
64-bit numbers as strings or numbers, times as RFC 3339. Written here and not taken from
google.protobuf.json_format because its errors quote values, which are personal, and do not name the
field; and because it takes five times as long.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.clock import SHANGHAI

_TIMESTAMP = "google.protobuf.Timestamp"
_NANOS_PER_US = 1000
# The year 1 in UTC, where a Timestamp begins.
_FIRST_SECOND = -62_135_596_800
_INT32, _UINT32 = (-(2**31), 2**31 - 1), (0, 2**32 - 1)
_INT64, _UINT64 = (-(2**63), 2**63 - 1), (0, 2**64 - 1)
_RANGES: Mapping[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_UINT64: _UINT64,
}

# Any: a value of JSON or CSV before it is judged; a keyword for a message's constructor after.
Convert = Callable[[Any], Any]


class FieldError(Exception):
    """A value is not of its field: `path` names the field, `wanted` what it takes."""

    def __init__(self, path: str, wanted: str) -> None:
        """Make an error; `wanted` is one of the ids of the catalogue's reading.wanted.*."""
        super().__init__(path, wanted)
        self.path, self.wanted = path, wanted

    def below(self, name: str) -> "FieldError":
        """Return the same error seen from the message above."""
        return FieldError(f"{name}.{self.path}" if self.path else name, self.wanted)


@cache
def plan(message: Descriptor) -> Mapping[str, tuple[str, Convert]]:
    """Return, by each name a field may be called, its own name and what converts its value."""
    fields: dict[str, tuple[str, Convert]] = {}
    for field in message.fields:
        entry = (field.name, _convert(field))
        fields[field.name] = fields[field.json_name] = entry
    return fields


def keywords(message: Descriptor, value: object) -> dict[str, Any]:  # Any: as Convert
    """Return what the message's constructor takes for a JSON object; raises FieldError."""
    if not isinstance(value, dict):
        raise FieldError("", "object")
    fields = plan(message)
    found: dict[str, Any] = {}
    for name, given in value.items():
        entry = fields.get(name)
        if entry is None:
            raise FieldError("", "known") if not name.isidentifier() else FieldError(name, "known")
        if given is None:
            continue
        own, convert = entry
        if own in found:
            raise FieldError(own, "once")
        try:
            found[own] = convert(given)
        except FieldError as error:
            raise error.below(own) from None
    return found


def _convert(field: FieldDescriptor) -> Convert:
    if not field.is_repeated:
        return single(field)
    one = single(field)

    def many(value: object) -> list[object]:
        if not isinstance(value, list):
            raise FieldError("", "list")
        return [one(each) for each in value]

    return many


@cache
def single(field: FieldDescriptor) -> Convert:
    """Return what converts one JSON value of a field, repeated or not."""
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return timestamp
        message = field.message_type
        return lambda value: keywords(message, value)
    if field.enum_type is not None:
        return _enumeration(field.enum_type)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _boolean
    return _integer(*_RANGES[field.type])


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise FieldError("", "text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FieldError("", "text") from None
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise FieldError("", "boolean")
    return value


def _integer(least: int, most: int) -> Convert:
    def convert(value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise FieldError("", "integer")
        return value

    return convert


def _enumeration(enum: EnumDescriptor) -> Convert:
    numbers = {value.name: value.number for value in enum.values}

    def convert(value: object) -> int:
        if isinstance(value, str) and value in numbers:
            return numbers[value]
        if isinstance(value, int) and not isinstance(value, bool) and value in numbers.values():
            return value
        raise FieldError("", "code")

    return convert


def timestamp(value: object) -> dict[str, int]:
    """Return the keywords of a Timestamp for RFC 3339; a time without zone is Shanxi's own."""
    if not isinstance(value, str):
        raise FieldError("", "time")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=SHANGHAI)
        seconds = int(moment.replace(microsecond=0).timestamp())
    except (ValueError, OverflowError):
        raise FieldError("", "time") from None
    if seconds < _FIRST_SECOND:
        raise FieldError("", "time")
    return {"seconds": seconds, "nanos": moment.microsecond * _NANOS_PER_US}
