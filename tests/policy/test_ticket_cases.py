"""The ticket of a case: nothing speaks against it unless the case says so."""

from gateway.policy import ticket_cases
from gateway.policy.ticket_cases import Person, TicketCase

PARENTS = {"140000": "", "140100": "140000", "140105": "140100", "140106": "140100"}


def test_what_a_case_leaves_out_speaks_against_nothing() -> None:
    found = ticket_cases.ticket(TicketCase(), "140000", PARENTS)
    assert found.province == "140000"
    assert found.requester.covers == found.recipient.covers == found.divisions == {"140105"}
    assert [one.plan_sha256 for one in found.approvals] == [found.plan_sha256] * 2
    calling = ticket_cases.calling(TicketCase())
    assert calling.person == found.recipient.person
    assert found.not_before_us < calling.now_us < found.not_after_us
    assert calling.overspent == frozenset()


def test_who_covers_what_follows_from_the_tree() -> None:
    case = TicketCase(
        divisions=("140105", "140106"),
        requester=Person("140100/li", ("requester",)),
        recipient=Person("140106/wang", ("recipient",)),
    )
    found = ticket_cases.ticket(case, "140000", PARENTS)
    assert found.requester.covers == {"140105", "140106"}
    assert found.recipient.covers == {"140106"}


def test_what_nobody_counted_is_no_fact() -> None:
    case = TicketCase(planned=(), built=(), budgets_counted=False)
    found = ticket_cases.ticket(case, "140000", PARENTS)
    assert (found.planned, found.built) == (None, None)
    assert ticket_cases.calling(case).overspent is None


def test_a_circle_of_organisations_ends() -> None:
    circle = {"140105": "140106", "140106": "140105"}
    assert ticket_cases.ticket(TicketCase(), "", circle).requester.covers == {"140105"}
