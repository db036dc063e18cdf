"""What the policy is told of a ticket: who is in it as registered now, not as they were at signing.

Signatures are verified anew, certificates and tunnel looked up; what is not found is told as not
good, and denies. A certificate counts where an authority of HOME issued it: a row of the register
alone proves nobody.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from gateway.errors import Refusal
from gateway.exports import approval, duties
from gateway.exports.plan import Party, Plan
from gateway.exports.recipient import RecipientError, key_of
from gateway.exports.ticket import Approval, Ticket
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
_IN_FORCE = (
    "SELECT encode(c.certificate_sha256, 'hex')"
    " FROM gateway.certificate AS c JOIN gateway.lineage AS l ON l.id = c.lineage"
    " WHERE (c.organisation, c.subject_kind, c.subject_name) = (%s, 'officer', %s)"
    " AND c.purpose = %s AND c.state = 1 AND l.locked_us IS NULL AND c.not_after_us > %s"
    # The one in use rather than the one that will replace it.
    " ORDER BY c.first_used_us IS NULL, c.not_after_us DESC LIMIT 1"
)
_PEERS = "SELECT peer FROM gateway.tunnel WHERE organisation = %s AND state = 1"


@dataclass(frozen=True, slots=True)
class Around:
    """What a ticket is judged in: the register, the divisions there are today, the trust domain.

    `static` are the tunnels that the settings name, each with its organisation; `issuers` are who
    may have issued a certificate.
    """

    registry: Registry
    divisions: Container[str]
    trust_domain: str
    static: Mapping[str, str]
    issuers: Issuers
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
    owed = await duties.owed(tx, plan.recipient.organisation, ticket.ticket_id, around.now_us)
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
        recalled_by=_recaller(ticket, around.trust_domain),
        unheld_by="" if ticket.unheld_by is None else person(ticket.unheld_by, around.trust_domain),
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


async def in_force(tx: Transaction, party: Party, purpose: register.Purpose, until_us: int) -> str:
    """Return the digest of a person's certificate that is valid past a moment, "" for none."""
    row = await tx.fetch_one(_IN_FORCE, (*party.person, purpose, until_us))
    return "" if row is None else str(row[0])


async def only_tunnel(tx: Transaction, organisation: str, around: Around) -> str:
    """Return the tunnel of an organisation where it has one and no other, "" otherwise."""
    found = [name for name, owner in around.static.items() if owner == organisation]
    found += [peer for (peer,) in await tx.fetch(_PEERS, (organisation,))]
    return found[0] if len(found) == 1 else ""


async def named(
    tx: Transaction, sha256: str, around: Around, at_us: int | None = None
) -> Named | None:
    """Return the certificate of a digest (lower hex), judged at a moment (None: now), or None.

    None, too, where the row holds another certificate than the one of that digest: it was signed
    for, not what somebody wrote beside it. Raises SettingsError, OSError as `Issuers`.
    """
    row = await tx.fetch_one(_CERTIFICATE, (bytes.fromhex(sha256),))
    if row is None:
        return None
    certificate = load_pem_x509_certificate(row[0].encode("ascii"))
    if certificate.fingerprint(SHA256()).hex() != sha256:
        return None
    use: Use = "encryption" if row[4] == register.ENCRYPTION else "client"
    moment_us = around.now_us if at_us is None else at_us
    return Named(certificate, around.issuers.subject(certificate, use, moment_us), *row[1:])


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

    Genuine is what a certificate of ours of that person signed, whatever became of it since.
    """
    party = Party(given.organisation, given.person, given.account)
    found = await named(tx, given.certificate_sha256, around, given.at_us)
    genuine = (
        found is not None
        and found.is_of(party, register.TLS)
        and _verifies(found.certificate, ticket, given)
    )
    stands = found is not None and genuine and found.state != REVOKED and not found.locked
    by = await _party(tx, party, ticket.plan, around)
    signed = ticket.plan_sha256 if stands else ""
    return request.Signed(by, signed, given.at_us, genuine=genuine)


def _verifies(certificate: Certificate, ticket: Ticket, given: Approval) -> bool:
    signed = approval.statement(ticket.ticket_id, ticket.plan_sha256)
    try:
        approval.verify(certificate, signed, given.signature)
    except Refusal:
        return False
    return True


def _encrypts(certificate: Certificate) -> bool:
    try:
        key_of(certificate)
    except RecipientError:
        return False
    return True


def _recaller(ticket: Ticket, trust_domain: str) -> str:
    """Return who called a file back, "" for nobody."""
    if ticket.recalled is None:
        return ""
    organisation, name = ticket.recalled.by
    return person(Party(organisation, name, ""), trust_domain)
