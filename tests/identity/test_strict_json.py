"""JSON of a token: one object, each name once, integers as the only numbers."""

import pytest

from gateway.identity.strict_json import TokenFaultError, parse_object


def test_an_object_is_read() -> None:
    assert parse_object(b'{"a": 1, "b": ["x", null, true, {"c": -2}]}', "payload") == {
        "a": 1,
        "b": ["x", None, True, {"c": -2}],
    }


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b'"a"', b"1", b"null", b"{", b'{"a": 1} x', b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b'{"a": 1.0}', b'{"a": 1e400}', b'{"a": 1E2}', b'{"a": NaN}',
        b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": ' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 100_000, b"\xff", b'\xef\xbb\xbf{"a": 1}', '{"a": 1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_all_else_is_a_fault_that_names_the_part(text: bytes) -> None:
    with pytest.raises(TokenFaultError) as fault:
        parse_object(text, "header")
    assert fault.value.rule == "header.json"
