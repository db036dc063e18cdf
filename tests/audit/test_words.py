"""The words of a leaf; that no grammar of theirs fits a person's name or number shows test_event."""

from gateway.audit.words import COUNTS, DETAILS


def test_words_are_words() -> None:
    for word in (*COUNTS, *DETAILS):
        assert word.replace("_", "").isalnum()
        assert word == word.lower()


def test_a_tickets_leaf_names_it_by_number_and_digests() -> None:
    good = {"ticket": "EX-00000001", "plan_sha256": "a" * 64, "ticket_sha256": "b" * 64}
    for name, value in good.items():
        pattern = DETAILS[name]
        assert pattern is not None
        assert pattern.fullmatch(value)
        assert not pattern.fullmatch(value + "\n")
