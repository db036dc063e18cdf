"""Invitations to enrol: a one-time code for a named system or officer, and what becomes of it.

    invited ──(key shown, asks for a second officer)──▶ requested ──▶ approved ──┐
       └───────────────────────────(key shown)──────────────────────────────────┴▶ issued
    any of them ──▶ burnt (another key, too many attempts)      an open one ──▶ cancelled, expired

The code has 130 random bits, so its SHA-256 may be stored (ASVS 6.5.2: at least 112). It is shown
once; times are microseconds. Enrolling by one is `enrol`.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import IntEnum

from gateway.clock import US_PER_S
from gateway.config.policies import EnrolmentRules
from gateway.errors import Reason, Refusal, Violation, refuse
from gateway.pki import register
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
    " created_us, expires_us, inviter_organisation, inviter, spki_sha256, serial"
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
    " purpose, needs_approval, created_us, expires_us, inviter_organisation, inviter)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING"
)
_FRESH_CODE = (
    "UPDATE gateway.invitation SET code_sha256 = %s, expires_us = %s"
    " WHERE id = %s AND (inviter_organisation, inviter) = (%s, %s) AND state = 1"
)
_APPROVE = (
    "UPDATE gateway.invitation SET state = 3, approver_organisation = %s, approver = %s"
    " WHERE id = %s"
)
_CANCEL = "UPDATE gateway.invitation SET state = 6 WHERE id = %s"
_CANCEL_ALL = (
    "UPDATE gateway.invitation SET state = 6 WHERE state IN (1, 2, 3) AND organisation = %s"
    " AND (%s = '' OR (subject_kind, subject_name) = (%s, %s))"
)


@dataclass(frozen=True, slots=True)
class Officer:
    """An account that invites or approves."""

    organisation: str
    account: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """An invitation to make."""

    id: str
    bearer: Bearer
    purpose: Purpose
    needs_approval: bool
    inviter: Officer


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation without its code."""

    id: str
    bearer: Bearer
    purpose: Purpose
    state: State
    needs_approval: bool
    attempts: int
    created_us: int
    expires_us: int
    inviter: Officer
    spki_sha256: bytes | None
    serial: str | None

    def standing(self, now_us: int) -> State:
        """Return where it stands at this moment."""
        return State.EXPIRED if self.state in OPEN and now_us >= self.expires_us else self.state


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
    tx: Transaction, wanted: Wanted, code: str, rules: EnrolmentRules, now_us: int
) -> Invitation:
    """Invite a registered, active bearer by this code.

    Raises NOT_FOUND, ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED; ALREADY_EXISTS where the id is
    another invitation's.
    """
    await register.require_active(tx, wanted.bearer)
    bearer, inviter = wanted.bearer, wanted.inviter
    row = (
        *(wanted.id, code_sha256(code), bearer.organisation, bearer.kind, bearer.name),
        *(wanted.purpose, wanted.needs_approval, now_us, _expires_us(rules, now_us)),
        *(inviter.organisation, inviter.account),
    )
    if not await tx.execute(_INSERT, row):
        raise refuse(Reason.ALREADY_EXISTS)
    return await read(tx, wanted.id)


async def recode(
    tx: Transaction, wanted: Wanted, code: str, rules: EnrolmentRules, now_us: int
) -> Invitation:
    """Give an invitation that nobody has used a fresh code: the answer with the first was lost.

    Raises ALREADY_EXISTS once a key was shown for it, and for everybody but who invited: a second
    officer with the code could confirm a key of his own.
    """
    inviter = (wanted.inviter.organisation, wanted.inviter.account)
    values = (code_sha256(code), _expires_us(rules, now_us), wanted.id, *inviter)
    if not await tx.execute(_FRESH_CODE, values):
        raise refuse(Reason.ALREADY_EXISTS)
    return await read(tx, wanted.id)


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


async def approve(
    tx: Transaction, invitation_id: str, spki_sha256: bytes, approver: Officer, now_us: int
) -> Invitation:
    """Confirm the key that was shown, as a second officer; once more changes nothing.

    Raises SECOND_OFFICER_NEEDED for who invited, FIELD_INVALID for another fingerprint than the one
    shown, NOT_FOUND for an invitation that waits for nobody any more.
    """
    found = _found(await tx.fetch_one(_LOCKED, (invitation_id,)))
    standing = found.standing(now_us)
    if approver == found.inviter:
        raise refuse(Reason.SECOND_OFFICER_NEEDED)
    if standing not in (State.REQUESTED, State.APPROVED, State.ISSUED, State.INVITED):
        raise refuse(Reason.NOT_FOUND, metadata={"state": standing.name.lower()})
    if found.spki_sha256 != spki_sha256:
        raise _not_shown()
    if standing is State.REQUESTED:
        await tx.execute(_APPROVE, (approver.organisation, approver.account, invitation_id))
    return await read(tx, invitation_id)


async def cancel(tx: Transaction, invitation_id: str) -> Invitation:
    """Make an invitation void; a burnt or cancelled one stays so.

    Raises REVISION_STALE for one whose certificate was issued: that is revoked, not cancelled.
    """
    found = _found(await tx.fetch_one(_LOCKED, (invitation_id,)))
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
    number, organisation, kind, name, purpose, state, approval, attempts, *rest = row
    created_us, expires_us, inviter_organisation, inviter, spki, serial = rest
    return Invitation(
        number,
        Bearer(organisation, kind, name),
        purpose,
        State(state),
        approval,
        attempts,
        created_us,
        expires_us,
        Officer(inviter_organisation, inviter),
        None if spki is None else bytes(spki),
        serial,
    )


def _expires_us(rules: EnrolmentRules, now_us: int) -> int:
    return now_us + round(rules.code_hours * _HOUR_US)


def _not_shown() -> Refusal:
    english = "Not the fingerprint of the key that was shown for this invitation."
    chinese = "与该邀请所出示密钥的指纹不一致。"
    violation = Violation("spki_sha256", "FINGERPRINT", english, chinese)
    return refuse(Reason.FIELD_INVALID, violations=(violation,))
