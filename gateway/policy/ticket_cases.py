"""The tickets of the cases: one that nothing speaks against, and what a case says is otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.clock import US_PER_S
from gateway.policy.request import Calling, Party, Signed, Ticket

PLAN, OTHER_PLAN = "aa" * 32, "bb" * 32
CERTIFICATE, TUNNEL = "cc" * 32, "county-a"
# The moment of every case, microseconds; far from 0 so that what lies before it is a time too.
NOW_US = 1_000_000_000 * US_PER_S


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of a ticket: `name` is "organisation/name"; `plan` what an approver signed."""

    name: str
    roles: tuple[str, ...]
    active: bool = True
    external: bool = False
    plan: str = PLAN


_REQUESTER = Person("140105/li", ("requester",))
_RECIPIENT = Person("140105/wang", ("recipient",))
_APPROVERS = (
    Person("140000/zhao", ("approver",)),
    Person("140000/qian", ("approver",)),
)


@dataclass(frozen=True, slots=True)
class TicketCase:
    """The facts of a case about a ticket; times in seconds from the moment of the case.

    `planned` and `built` are rows and children, empty where nobody counted; so is `overspent`
    without `budgets_counted`. The caller is `caller`, over `certificate` and `tunnel`.
    """

    caller: str = "140105/wang"
    state: str = "sealed"
    held: bool = False
    requester: Person = _REQUESTER
    recipient: Person = _RECIPIENT
    approvals: tuple[Person, ...] = _APPROVERS
    approvals_needed: int = 2
    approved_s: int = -600
    individual: bool = True
    divisions: tuple[str, ...] = ("140105",)
    purpose: str = "outbreak"
    legal_basis: str = "infectious-disease-law"
    classes: tuple[str, ...] = ("HEALTH", "BIRTH", "PLACE")
    row_cap: int = 1_000
    child_cap: int = 500
    planned: tuple[int, ...] = (900, 400)
    built: tuple[int, ...] = (900, 400)
    opens_s: int = -3_600
    closes_s: int = 86_400
    certificates_good: bool = True
    tunnel_active: bool = True
    overdue: bool = False
    recalled_by: str = ""
    unheld_by: str = ""
    certificate: str = CERTIFICATE
    tunnel: str = TUNNEL
    confirmed: bool = True
    budgets_counted: bool = True
    overspent: tuple[str, ...] = ()


USUAL = TicketCase()


def ticket(case: TicketCase, province: str, parents: Mapping[str, str]) -> Ticket:
    """Return the ticket of a case in a province of these organisations (code to the one above)."""

    def party(person: Person) -> Party:
        return _party(person, case.divisions, parents)

    at_us = NOW_US + case.approved_s * US_PER_S
    return Ticket(
        ticket_id="EX-00000001",
        state=case.state,
        held=case.held,
        plan_sha256=PLAN,
        province=province,
        requester=party(case.requester),
        recipient=party(case.recipient),
        recipient_certificate=CERTIFICATE,
        recipient_tunnel=TUNNEL,
        individual=case.individual,
        divisions=frozenset(case.divisions),
        purpose=case.purpose,
        legal_basis=case.legal_basis,
        classes=frozenset(case.classes),
        row_cap=case.row_cap,
        child_cap=case.child_cap,
        not_before_us=NOW_US + case.opens_s * US_PER_S,
        not_after_us=NOW_US + case.closes_s * US_PER_S,
        certificates_good=case.certificates_good,
        tunnel_active=case.tunnel_active,
        overdue=case.overdue,
        approvals_needed=case.approvals_needed,
        approvals=tuple(Signed(party(one), one.plan, at_us) for one in case.approvals),
        planned=_counted(case.planned),
        built=_counted(case.built),
        recalled_by=case.recalled_by,
        unheld_by=case.unheld_by,
    )


def calling(case: TicketCase) -> Calling:
    """Return who calls in a case, how and when."""
    overspent = frozenset(case.overspent) if case.budgets_counted else None
    return Calling(case.caller, case.certificate, case.tunnel, case.confirmed, NOW_US, overspent)


def _party(person: Person, divisions: tuple[str, ...], parents: Mapping[str, str]) -> Party:
    organisation = person.name.partition("/")[0]
    covers = frozenset(code for code in divisions if organisation in _up(code, parents))
    known = (organisation, person.active, frozenset(person.roles), covers)
    return Party(person.name, *known, person.external)


def _up(code: str, parents: Mapping[str, str]) -> list[str]:
    chain: list[str] = []
    while code in parents and code not in chain:
        chain.append(code)
        code = parents[code]
    return chain


def _counted(numbers: tuple[int, ...]) -> tuple[int, int] | None:
    return (numbers[0], numbers[1]) if numbers else None
