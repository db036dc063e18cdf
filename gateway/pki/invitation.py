"""Invitations to enrol: a one-time code for a named system or officer, and what becomes of it.

    invited ──(key shown, asks for a second officer)──▶ requested ──▶ approved ──┐
       └───────────────────────────(key shown)──────────────────────────────────┴▶ issued
    any of them ──▶ burnt (another key, too many attempts)      an open one ──▶ cancelled, expired

An officer's always asks for a second officer (`confirmation`). A row counts by its proof (`proof`):
one that was written or changed by hand promises nothing. The code has 130 random bits, so its
SHA-256 may be stored (ASVS 6.5.2: at least 112). It is shown once; times are microseconds.
Enrolling by one is `enrol`.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field, replace
from enum import IntEnum

from gateway.clock import US_PER_S
from gateway.config.policies import EnrolmentRules
from gateway.errors import Reason, refuse
from gateway.pki import register
from gateway.pki.proof import MADE, Proofs
from gateway.pki.register import Bearer, Purpose
from gateway.registry.relations import USES_TUNNEL_OF
from gateway.store.database import Row, Transaction

# Crockford's base 32: no I, L, O, U, so that a code survives being read aloud and typed.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 26
# What a page of a list holds at most (design/contract.md, "Pagination").
MOST_INVITATIONS = 1000
_CODE = re.compile(f"[{ALPHABET}]{{{CODE_LENGTH}}}", re.ASCII)
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None})
# With spaces and dashes between all of them; longer texts are not looked at.
_CODE_MAX = 3 * CODE_LENGTH
_HOUR_US = 3_600 * US_PER_S


class State(IntEnum):
    """Where an invitation stands; the numbers of Invitation.State in the contract."""

    INVITED = 1
    REQUESTED = 2
    APPROVED = 3
    ISSUED = 4
    BURNT = 5
    CANCELLED = 6
    # Never stored: an open one whose time has passed.
    EXPIRED = 7


OPEN = frozenset({State.INVITED, State.REQUESTED, State.APPROVED})

_COLUMNS = (
    "id, organisation, subject_kind, subject_name, purpose, state, needs_approval, attempts,"
    " created_us, expires_us, inviter_organisation, inviter, inviter_person, code_sha256, proof,"
    " spki_sha256, serial, approver_organisation, approver, approver_person, confirmation"
)
# Constants only, here and below: no value ever stands in the text.
_LOCKED = f"SELECT {_COLUMNS} FROM gateway.invitation WHERE id = %s FOR UPDATE"  # noqa: S608
_READ = f"SELECT {_COLUMNS} FROM gateway.invitation WHERE id = %s"  # noqa: S608
# One look for an unknown code and for another organisation's: nobody learns the difference.
_BY_CODE = (
    f"SELECT {_COLUMNS} FROM gateway.invitation AS i"  # noqa: S608
    " WHERE code_sha256 = %s AND (organisation = %s OR EXISTS (SELECT FROM gateway.relation AS r"
    " WHERE r.organisation = i.organisation AND r.relative = %s AND r.kind = %s)) FOR UPDATE OF i"
)
_PAGE = (
    f"SELECT {_COLUMNS} FROM gateway.invitation WHERE (created_us, id) < (%s, %s)"  # noqa: S608
    " AND (%s = '' OR organisation = %s) ORDER BY created_us DESC, id DESC LIMIT %s"
)
_INSERT = (
    "INSERT INTO gateway.invitation (id, code_sha256, organisation, subject_kind, subject_name,"
    " purpose, needs_approval, created_us, expires_us, inviter_organisation, inviter,"
    " inviter_person, proof)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING"
)
_FRESH_CODE = (
    "UPDATE gateway.invitation SET code_sha256 = %s, expires_us = %s, proof = %s WHERE id = %s"
)
_CANCEL = "UPDATE gateway.invitation SET state = 6 WHERE id = %s"
_CANCEL_ALL = (
    "UPDATE gateway.invitation SET state = 6 WHERE state IN (1, 2, 3) AND organisation = %s"
    " AND (%s = '' OR (subject_kind, subject_name) = (%s, %s))"
)


@dataclass(frozen=True, slots=True)
class Officer:
    """Who invites or confirms: an account, and the person whose certificate it came with."""

    organisation: str
    account: str
    person: str

    def is_person(self, organisation: str, name: str) -> bool:
        """Whether this is the person of that name, under whatever account."""
        return (self.organisation, self.person) == (organisation, name)


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms one is invited: the policy's rules, and what proves the row."""

    rules: EnrolmentRules
    proofs: Proofs


@dataclass(frozen=True, slots=True)
class Wanted:
    """An invitation to make; an officer's needs approval whatever is wanted."""

    id: str
    bearer: Bearer
    purpose: Purpose
    needs_approval: bool
    inviter: Officer


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation, with its code's digest."""

    id: str
    bearer: Bearer
    purpose: Purpose
    state: State
    needs_approval: bool
    attempts: int
    created_us: int
    expires_us: int
    inviter: Officer
    code_sha256: bytes = field(repr=False)
    proof: bytes | None = field(default=None, repr=False)
    spki_sha256: bytes | None = None
    serial: str | None = None
    approver: Officer | None = None
    confirmation: bytes | None = field(default=None, repr=False)

    def standing(self, now_us: int) -> State:
        """Return where it stands at this moment."""
        return State.EXPIRED if self.state in OPEN and now_us >= self.expires_us else self.state

    @property
    def needs_second(self) -> bool:
        """Whether a second officer must confirm the key: of an officer whatever the row says."""
        return self.needs_approval or self.bearer.kind == "officer"

    @property
    def stated(self) -> tuple[str | int, ...]:
        """What whoever made it stands for: all but what becomes of it."""
        bearer, inviter = self.bearer, self.inviter
        return (
            *(self.id, self.code_sha256.hex(), bearer.organisation, bearer.kind, bearer.name),
            *(self.purpose, self.needs_approval, self.created_us, self.expires_us),
            *(inviter.organisation, inviter.account, inviter.person),
        )


