"""A token joins rows within its export and nothing beyond it (attack 42)."""

import re

import pytest

from gateway.exports.tokens import TicketTokens

MASTER = bytes(range(32))
TAG, OTHER = b"\1" * 16, b"\2" * 16


def test_within_a_ticket_equal_things_have_equal_tokens():
    tokens = TicketTokens(MASTER, "EX-00000001")
    again = TicketTokens(MASTER, "EX-00000001")
    assert tokens.child(TAG) == again.child(TAG)
    assert tokens.child(TAG) != tokens.child(OTHER)
    assert tokens.order_key == again.order_key
    assert len(tokens.order_key) == 32


def test_attack_42_between_two_exports_no_token_and_no_order_is_the_same():
    first, second = (TicketTokens(MASTER, f"EX-0000000{n}") for n in (1, 2))
    assert first.child(TAG) != second.child(TAG)
    assert first.record(TAG) != second.record(TAG)
    assert first.value("child_code", "140105") != second.value("child_code", "140105")
    assert first.order_key != second.order_key


def test_a_child_a_record_and_an_identifier_are_told_apart():
    tokens = TicketTokens(MASTER, "EX-00000001")
    found = {
        tokens.child(TAG),
        tokens.record(TAG),
        tokens.value("child_code", TAG.decode("latin-1")),
        tokens.value("record_id", TAG.decode("latin-1")),
    }
    assert len(found) == 4
    assert all(re.fullmatch("[crv][0-9a-f]{20}", one) for one in found)


def test_nothing_has_no_token():
    tokens = TicketTokens(MASTER, "EX-00000001")
    assert tokens.child(b"") == ""
    assert tokens.value("child_code", "") == ""


def test_without_the_key_a_token_is_another():
    assert TicketTokens(b"\0" * 32, "EX-00000001").child(TAG) != TicketTokens(
        MASTER, "EX-00000001"
    ).child(TAG)


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        TicketTokens(b"short", "EX-00000001")
