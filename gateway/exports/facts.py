"""What the policy is told of a ticket: who is in it as registered now, not as they were at signing.

Signatures are verified anew, certificates and tunnel looked up; what is not found is told as not
good, and denies. A certificate counts where an authority of HOME issued it: a row of the register
alone proves nobody.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from gateway.exports import approval, duties, ticket_rows
from gateway.exports.approval import Standing
from gateway.exports.plan import Party, Plan
from gateway.exports.recipient import RecipientError, key_of
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import ENDED, OUT, Approval, Ticket
from gateway.identity import accounts
from gateway.names import Subject
from gateway.pki import register
from gateway.pki.defect import ACTIVE, REVOKED
from gateway.pki.issuers import Issuers, Use
from gateway.policy import fields, request
from gateway.registry.organisations import Kind
from gateway.registry.snapshot import Registry
from gateway.store.database import Transaction

_CERTIFICATE = (
    "SELECT c.pem, c.organisation, c.subject_kind, c.subject_name, c.purpose, c.state,"
    " c.not_after_us, l.locked_us IS NOT NULL"
    " FROM gateway.certificate AS c JOIN gateway.lineage AS l ON l.id = c.lineage"
    " WHERE c.certificate_sha256 = %s"
)
_TUNNEL = "SELECT organisation FROM gateway.tunnel WHERE peer = %s AND state = 1"


@dataclass(frozen=True, slots=True)
class Around:
    """What a ticket is judged in: the register, the divisions there are today, the trust domain.

    `static` are the tunnels that the settings name, each with its organisation; `issuers` are who
    may have issued a certificate, `former` the same with those that were retired since. Without a
    `seal` nothing is known to be owed: past decisions are tried both ways (`replaying`).
    """

    registry: Registry
    divisions: Container[str]
    trust_domain: str
    static: Mapping[str, str]
    issuers: Issuers
    former: Issuers
    seal: TicketSeal | None
    now_us: int


@dataclass(frozen=True, slots=True)
class Named:
    """A certificate as the register has it now.

    `subject` is whom an authority of ours issued it to, None where none did.
    """

    certificate: Certificate
    subject: Subject | None
    organisation: str
    kind: str
    name: str
    purpose: int
    state: int
    not_after_us: int
    locked: bool

    def is_of(self, party: Party, purpose: int) -> bool:
        """Tell whether it was issued to this person, for this purpose."""
        whose = (party.organisation, "officer", party.name)
        issued = self.subject
        return (
            issued is not None
            and (issued.organisation, issued.kind, issued.name) == whose
            and (self.organisation, self.kind, self.name, self.purpose) == (*whose, purpose)
        )


async def of(
    tx: Transaction, ticket: Ticket, around: Around, planned: tuple[int, int] | None = None
) -> request.Ticket:
    """Return the facts of a ticket now; `planned` is a count that stands in no ticket yet."""
    plan, counted, built = ticket.plan, ticket.counted, ticket.built
    if planned is None and counted is not None:
        planned = (counted.rows, counted.children)
    gone = fields.withdrawn(plan.dataset, plan.columns)
    domain, owed = around.trust_domain, await _owed(tx, ticket, around)
    return request.Ticket(
        ticket_id=ticket.ticket_id,
        state=ticket.state.value,
        held=ticket.held,
        plan_sha256=ticket.plan_sha256,
        province=province(around.registry),
        requester=await _party(tx, plan.requester, plan, around),
        recipient=await _party(tx, plan.recipient, plan, around),
        recipient_certificate=plan.connection_certificate_sha256,
        recipient_tunnel=plan.tunnel,
        individual=plan.dataset in fields.INDIVIDUAL,
        divisions=frozenset(plan.divisions),
        purpose=plan.purpose,
        legal_basis=plan.legal_basis,
        classes=fields.classes(plan.dataset, [one for one in plan.columns if one not in gone]),
        withdrawn=gone,
        row_cap=plan.row_cap,
        child_cap=plan.child_cap,
        not_before_us=plan.not_before_us,
        not_after_us=plan.not_after_us,
        certificates_good=not await bad_certificates(tx, plan, around),
        tunnel_active=await tunnel_active(tx, plan, around),
        overdue=bool(owed),
        owed=owed,
        recalled_by="" if (by := ticket.recalled) is None else person(Party(*by.by, ""), domain),
        unheld_by="" if ticket.unheld_by is None else person(ticket.unheld_by, domain),
        approvals_needed=2 if counted is None else max(2, counted.needed),
        approvals=tuple([await _signed(tx, ticket, one, around) for one in ticket.approvals]),
        planned=planned,
        built=None if built is None else (built.rows, built.children),
    )


def province(registry: Registry) -> str:
    """Return the code of the province's organisation, "" where there is none."""
    found = (one.code for one in registry.organisations.values() if one.kind == Kind.PROVINCE)
    return next(found, "")


def person(party: Party, trust_domain: str) -> str:
    """Return a person as the policy names one: by the certificate's subject."""
    return str(Subject(trust_domain, party.organisation, "officer", party.name))


async def bad_certificates(tx: Transaction, plan: Plan, around: Around) -> Sequence[str]:
    """Return the plan's fields that name a certificate which does not serve the recipient.

    Each is registered, issued by an authority of ours, the recipient's, of its purpose, in force
    and longer valid than the window.
    """
    asked = (
        ("connection_certificate_sha256", register.TLS),
        ("encryption_certificate_sha256", register.ENCRYPTION),
    )
    bad = []
    for field, purpose in asked:
        found = await named(tx, getattr(plan, field), around)
        serves = (
            found is not None
            and found.is_of(plan.recipient, purpose)
            and found.state == ACTIVE
            and not found.locked
            and found.not_after_us > plan.not_after_us
            and (purpose == register.TLS or _encrypts(found.certificate))
        )
        if not serves:
            bad.append(field)
    return bad


