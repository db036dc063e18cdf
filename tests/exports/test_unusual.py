"""What is new of a requester asks for a person more, and too much of it is refused."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.config.exports import UnusualRules
from gateway.errors import Reason, Refusal
from gateway.exports.ticket import Counted, Ticket
from gateway.exports.unusual import Request, needed, signs
from tests.exports.tickets import HOUR, RULES, START_US, along, draft

UNUSUAL = UnusualRules(
    first_is_new=True,
    memory_days=365,
    size_factor=3.0,
    hours_apart=3,
    three_persons_from=1,
    blocked_from=4,
)
AT_TEN = START_US + 10 * HOUR


def earlier(**changes: Any) -> Ticket:
    """A released ticket of 1,000 rows, submitted at ten."""
    done = replace(along(8, **changes), counted=Counted(1_000, 400, 2), submitted_us=AT_TEN)
    assert done.releases == 1
    return done


def asked(rows: int = 1_000, at_us: int = AT_TEN, **changes: Any) -> Request:
    return Request(draft(**changes), rows, at_us)


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (asked(), ()),
        (asked(purpose="outbreak"), ("purpose",)),
        (asked(divisions=("140105", "140106")), ("division",)),
        (asked(rows=3_000), ()),
        (asked(rows=3_100), ("size",)),
        (asked(at_us=AT_TEN + 3 * HOUR), ()),
        (asked(at_us=AT_TEN + 4 * HOUR), ("hour",)),
        (asked(at_us=AT_TEN - 11 * HOUR), ("hour",)),
        (
            asked(rows=9_000, purpose="outbreak", at_us=AT_TEN + 12 * HOUR),
            ("purpose", "size", "hour"),
        ),
    ],
)
def test_what_is_new_is_told(request_: Request, found: tuple[str, ...]) -> None:
    assert signs(request_, [earlier()], UNUSUAL) == found


def test_the_day_is_round() -> None:
    at_one = replace(earlier(), submitted_us=START_US + HOUR)
    assert signs(asked(at_us=START_US + 23 * HOUR), [at_one], UNUSUAL) == ()
    assert signs(asked(at_us=START_US + 21 * HOUR), [at_one], UNUSUAL) == ("hour",)


def test_a_first_request_is_for_something_new_where_the_policy_says_so() -> None:
    """Whoever had nothing released yet is not judged more mildly than who had."""
    first = signs(asked(), [], UNUSUAL)
    assert first == ("purpose", "division")
    assert needed(first, UNUSUAL, RULES) == 3
    mild = replace(UNUSUAL, first_is_new=False)
    assert signs(asked(rows=50_000, purpose="court-order"), [], mild) == ()


def test_signs_raise_the_approvals_or_block() -> None:
    assert needed((), UNUSUAL, RULES) == 2
    assert needed(("size",), UNUSUAL, RULES) == 3
    assert needed(("size",), replace(UNUSUAL, three_persons_from=0), RULES) == 2
    assert needed((), UNUSUAL, replace(RULES, needed=3)) == 3
    every = ("purpose", "division", "size", "hour")
    with pytest.raises(Refusal) as raised:
        needed(every, UNUSUAL, RULES)
    assert raised.value.reason is Reason.TICKET_UNUSUAL
    assert needed(every, replace(UNUSUAL, blocked_from=0), RULES) == 3
