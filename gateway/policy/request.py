"""What is asked of the policy: hashable values of established facts, no caller's text."""

from dataclasses import dataclass
from typing import Literal

# The resource types of policies/cedar/schema.cedarschema.
ResourceKind = Literal[
    "UnitRecords",
    "Evidence",
    "Register",
    "AuditLog",
    "Checkpoints",
    "Session",
    "ExportTicket",
    "ExportTickets",
]
Strength = Literal["weak", "proven"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: organisation, the chain from it (first) up to the province, roles, origin."""

    organisation: str
    chain: tuple[str, ...]
    roles: frozenset[str]
    origin: Strength


@dataclass(frozen=True, slots=True)
class Party:
    """A person who has a part in a ticket, as registered at this moment and not at the signing.

    `person` is the certificate's subject (SPIFFE id): one person, however many accounts. `active`:
    account, subject and organisation are. `covers`: those of the plan's divisions that lie in the
    organisation's own territory.
    """

    person: str
    organisation: str
    active: bool
    roles: frozenset[str]
    covers: frozenset[str] = frozenset()
    external: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """An approval: by whom, and the digest (hex) of the plan that the signature was verified over.

    "" where the signature does not verify now. `genuine`: it was that person's when it was made.
    """

    by: Party
    plan_sha256: str
    at_us: int
    genuine: bool = True


@dataclass(frozen=True, slots=True)
class Ticket:
    """The facts of an export ticket; None is a fact that is not established, and denies.

    `state` as in `exports.ticket`; `province` is the province's organisation; `individual`: records
    of children, not stock; `classes` as `fields.classes` gives them, without the
    columns that are `withdrawn`, which no policy asks for. `planned` and `built`: rows
    and distinct children. `certificates_good`: both certificates of the recipient are registered,
    not revoked, of their purpose, and live past the window. `overdue`: the recipient has not
    attested a destruction that is due, of the ticket `owed`, which no policy asks for.
    `recalled_by` is the person who called this file back, `unheld_by` the first of the two who
    unfreeze it, each "" where nobody did.
    """

    ticket_id: str
    state: str
    held: bool
    plan_sha256: str
    province: str
    requester: Party
    recipient: Party
    recipient_certificate: str
    recipient_tunnel: str
    individual: bool
    divisions: frozenset[str]
    purpose: str
    legal_basis: str
    classes: frozenset[str]
    row_cap: int
    child_cap: int
    not_before_us: int
    not_after_us: int
    certificates_good: bool
    tunnel_active: bool
    overdue: bool
    withdrawn: tuple[str, ...] = ()
    approvals_needed: int = 2
    approvals: tuple[Signed, ...] = ()
    planned: tuple[int, int] | None = None
    built: tuple[int, int] | None = None
    owed: str = ""
    recalled_by: str = ""
    unheld_by: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for. `chain`: its organisation and those above.

    Empty when none is registered, which denies. `unit` is the unit's code for UnitRecords, else "";
    `uploaders` the organisations with a delegated duty for it; `ticket` of an ExportTicket, whose
    chain is its requester's.
    """

    kind: ResourceKind
    chain: tuple[str, ...] = ()
    unit: str = ""
    uploaders: frozenset[str] = frozenset()
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class Calling:
    """The circumstances that tickets are judged by: who is at the other end of this call, and when.

    `person` as in `Party`, "" for the gateway itself; `certificate_sha256` (hex) and `tunnel` (the
    peer's name) are the connection's. `confirmed`: the password was shown lately. `overspent`: the
    budgets that this release would exceed, by name; None where nobody counted, which denies.
    """

    person: str
    certificate_sha256: str
    tunnel: str
    confirmed: bool
    now_us: int
    overspent: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances: is the password current, do the settings take a weak origin.

    `system_in_grace`: a system's password ended, and lately enough for its uploads to go on.
    `calling`: for an ExportTicket only.
    """

    password_current: bool
    weak_origin_allowed: bool
    system_in_grace: bool = False
    calling: Calling | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """May this actor do this action (the rpc's name) to this resource under these circumstances."""

    action: str
    actor: Actor
    resource: Resource
    context: Context
