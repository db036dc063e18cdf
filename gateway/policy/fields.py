"""Which fields of a record may leave in an export, under which class, and what is left of a value.

Everything follows from the contract's `export_class`: a field without one, with NEVER, or of
restricted data has no column, whatever a plan names. One mask for everybody: two exports of the
same field never show different parts of it, so that laying them side by side gives nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.v1 import options_pb2
from gateway.v1.aefi_pb2 import AefiReport
from gateway.v1.child_pb2 import Child
from gateway.v1.options_pb2 import DataClass, ExportClass
from gateway.v1.stock_pb2 import StockMovement
from gateway.v1.vaccination_pb2 import Vaccination

# Stands in every manifest: another mask is another number (exports.md section 7).
MASK_VERSION = 1
# Made by the gateway, keyed per ticket, so of no field class: `child_token` is the same for all
# rows of a child within one export, `record_token` for all rows of a record.
CHILD_TOKEN, RECORD_TOKEN = "child_token", "record_token"
TOKENS = (CHILD_TOKEN, RECORD_TOKEN)

_DATE, _TIMESTAMP = "gateway.v1.Date", "google.protobuf.Timestamp"
_COUNTY_DIGITS = 6
_MONTH_LENGTH = len("2026-03")
# Every text of these classes is a code: anything else in it is a free text, which never leaves
# (exports.md, attack 44). Within a code, an identity or a mobile number is nobody's code either.
_CODE = re.compile(r"[A-Za-z0-9(][A-Za-z0-9()./_-]{0,63}", re.ASCII)
_PERSONAL = re.compile(
    r"(?<![0-9])(?:[1-9][0-9]{5}(?:19|20)[0-9]{2}[01][0-9][0-3][0-9][0-9]{3}[0-9Xx]"
    r"|1[3-9][0-9]{9})(?![0-9])",
    re.ASCII,
)
# A mobile number; shorter values need no search.
_SHORTEST_PERSONAL = 11
Mask = Callable[[str], str]


class UnknownColumnError(ValueError):
    """A path names no field that may leave; the text is the path."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset.

    `path` names the field from the record on, `lines.lot.vaccine_code`; `export_class` is the word
    of the contract, "HEALTH", or "" for a token of ours; `kind` is text, integer, truth, day, time
    or code; `codes` the words of a code's numbers.
    """

    path: str
    export_class: str
    data_class: int
    std: str
    kind: str
    codes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A kind of record, and the repeated field each of whose elements is a row ("": the record)."""

    message: Descriptor
    each: str = ""


DATASETS: Mapping[str, Dataset] = {
    "children": Dataset(Child.DESCRIPTOR),
    "vaccinations": Dataset(Vaccination.DESCRIPTOR),
    "stock": Dataset(StockMovement.DESCRIPTOR, "lines"),
    "adverse_events": Dataset(AefiReport.DESCRIPTOR, "suspects"),
}
# Whose rows are about a child: the others have no child_token.
INDIVIDUAL = frozenset({"children", "vaccinations", "adverse_events"})


@cache
def columns(dataset: str) -> Mapping[str, Column]:
    """Return the columns of a dataset by path, in the contract's order, tokens first.

    Raises KeyError for a dataset that is none.
    """
    kind = DATASETS[dataset]
    own = TOKENS if dataset in INDIVIDUAL else TOKENS[1:]
    found = {name: Column(name, "", 0, "", "text", {}) for name in own}
    _collect(kind.message, "", kind.each, found)
    return found


def withdrawn(dataset: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of a plan's columns that the contract does not let leave, any more or ever."""
    known = columns(dataset)
    return tuple(path for path in paths if path not in known)


def classes(dataset: str, paths: Iterable[str]) -> frozenset[str]:
    """Return the classes of these columns; raises UnknownColumnError for what may not leave."""
    known = columns(dataset)
    for path in paths:
        if path not in known:
            raise UnknownColumnError(path)
    return frozenset(known[path].export_class for path in paths) - {""}


def mask(column: Column, value: str, *, whole_birth: bool = False) -> str:
    """Return what leaves of a value that is written as text already; "" stays "".

    `whole_birth` where the purpose needs the day (exports.toml of the bundle). Raises as `masker`.
    """
    return masker(column, whole_birth=whole_birth)(value)


def masker(column: Column, *, whole_birth: bool = False) -> Mask:
    """Return the mask of a column, made once for all its rows.

    An identifier has none: it becomes a token of its ticket (exports.tokens). Raises
    UnknownColumnError.
    """
    match column.export_class:
        case "NAME":
            return _family_name
        case "BIRTH":
            return as_it_is if whole_birth else _month
        case "ADDRESS":
            return _county
        case "HEALTH" | "DEMOGRAPHIC" | "LOGISTIC" | "PLACE":
            return _code_alone if column.kind == "text" else as_it_is
        case _:
            raise UnknownColumnError(column.path)


def as_it_is(value: str) -> str:
    """Return the value: the mask of what is no text and may leave whole."""
    return value


def _family_name(value: str) -> str:
    return f"{value[0]}*" if value else ""


def _month(value: str) -> str:
    return value[:_MONTH_LENGTH]


def _county(value: str) -> str:
    return value[:_COUNTY_DIGITS]


def _code_alone(value: str) -> str:
    """Return a code as it is; nothing where somebody wrote a text or a person's number into it."""
    if not _CODE.fullmatch(value):
        return ""
    return "" if len(value) >= _SHORTEST_PERSONAL and _PERSONAL.search(value) else value


def _collect(message: Descriptor, above: str, each: str, found: dict[str, Column]) -> None:
    """Enter the columns of a message; of a repeated field only where its elements are rows."""
    for field in message.fields:
        path = f"{above}{field.name}"
        inner = field.message_type
        if inner is not None and inner.full_name not in (_DATE, _TIMESTAMP):
            if field.is_repeated == (path == each) and _class_of(field) == "UNSPECIFIED":
                _collect(inner, f"{path}.", each, found)
            continue
        column = None if field.is_repeated else _column(field, path)
        if column is not None:
            found[path] = column


def _column(field: FieldDescriptor, path: str) -> Column | None:
    options = field.GetOptions().Extensions
    word, data_class = _class_of(field), options[options_pb2.data_class]
    restricted = data_class == DataClass.DATA_CLASS_RESTRICTED
    if word in ("UNSPECIFIED", "NEVER") or restricted:
        return None
    codes = {} if field.enum_type is None else _words(field.enum_type)
    return Column(path, word, data_class, options[options_pb2.std], _kind(field), codes)


def _class_of(field: FieldDescriptor) -> str:
    number = field.GetOptions().Extensions[options_pb2.export_class]
    return ExportClass.Name(number).removeprefix("EXPORT_CLASS_")


def _kind(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return "day" if field.message_type.full_name == _DATE else "time"
    if field.enum_type is not None:
        return "code"
    if field.type == FieldDescriptor.TYPE_BOOL:
        return "truth"
    return "text" if field.type == FieldDescriptor.TYPE_STRING else "integer"


def _words(enum: EnumDescriptor) -> Mapping[int, str]:
    """Return the words of an enum without their prefix, as an upload's CSV may have them too."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {one.number: one.name.removeprefix(prefix) for one in enum.values if one.number}
