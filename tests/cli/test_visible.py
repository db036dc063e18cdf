import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import visible

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("\x1b[2J", "\\u001b[2J"),
        ("a\0b", "a\\u0000b"),
        ("\u202egnp", "\\u202egnp"),
        ("\x9b31m", "\\u009b31m"),
        ("小店区 a", "小店区 a"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\udb40\\udc41"),
    ],
)
def test_what_controls_or_hides_is_spelled_out(given_, shown):
    assert visible.harmless(given_) == visible.value(given_) == shown


def test_a_text_keeps_its_lines_and_a_value_has_one():
    assert visible.harmless("a\n\tb\r\u2028") == "a\n\tb\\r\\u2028"
    assert visible.value("a\n\tb") == "a\\n\\tb"
    assert visible.value("x" * 65_536) == "x" * visible.LONGEST + "… (65536)"


@given(st.text())
def test_nothing_unseen_is_left_and_json_still_says_the_same(text):
    shown = visible.harmless(json.dumps(text, ensure_ascii=False))
    assert not any(unicodedata.category(one) in UNSEEN for one in shown)
    assert json.loads(shown) == text
