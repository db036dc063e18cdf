"""Plans, tickets and the people in them, for the tests of exports."""

from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.config.exports import ApprovalRules
from gateway.exports import budget
from gateway.exports.marks import Marks
from gateway.exports.plan import Party, Plan
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import (
    Act,
    Approval,
    Built,
    Caller,
    Counted,
    Given,
    Ticket,
    moved,
    opened,
)

S = 1_000_000
# Of tests that have no HOME.
SEAL = TicketSeal(b"\x07" * 32, Marks(Path("nowhere")))
HOUR = 3600 * S
# 2026-11-02T00:00:00Z.
START_US = 1_793_577_600 * S
RULES = ApprovalRules(needed=2, apart_s=120, within_hours=72, draft_days=14)
# The end of the seventh day after START_US, in the province.
RECALL_DUE_US = START_US + (7 * 24 + 16) * HOUR
PLAN = Plan(
    dataset="vaccinations",
    divisions=("140105",),
    born_from=date(2020, 1, 1),
    born_until=None,
    happened_from=None,
    happened_until=date(2026, 10, 31),
    vaccine_codes=("0101",),
    units=(),
    columns=("child_token", "lot.vaccine_code", "vaccinated_date"),
    purpose="survey",
    legal_basis="vaccine-law-art-49",
    requester=Party("140100", "li", "li.export"),
    recipient=Party("140100", "wu", "wu.export"),
    connection_certificate_sha256="ab" * 32,
    encryption_certificate_sha256="cd" * 32,
    tunnel="listen/127.0.0.12",
    row_cap=10_000,
    child_cap=5_000,
    not_before_us=START_US,
    not_after_us=START_US + 5 * 24 * HOUR,
    destroy_by=date(2026, 12, 31),
    format="csv",
)
REQUESTER = Caller(PLAN.requester, frozenset({"requester"}), provincial=False)
RECIPIENT = Caller(PLAN.recipient, frozenset({"recipient"}), provincial=False)
COUNTED = Given(counted=Counted(1_200, 400, 2))
# Who is in a planted file: `fetching.list_children`.
CHILDREN = [sha256(str(n).encode()).digest() for n in range(1, 391)]
BUILT = Given(built=Built(1_150, 390, 90_000, "12" * 32, "34" * 32, budget.digest(CHILDREN)))


def approver(name: str, account: str = "", organisation: str = "140000") -> Caller:
    """An approver of the province, by default under an account of his own name."""
    party = Party(organisation, name, account or f"{name}.approve")
    return Caller(party, frozenset({"approver"}), provincial=organisation == "140000")


def officer(name: str = "song") -> Caller:
    """A security officer of the province."""
    party = Party("140000", name, f"{name}.secure")
    return Caller(party, frozenset({"security_officer"}), provincial=True)


def approval(by: Caller) -> Given:
    """What comes with an approval; whether the signature is good is judged elsewhere."""
    who = by.party
    signed = Approval(who.organisation, who.name, who.account, "ef" * 32, b"signature", 0)
    return Given(approval=signed)


def step(
    ticket: Ticket, act: Act, by: Caller | None, at_us: int, given: Given | None = None
) -> Ticket:
    """Move a ticket with what belongs to the act."""
    if given is None:
        due = Given(due_us=RECALL_DUE_US)
        given = {Act.SUBMIT: COUNTED, Act.SEAL: BUILT, Act.RECALL: due}.get(act, Given())
        if act is Act.APPROVE and by is not None:
            given = approval(by)
    return moved(ticket, act, by, at_us, RULES, given)


def draft(**changes: Any) -> Ticket:
    """A draft of PLAN with these changes."""
    return opened("EX-00000001", replace(PLAN, **changes), START_US)


# How a ticket goes from a draft to its destruction, each step two minutes after the one before.
WAY: tuple[tuple[Act, Caller | None], ...] = (
    (Act.SUBMIT, REQUESTER),
    (Act.APPROVE, approver("zhao")),
    (Act.APPROVE, approver("qian")),
    (Act.BUILD, None),
    (Act.SEAL, None),
    (Act.FETCH, RECIPIENT),
    (Act.RECEIVE, RECIPIENT),
    (Act.RELEASE, RECIPIENT),
    (Act.ACKNOWLEDGE, RECIPIENT),
    (Act.DESTROY, RECIPIENT),
)


def along(steps: int, **changes: Any) -> Ticket:
    """A ticket after so many steps of WAY."""
    ticket = draft(**changes)
    for number, (act, by) in enumerate(WAY[:steps], 1):
        ticket = step(ticket, act, by, START_US + number * 120 * S)
    return ticket
