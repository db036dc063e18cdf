"""Each word that a leaf may tell is of a form that no name, number of a person or free text has."""

import pytest

from gateway.audit.words import COUNTS, DETAILS, WORD
from tests.audit.test_event import CANARIES


def test_every_word_is_one() -> None:
    assert all(WORD.fullmatch(word) for word in COUNTS)
    assert all(WORD.fullmatch(word.replace("sha256", "sha")) for word in DETAILS)


@pytest.mark.parametrize("word", [word for word, form in DETAILS.items() if form is not None])
def test_no_canary_is_of_its_grammar(word) -> None:
    form = DETAILS[word]
    assert form is not None
    # Those of our own codes and serials look like some numbers; who makes them is asked elsewhere.
    ours = word.startswith(("target_", "parent_", "relative_"))
    assert not [one for one in CANARIES if form.fullmatch(one) and not (ours and one.isascii())]


def test_a_tickets_leaf_names_it_by_number_and_digests() -> None:
    good = {"ticket": "EX-00000001", "plan_sha256": "a" * 64, "ticket_mac": "b" * 64}
    for name, value in good.items():
        pattern = DETAILS[name]
        assert pattern is not None
        assert pattern.fullmatch(value)
        assert not pattern.fullmatch(value + "\n")
