"""The bytes that stand for a ticket say all of it: whatever is changed beside the log shows."""

from dataclasses import replace

from gateway.exports.shape import Recall
from tests.exports.tickets import WAY, along

ONCE = along(2)


def test_every_move_changes_the_bytes() -> None:
    tickets = [along(number) for number in range(len(WAY) + 1)]
    assert len({one.canonical for one in tickets}) == len(tickets)
    assert replace(ONCE, releases=1).canonical != ONCE.canonical
    assert replace(ONCE, approvals=()).canonical != ONCE.canonical
    assert replace(ONCE, held=True).canonical != ONCE.canonical
    assert replace(ONCE, fetches=1).canonical != ONCE.canonical
    assert replace(ONCE, recalled=Recall("140000", "song", 1)).canonical != ONCE.canonical


def test_what_there_was_before_a_field_was_added_keeps_its_bytes() -> None:
    """Leaves of an older version tell of tickets that were never fetched or called back."""
    assert b"fetches" not in ONCE.canonical
    assert b"recalled" not in ONCE.canonical
