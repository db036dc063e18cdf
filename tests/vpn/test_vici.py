"""strongSwan's protocol: trees as its library writes them, and everything else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.vpn.table import MalformedAnswerError
from gateway.vpn.vici import REGISTER, packet, parse
from tests.vpn.fakes import vici

# libcharon/plugins/vici/README.md, "Encoding example".
README = {
    "key1": "value1",
    "section1": {"sub-section": {"key2": "value2"}, "list1": ["item1", "item2"]},
}
ENCODED = (
    b"\x03\x04key1\x00\x06value1\x01\x08section1\x01\x0bsub-section\x03\x04key2\x00\x06value2\x02"
    b"\x04\x05list1\x05\x00\x05item1\x05\x00\x05item2\x06\x02"
)


def test_the_example_of_its_description():
    assert parse(ENCODED) == README
    assert vici(README) == ENCODED
    assert packet(REGISTER, "list-sa") == b"\x00\x00\x00\x09\x03\x07list-sa"


@pytest.mark.parametrize(
    "said",
    [
        ENCODED[:-1],
        ENCODED + b"\x02",
        ENCODED * 2,
        ENCODED.replace(b"value1", b"\xff" * 6),
        ENCODED.replace(b"\x06\x02", b"\x02\x02"),
        b"\x07\x01a",
        b"\x00",
        b"\x03\x04key1\x00\x09value1",
        b"\x05\x00\x01x",
        b"".join(b"\x01\x01a" for _ in range(5000)),
    ],
)
def test_a_tree_that_is_not_whole_is_no_answer(said):
    with pytest.raises(MalformedAnswerError):
        parse(said)


@given(st.binary(max_size=100), st.integers(0, len(ENCODED)), st.integers(0, 9))
def test_whatever_comes_is_a_tree_or_no_answer(noise, at, cut):
    for said in (noise, ENCODED[:at] + noise + ENCODED[at + cut :]):
        try:
            assert isinstance(parse(said), dict)
        except MalformedAnswerError:
            continue
