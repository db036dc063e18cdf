"""Canonical JSON, the only JSON that is hashed here: sorted keys, compact, no floats, no null.

Values are objects, arrays, strings without control characters, booleans, and integers that every
JSON reader keeps exact. One value has one encoding, and only that is parsed.
"""

import json
import re
from collections.abc import Mapping
from typing import NoReturn

# RFC 8259 section 6: integers within this range are exact in every reader.
INTEGER_MAX = 2**53 - 1
LEAF_MAX_BYTES = 65_535
DEPTH_MAX = 8
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

Json = str | int | bool | Mapping[str, "Json"] | list["Json"] | tuple["Json", ...]

# The bytes of a plain leaf, as ours are: visible ASCII but the backslash.
_PLAIN = bytes(range(0x21, 0x7F)).replace(b"\\", b"")

# `default=dict` is for mappings of other types; _check lets nothing else through.
_ENCODE = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=dict
).encode


class LeafError(ValueError):
    """A value has no canonical form, or the bytes are not canonical.

    `code` is LEAF_FORM or LEAF_TOO_LONG.
    """

    def __init__(self, message: str, code: str = "LEAF_FORM") -> None:
        """Make an error; the message never quotes the value."""
        super().__init__(message)
        self.code = code


def encode(document: Mapping[str, Json]) -> bytes:
    """Return the canonical bytes of an object, at most 65,535; raises LeafError."""
    _check(document, 0)
    content = _ENCODE(document).encode()
    if len(content) > LEAF_MAX_BYTES:
        raise LeafError(f"the leaf has {len(content)} bytes", "LEAF_TOO_LONG")
    return content


def parse(content: bytes) -> dict[str, Json]:
    """Return the object of canonical bytes.

    Raises LeafError on duplicates, floats, null and every other encoding.
    """
    if len(content) > LEAF_MAX_BYTES:
        raise LeafError(f"the leaf has {len(content)} bytes", "LEAF_TOO_LONG")
    try:
        text = content.decode()
        document, end = _DECODE(text)
    except LeafError:
        raise
    except (ValueError, RecursionError):
        raise LeafError("the leaf is not JSON in UTF-8") from None
    if not isinstance(document, dict) or end != len(text):
        raise LeafError("the leaf is not one object")
    if not _plainly_canonical(content) and encode(document) != content:
        raise LeafError("the leaf is not canonical")
    return document


def _plainly_canonical(content: bytes) -> bool:
    """Say without encoding it that a leaf is canonical; False where that is not seen at once.

    Decoding has seen to the keys and the numbers (`_object`, `_integer`). What remains needs no
    look at each value: no white space, no escape, few levels, no null. `encode` defines it, and
    takes longer.
    """
    levels = content.count(b"{") + content.count(b"[")
    return levels <= DEPTH_MAX and b"null" not in content and not content.translate(None, _PLAIN)


def _check(value: object, depth: int) -> None:
    """Refuse whatever has no canonical form.

    Depth first, so that no recursion is deeper than DEPTH_MAX.
    """
    if isinstance(value, str):
        if not value.isprintable() and _CONTROL.search(value):
            raise LeafError("a string holds a control character or half a surrogate pair")
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise LeafError("an integer is beyond 2^53 - 1")
    elif depth >= DEPTH_MAX:
        raise LeafError(f"the value is deeper than {DEPTH_MAX}")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if not isinstance(key, str):
                raise LeafError("a key is not a string")
            # Nearly every member is text to text: said here, it halves the time of the whole check.
            if isinstance(each, str) and key.isprintable() and each.isprintable():
                continue
            _check(key, depth)
            _check(each, depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            _check(each, depth + 1)
    else:
        raise LeafError("a value is neither object, array, string, boolean nor integer")


def _object(members: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return a decoded object; refuses keys that are out of order or stand twice."""
    document = dict(members)
    names = list(document)
    if names != sorted(names) or len(names) != len(members):
        raise LeafError("the leaf is not canonical: its keys are out of order or stand twice")
    return document


def _integer(text: str) -> int:
    """Return a decoded integer; refuses -0, which JSON writes in two ways, and too large ones."""
    value = int(text)
    if text == "-0" or abs(value) > INTEGER_MAX:
        raise LeafError("an integer is -0 or beyond 2^53 - 1")
    return value


def _refuse(_: str) -> NoReturn:
    raise LeafError("the leaf holds a number that is not an integer")


_DECODE = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse
).raw_decode
