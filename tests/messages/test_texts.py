import pytest

from gateway.messages import language, text
from gateway.messages.texts import catalogue


def test_a_text_is_filled_in_the_language_asked_for():
    assert text("refused", "en", reason="R", meaning="m.") == "Refused (R): m."
    assert text("refused", "zh", reason="R", meaning="m。") == "已拒绝（R）：m。"


def test_an_unknown_id_comes_back_as_it_is():
    assert text("no such {id}", "en", id=1) == "no such {id}"


def test_a_placeholder_without_a_parameter_stays():
    assert text("refused", "en", reason="R") == "Refused (R): {meaning}"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LC_ALL": "", "LANG": "zh_CN"}, "zh"),
    ],
)
def test_the_language_is_found_after_posix(environ, expected):
    assert language(environ) == expected


def test_both_languages_are_there():
    assert catalogue("en").keys() == catalogue("zh").keys() != set()
