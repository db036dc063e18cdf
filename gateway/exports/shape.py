"""What a ticket is: values alone, and the bytes that stand for all of one. Pure."""

from dataclasses import asdict, dataclass

from gateway.exports.plan import Party, Plan
from gateway.exports.states import State
from gateway.tlog import leaf


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts: the person with the account used, its roles, and whether of the province itself."""

    party: Party
    roles: frozenset[str]
    provincial: bool


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's signature (ECDSA, DER) over the plan's digest, and by which certificate."""

    organisation: str
    person: str
    account: str
    certificate_sha256: str
    signature: bytes
    at_us: int

    @property
    def who(self) -> tuple[str, str]:
        """The person, whatever the account."""
        return self.organisation, self.person


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: how much, and the SHA-256 (lower hex) of the payload and of its manifest.

    And of the list of the children who are in it (`budget.digest`), "" in what was built before
    there was one.
    """

    rows: int
    children: int
    payload_bytes: int
    payload_sha256: str
    manifest_sha256: str
    children_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """The dry run's answer at the submission, rounded up, and how many approvals it takes."""

    rows: int
    children: int
    needed: int


@dataclass(frozen=True, slots=True)
class Recall:
    """Who called a file back, and until when it must be destroyed, whatever its plan says."""

    organisation: str
    person: str
    due_us: int

    @property
    def by(self) -> tuple[str, str]:
        """The person, whatever the account."""
        return self.organisation, self.person


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as it stands; times in microseconds. `version` grows with every move."""

    ticket_id: str
    plan: Plan
    plan_sha256: str
    state: State
    version: int
    created_us: int
    moved_us: int
    held: bool = False
    submitted_us: int | None = None
    counted: Counted | None = None
    approvals: tuple[Approval, ...] = ()
    # The first of the two who let a held ticket go on.
    unheld_by: Party | None = None
    built: Built | None = None
    # How often the header was handed out, and the sealed file fetched.
    releases: int = 0
    fetches: int = 0
    recalled: Recall | None = None

    @property
    def epoch(self) -> int:
        """What a stream compares before each chunk: it grows with every move."""
        return self.version

    @property
    def first(self) -> Approval | None:
        """The first approval."""
        return self.approvals[0] if self.approvals else None

    @property
    def second(self) -> Approval | None:
        """The second approval."""
        return self.approvals[1] if len(self.approvals) > 1 else None

    @property
    def canonical(self) -> bytes:
        """Everything above: what the leaf of every move has a MAC of (`seal`)."""
        return leaf.encode(_document(self))


@dataclass(frozen=True, slots=True)
class Given:
    """What comes with an act: a count at the submission, an approval, what was built.

    With a recall, until when the file must be destroyed.
    """

    counted: Counted | None = None
    approval: Approval | None = None
    built: Built | None = None
    due_us: int | None = None


NOTHING = Given()


def opened(ticket_id: str, plan: Plan, now_us: int) -> Ticket:
    """Return the draft of a plan."""
    return Ticket(ticket_id, plan, plan.sha256, State.DRAFT, 1, now_us, now_us)


def _document(ticket: Ticket) -> dict[str, leaf.Json]:
    """Return all of a ticket as canonical JSON has it; what is absent is left out."""
    document: dict[str, leaf.Json] = {
        "ticket_id": ticket.ticket_id,
        "plan_sha256": ticket.plan_sha256,
        "state": ticket.state.value,
        "version": ticket.version,
        "created_us": ticket.created_us,
        "moved_us": ticket.moved_us,
        "held": ticket.held,
        "releases": ticket.releases,
        "approvals": [_table(one) for one in ticket.approvals],
    }
    if ticket.submitted_us is not None:
        document["submitted_us"] = ticket.submitted_us
    if ticket.fetches:
        document["fetches"] = ticket.fetches
    for name in ("counted", "unheld_by", "built", "recalled"):
        value = getattr(ticket, name)
        if value is not None:
            document[name] = _table(value)
    return document


def _table(value: Approval | Built | Counted | Party | Recall) -> dict[str, leaf.Json]:
    return {
        name: one.hex() if isinstance(one, bytes) else one
        for name, one in asdict(value).items()
        if one != ""
    }
