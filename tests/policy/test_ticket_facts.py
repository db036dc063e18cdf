"""A ticket as Cedar sees it: every fact by name, sums formed here, what is not established left out."""

from dataclasses import replace

from gateway.policy import ticket_cases, ticket_facts
from gateway.policy.ticket_cases import NOW_US, TicketCase

PARENTS = {"140000": "", "140105": "140000"}
TICKET = ticket_cases.ticket(TicketCase(), "140000", PARENTS)
CALLING = ticket_cases.calling(TicketCase())


def test_what_is_not_established_is_left_out() -> None:
    found = ticket_facts.attributes(TICKET)
    assert {"first", "second", "planned", "built"} <= found.keys()
    assert "third" not in found
    bare = ticket_facts.attributes(replace(TICKET, approvals=(), planned=None, built=None))
    assert not {"first", "second", "third", "planned", "built"} & bare.keys()


def test_a_fourth_approval_has_no_place() -> None:
    many = replace(TICKET, approvals=TICKET.approvals * 3)
    assert {"first", "second", "third"} == set(ticket_facts.SLOTS) & set(
        ticket_facts.attributes(many)
    )


def test_sums_are_formed_here() -> None:
    ticket = replace(TICKET, not_before_us=1_000_000, not_after_us=4_999_999)
    assert ticket_facts.attributes(ticket)["windowSeconds"] == 3
    assert ticket_facts.circumstances(CALLING, TICKET)["sinceApprovalSeconds"] == 600
    # The last approval counts, and a clock that was set back gives less than nothing.
    first, second = TICKET.approvals
    late = replace(TICKET, approvals=(first, replace(second, at_us=NOW_US + 5_000_000)))
    assert ticket_facts.circumstances(CALLING, late)["sinceApprovalSeconds"] == -5
    fresh = ticket_facts.circumstances(CALLING, replace(TICKET, approvals=()))
    assert "sinceApprovalSeconds" not in fresh


def test_budgets_that_nobody_counted_are_no_fact() -> None:
    assert ticket_facts.circumstances(CALLING, TICKET)["overspent"] == []
    uncounted = replace(CALLING, overspent=None)
    assert "overspent" not in ticket_facts.circumstances(uncounted, TICKET)


def test_the_organisations_that_are_referred_to() -> None:
    assert ticket_facts.organisations(TICKET) == {"140000", "140105"}