async def tunnel_active(tx: Transaction, plan: Plan, around: Around) -> bool:
    """Return whether the plan's tunnel is there, and one that the recipient may come by."""
    owner = around.static.get(plan.tunnel)
    if owner is None:
        rows = await tx.fetch(_TUNNEL, (plan.tunnel,))
        owner = rows[0][0] if len(rows) == 1 else None
    return owner is not None and around.registry.may_use_tunnel(plan.recipient.organisation, owner)


async def named(
    tx: Transaction, sha256: str, around: Around, at_us: int = 0, leaf: int | None = None
) -> Named | None:
    """Return the certificate of a digest (lower hex), judged at a moment (0: now), or None.

    With a `leaf`, by retired authorities too, for what that one told. None, too, where the row
    holds another certificate than the one of that digest, or none that can be read: it was signed
    for, not what somebody wrote beside it. Raises SettingsError, OSError as `Issuers`.
    """
    row = await tx.fetch_one(_CERTIFICATE, (bytes.fromhex(sha256),))
    if row is None:
        return None
    try:
        certificate = load_pem_x509_certificate(str(row[0]).encode("ascii"))
    except ValueError:
        return None
    if certificate.fingerprint(SHA256()).hex() != sha256:
        return None
    use: Use = "encryption" if row[4] == register.ENCRYPTION else "client"
    moment_us = at_us or around.now_us
    if leaf is None:
        subject = around.issuers.subject(certificate, use, moment_us)
    else:
        subject = around.former.subject(certificate, use, moment_us, leaf)
    found = Named(certificate, subject, *row[1:])
    # What HOME knows to be revoked no row puts in force again.
    return replace(found, state=REVOKED) if around.issuers.revoked.names(certificate) else found


async def standings(tx: Transaction, ticket: Ticket, around: Around) -> tuple[Standing, ...]:
    """Return what each approval of a ticket is, for who looks at it."""
    return tuple([(await _judged(tx, ticket, one, around))[0] for one in ticket.approvals])


def covers(organisation: str, plan: Plan, around: Around) -> frozenset[str]:
    """Return the plan's divisions that lie in an organisation's own territory today (GB/T 2260).

    A division that was merged into another since is in nobody's.
    """
    found = around.registry.organisation(organisation)
    if found is None or found.kind == Kind.OTHER:
        return frozenset()
    own = organisation[:6].removesuffix("00").removesuffix("00")
    return frozenset(
        one for one in plan.divisions if one.startswith(own) and one in around.divisions
    )


async def _owed(tx: Transaction, ticket: Ticket, around: Around) -> str:
    """Return which other ticket the recipient's organisation owes, "" for none."""
    whose = ticket.plan.recipient.organisation
    if around.seal is None:
        return ""
    return await duties.owed(tx, whose, ticket.ticket_id, around.now_us, around.seal)


async def _party(tx: Transaction, party: Party, plan: Plan, around: Around) -> request.Party:
    account = await accounts.read(tx, party.organisation, party.account)
    registry, code = around.registry, party.organisation
    bound = account is not None and (account.subject_kind, account.subject_name) == (
        "officer",
        party.name,
    )
    found = registry.organisation(code)
    return request.Party(
        person=person(party, around.trust_domain),
        organisation=code,
        active=account is not None
        and bound
        and account.active
        and registry.organisation_active(code)
        and registry.system_active(code, "officer", party.name),
        roles=frozenset() if account is None else frozenset(account.roles),
        covers=covers(code, plan, around),
        external=found is None or found.kind == Kind.OTHER,
    )


async def _signed(
    tx: Transaction, ticket: Ticket, given: Approval, around: Around
) -> request.Signed:
    """Return an approval with the plan that its signature stands for, "" where it does not.

    Genuine is what a certificate of ours of that person signed, whatever became of it since, by an
    authority in force. By one that was retired since it stands where the file is out: what is owed
    of it is owed; but genuine it is not: nothing goes out by it, nor once more.
    """
    standing, found = await _judged(tx, ticket, given, around)
    genuine, over = standing is Standing.GENUINE, ticket.state in OUT | ENDED
    counts = genuine or (standing is Standing.RETIRED and over)
    stands = found is not None and counts and found.state != REVOKED and not found.locked
    party = Party(given.organisation, given.person, given.account)
    by = await _party(tx, party, ticket.plan, around)
    signed = ticket.plan_sha256 if stands else ""
    return request.Signed(by, signed, given.at_us, genuine=genuine)


async def _judged(
    tx: Transaction, ticket: Ticket, given: Approval, around: Around
) -> tuple[Standing, Named | None]:
    """Return what an approval is, and by which certificate."""
    party = Party(given.organisation, given.person, given.account)
    found = await named(tx, given.certificate_sha256, around, given.at_us)
    told = approval.statement(ticket.ticket_id, ticket.plan_sha256)
    if found is None or not approval.signed_by(found.certificate, told, given.signature):
        return Standing.FALSE, None
    if found.is_of(party, register.TLS):
        return Standing.GENUINE, found
    leaf = await ticket_rows.approved_by_leaf(tx, ticket.ticket_id)
    if leaf is not None:
        found = await named(tx, given.certificate_sha256, around, given.at_us, leaf)
        if found is not None and found.is_of(party, register.TLS):
            return Standing.RETIRED, found
    return Standing.FALSE, None


def _encrypts(certificate: Certificate) -> bool:
    try:
        key_of(certificate)
    except RecipientError:
        return False
    return True
