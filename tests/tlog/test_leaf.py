"""Canonical JSON: one encoding per value, and only that is read."""

import contextlib
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tlog import leaf
from gateway.tlog.leaf import LeafError

strings = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters=[*map(chr, range(32)), "\x7f"]),
    max_size=20,
)
values = st.recursive(
    strings | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(strings, values, max_size=6))
def test_what_is_encoded_is_read_back(document: dict[str, leaf.Json]) -> None:
    try:
        content = leaf.encode(document)
    except LeafError as error:
        assert "deeper" in str(error)  # noqa: PT017  the only reason that generated values can give
        return
    assert leaf.parse(content) == document


def test_the_form() -> None:
    made = leaf.encode({"b": [1, True, "é中"], "a": {"z": -5, "y": 'q"\\'}, "c": ()})
    assert made == '{"a":{"y":"q\\"\\\\","z":-5},"b":[1,true,"é中"],"c":[]}'.encode()


@pytest.mark.parametrize(
    "document",
    [
        {"a": None},
        {"a": 1.0},
        {"a": float("nan")},
        {"a": b"bytes"},
        {"a": 2**53},
        {"a": -(2**53)},
        {"a": "new\nline"},
        {"a": "nul\x00"},
        {"a": "del\x7f"},
        {"a": "half \ud800"},
        {"a\n": 1},
        {1: "a"},
        {"a": {1: "a"}},
        {"a": [[[[[[[[[]]]]]]]]]},
        {"a": {"b": object()}},
    ],
)
def test_what_has_no_canonical_form(document: dict[str, leaf.Json]) -> None:
    with pytest.raises(LeafError) as error:
        leaf.encode(document)
    assert error.value.code == "LEAF_FORM"


def test_mappings_of_any_type() -> None:
    inner = MappingProxyType({"b": 1})
    assert leaf.encode(MappingProxyType({"a": inner})) == b'{"a":{"b":1}}'


def test_printable_strangers_are_kept() -> None:
    document: dict[str, leaf.Json] = {"a": "zero\u200bwidth"}
    assert leaf.parse(leaf.encode(document)) == document


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b'{"a":null}',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b' {"a":1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\u00e9"}',
        b'{"a":"\\/"}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
)
def test_what_is_not_canonical(content: bytes) -> None:
    with pytest.raises(LeafError) as error:
        leaf.parse(content)
    assert error.value.code == "LEAF_FORM"


def test_a_leaf_fits_into_an_entry_bundle() -> None:
    assert len(leaf.encode({"a": "x" * 65_527})) == 65_535
    with pytest.raises(LeafError) as error:
        leaf.encode({"a": "x" * 65_528})
    assert error.value.code == "LEAF_TOO_LONG"
    with pytest.raises(LeafError) as error:
        leaf.parse(b"x" * 65_536)
    assert error.value.code == "LEAF_TOO_LONG"


@given(st.binary(max_size=100))
def test_no_bytes_make_the_reader_stumble(content: bytes) -> None:
    with contextlib.suppress(LeafError):
        assert leaf.encode(leaf.parse(content)) == content


# Pieces of JSON whose joinings are objects of every order, doubled keys, strange numbers and spaces.
members = st.sampled_from(
    [
        *('"a":1', '"a":0', '"a":-0', '"b":[-0]', '"b":[0,-7,true]', '"b":"x"', '"b":"\\u0041"'),
        *('"b":"-0"', '"c":{"y":1,"z":{}}', '"c":{"z":1,"y":2}', '"c":{"y":1,"y":1}', '"c":null'),
        *('"c":[[[[[[[[1]]]]]]]]', '"d":9007199254740991', '"d":-9007199254740992', '"d":1.0'),
        *('"d" :1', '"d":"é"', '"d":"a b"'),
    ]
)


@given(st.lists(members, max_size=5).map(lambda some: "{" + ",".join(some) + "}"))
def test_what_is_seen_at_once_is_what_encoding_says(text: str) -> None:
    import json

    try:
        canonical = leaf.encode(json.loads(text)) == text.encode()
    except LeafError:
        canonical = False
    with contextlib.suppress(LeafError):
        assert leaf.parse(text.encode()) == json.loads(text)
        assert canonical
        return
    assert not canonical


def test_a_leaf_as_ours_are_is_seen_at_once() -> None:
    document = {"counts": {"accepted": 0}, "policies": ["P01"], "time_us": 2**53 - 1, "weak": True}
    assert leaf._plainly_canonical(leaf.encode(document))
