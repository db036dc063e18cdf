import re

import pytest

from gateway.errors import REASONS, Reason, refuse


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_is_of_its_reasons_family(reason):
    refusal = refuse(reason)
    assert type(refusal) is REASONS[reason].family
    assert str(refusal) == refusal.reason == reason.value == reason.name
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{1,61}[A-Z0-9]", reason), "AIP-193's form of a reason"


def test_texts_are_whole_sentences_without_placeholders():
    for reason, meaning in REASONS.items():
        assert not re.search(r"[{}%]", meaning.english + meaning.chinese), reason
        assert re.search(r"[\u4e00-\u9fff]", meaning.chinese), reason