def new_code() -> str:
    """Return a fresh code of 26 characters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def code_sha256(text: str) -> bytes | None:
    """Return the digest of a code as a person typed it; None when it cannot be one."""
    if len(text) > _CODE_MAX or not text.isascii():
        return None
    code = text.upper().translate(_READ_AS)
    return hashlib.sha256(code.encode()).digest() if _CODE.fullmatch(code) else None


async def invite(
    tx: Transaction, wanted: Wanted, code: str, terms: Terms, now_us: int
) -> Invitation:
    """Invite a registered, active bearer by this code.

    Raises NOT_FOUND, ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED; ALREADY_EXISTS where the id is
    another invitation's.
    """
    await register.require_active(tx, wanted.bearer)
    needs_approval = wanted.needs_approval or wanted.bearer.kind == "officer"
    columns: Row = (
        *(wanted.id, wanted.bearer, wanted.purpose, State.INVITED, needs_approval, 0),
        *(now_us, _expires_us(terms.rules, now_us), wanted.inviter, _digest(code)),
    )
    made = Invitation(*columns)
    number, code_sha256, *stated = made.stated
    row = (number, made.code_sha256, *stated, terms.proofs.of(MADE, number, code_sha256, *stated))
    if not await tx.execute(_INSERT, row):
        raise refuse(Reason.ALREADY_EXISTS)
    return await read(tx, wanted.id)


async def recode(
    tx: Transaction, wanted: Wanted, code: str, terms: Terms, now_us: int
) -> Invitation:
    """Give an invitation that nobody has used a fresh code: the answer with the first was lost.

    Raises ALREADY_EXISTS once a key was shown for it, and for everybody but who invited: a second
    officer with the code could confirm a key of his own.
    """
    found = await locked(tx, wanted.id)
    unused = found.state is State.INVITED and found.inviter == wanted.inviter
    if not unused or not proven(found, terms.proofs):
        raise refuse(Reason.ALREADY_EXISTS)
    expires_us = _expires_us(terms.rules, now_us)
    made = replace(found, code_sha256=_digest(code), expires_us=expires_us)
    proof = terms.proofs.of(MADE, *made.stated)
    await tx.execute(_FRESH_CODE, (made.code_sha256, expires_us, proof, found.id))
    return await read(tx, wanted.id)


def proven(found: Invitation, proofs: Proofs) -> bool:
    """Return whether somebody made this invitation through a door, just as it is."""
    return proofs.fits(found.proof, MADE, *found.stated)


async def read(tx: Transaction, invitation_id: str) -> Invitation:
    """Return an invitation; raises NOT_FOUND."""
    return _found(await tx.fetch_one(_READ, (invitation_id,)))


async def find(tx: Transaction, invitation_id: str) -> Invitation | None:
    """Return an invitation, or None."""
    row = await tx.fetch_one(_READ, (invitation_id,))
    return None if row is None else _found(row)


async def by_code(tx: Transaction, sha256: bytes, organisation: str) -> Invitation | None:
    """Return the invitation of a code, its row locked; None without one.

    It is for the tunnel's organisation, or for one that a registered relation lets in by it.
    """
    given = (sha256, organisation, organisation, USES_TUNNEL_OF)
    row = await tx.fetch_one(_BY_CODE, given)
    return None if row is None else _found(row)


async def locked(tx: Transaction, invitation_id: str) -> Invitation:
    """Return an invitation, its row locked; raises NOT_FOUND."""
    return _found(await tx.fetch_one(_LOCKED, (invitation_id,)))


async def cancel(tx: Transaction, invitation_id: str) -> Invitation:
    """Make an invitation void; a burnt or cancelled one stays so.

    Raises REVISION_STALE for one whose certificate was issued: that is revoked, not cancelled.
    """
    found = await locked(tx, invitation_id)
    if found.state is State.ISSUED:
        raise refuse(Reason.REVISION_STALE, metadata={"state": "issued"})
    if found.state in OPEN:
        await tx.execute(_CANCEL, (invitation_id,))
    return await read(tx, invitation_id)


async def cancel_all(tx: Transaction, organisation: str, bearer: Bearer | None = None) -> int:
    """Make the open invitations of an organisation void, or of one bearer; return how many."""
    kind, name = ("", "") if bearer is None else (bearer.kind, bearer.name)
    return await tx.execute(_CANCEL_ALL, (organisation, kind, kind, name))


async def page(
    tx: Transaction, organisation: str, before: tuple[int, str], limit: int
) -> list[Invitation]:
    """Return at most `limit` invitations older than (created_us, id), newest first.

    Organisation "" means all of them.
    """
    values = (*before, organisation, organisation, min(limit, MOST_INVITATIONS))
    return [_found(row) for row in await tx.fetch(_PAGE, values)]


def _found(row: Row | None) -> Invitation:
    if row is None:
        raise refuse(Reason.NOT_FOUND)
    approver = None if row[17] is None else Officer(*row[17:20])
    columns: Row = (
        *(row[0], Bearer(*row[1:4]), row[4], State(row[5]), *row[6:10], Officer(*row[10:13])),
        *(bytes(row[13]), _bytes(row[14]), _bytes(row[15]), row[16], approver, _bytes(row[20])),
    )
    return Invitation(*columns)


def _bytes(column: bytes | None) -> bytes | None:
    return None if column is None else bytes(column)


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


def _expires_us(rules: EnrolmentRules, now_us: int) -> int:
    return now_us + round(rules.code_hours * _HOUR_US)
