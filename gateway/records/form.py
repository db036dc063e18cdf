"""The form of any record, whatever it is about.

Unknown fields and codes (EN-08), text (EN-09), content, empty required items.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from gateway.records.rulebook import Finding, Findings
from gateway.v1.types_pb2 import Date

# Fields whose value is a code: full-width characters there are digits that look right and never
# match.
_CODE_SUFFIXES = ("_code", "_codes", "_id", "_number", "phone")
FULL_WIDTH = re.compile("[\uff00-\uffef\u3000]")
# Unicode: Cc control, Cf format (bidi marks, zero width), Cs surrogate, Zl and Zp line and
# paragraph separators.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# GS1 puts its separator (FNC1, 0x1d) into element strings; TR-01 judges their form.
_OWN_FORM = frozenset({"gateway.v1.TraceCode.iso_code"})
_ENUM, _MESSAGE, _STRING = (
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_MESSAGE,
    FieldDescriptor.TYPE_STRING,
)


def to_day(value: Date) -> date | None:
    """Return the civil day, or None when there is no such day.

    Also for an absent Date, which is all zeros.
    """
    try:
        return date(value.year, value.month, value.day)
    except (ValueError, OverflowError):
        return None


def text_is_fit(text: str) -> bool:
    """Return whether a text is NFC and holds no control, direction.

    Separator or invisible format character.
    """
    if text.isascii() and text.isprintable():
        return True
    if not unicodedata.is_normalized("NFC", text):
        return False
    return text.isprintable() or not any(unicodedata.category(sign) in _UNFIT for sign in text)


def form_findings(record: Message, path: str) -> Findings:
    """Return EN-08 and EN-09 findings of a record and everything in it.

    `path` is the record's name in Item.
    """
    found: Findings = []
    _inspect(record, path, found)
    return found


def _inspect(message: Message, path: str, found: Findings) -> None:
    if len(UnknownFieldSet(message)):
        found.append(Finding("EN-08", path))
    for field, value in message.ListFields():
        name = f"{path}.{field.name}"
        values = value if field.is_repeated else (value,)
        if field.type == _MESSAGE:
            for one in values:
                _inspect(one, name, found)
        elif field.type == _ENUM:
            known = field.enum_type.values_by_number if field.enum_type else {}
            if any(one not in known for one in values):
                found.append(Finding("EN-08", name))
        elif field.type == _STRING and not all(_string_is_fit(field, one) for one in values):
            found.append(Finding("EN-09", name))


def _string_is_fit(field: FieldDescriptor, text: str) -> bool:
    if field.full_name in _OWN_FORM:
        return True
    if not text_is_fit(text):
        return False
    return text.isascii() or not (field.name.endswith(_CODE_SUFFIXES) and FULL_WIDTH.search(text))


def content(record: Message, without: frozenset[str]) -> str:
    """Return a text that two records share exactly when all their fields but `without` are equal.

    It is keyed and truncated before it is stored (BlindIndex), so its form is ours alone: field
    numbers and values, nested.
    """
    return repr([(f.number, _plain(v)) for f, v in record.ListFields() if f.name not in without])


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return [(field.number, _plain(inner)) for field, inner in value.ListFields()]
    if isinstance(value, (str, bytes, int, bool, float)):
        return value
    return [_plain(one) for one in value]  # type: ignore[attr-defined] # what is left of ListFields' values: repeated


def empty_items(record: Message, items: tuple[str, ...], path: str) -> Iterator[str]:
    """Yield the path of every required item that is not filled.

    A dotted item is looked for in every element of a list.
    """
    for item in items:
        if not _filled(record, item.split(".")):
            yield f"{path}.{item}"


def _filled(message: Message, names: list[str]) -> bool:
    field = message.DESCRIPTOR.fields_by_name[names[0]]
    value = getattr(message, field.name)
    if len(names) > 1:
        if field.is_repeated:
            return all(_filled(one, names[1:]) for one in value)
        return _filled(value, names[1:])
    if field.is_repeated:
        return len(value) > 0
    if field.type == _MESSAGE:
        return message.HasField(field.name)
    if field.type == _STRING:
        return bool(value.strip())
    # A bool has no empty value; 0 of any other kind means "not sent".
    return field.type == FieldDescriptor.TYPE_BOOL or bool(value)
