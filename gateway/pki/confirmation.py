"""The second officer: whoever confirms the very key that was shown for an invitation.

Each certificate of an officer waits for it, whatever was asked (decision 0023): nobody becomes one
by a single person's hand. Persons count, not accounts: it is neither who invited nor who is to bear
the certificate. Its proof stands in the row, and the certificate is issued by that alone.
"""

from dataclasses import dataclass

from gateway.errors import Reason, Refusal, Violation, refuse
from gateway.pki import invitation
from gateway.pki.invitation import Invitation, Officer, State
from gateway.pki.proof import CONFIRMED, Proofs
from gateway.store.database import Transaction

# Who confirms by `gateway certificate confirm`: root, where there is no second officer (yet).
HOST = Officer("host", "host", "host")

_CONFIRM = (
    "UPDATE gateway.invitation SET state = 3, approver_organisation = %s, approver = %s,"
    " approver_person = %s, confirmation = %s WHERE id = %s"
)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Which key, of which invitation, and who confirms it."""

    invitation_id: str
    spki_sha256: bytes
    officer: Officer


async def confirm(tx: Transaction, wanted: Confirmation, proofs: Proofs, now_us: int) -> Invitation:
    """Confirm the key that was shown, as a second officer; once more by him changes nothing.

    Raises SECOND_OFFICER_NEEDED for who invited or is invited, FIELD_INVALID for another
    fingerprint than the one shown, NOT_FOUND for an invitation that waits for nobody any more, or
    that nobody made, ALREADY_EXISTS where another officer confirmed it.
    """
    found = await invitation.locked(tx, wanted.invitation_id)
    standing = found.standing(now_us)
    if not invitation.proven(found, proofs):
        raise refuse(Reason.NOT_FOUND)
    if not _is_another(wanted.officer, found):
        raise refuse(Reason.SECOND_OFFICER_NEEDED)
    if standing not in (State.REQUESTED, State.APPROVED, State.ISSUED, State.INVITED):
        raise refuse(Reason.NOT_FOUND, metadata={"state": standing.name.lower()})
    if found.spki_sha256 != wanted.spki_sha256:
        raise _not_shown()
    if standing is State.REQUESTED:
        officer = wanted.officer
        proof = proofs.of(CONFIRMED, *_stated(found, wanted.spki_sha256, officer))
        who = (officer.organisation, officer.account, officer.person)
        await tx.execute(_CONFIRM, (*who, proof, found.id))
    elif found.approver is None or not wanted.officer.is_person(
        found.approver.organisation, found.approver.person
    ):
        # Nothing is done in this one's name, and no leaf says so.
        raise refuse(Reason.ALREADY_EXISTS)
    return await invitation.read(tx, found.id)


def stands(found: Invitation, spki_sha256: bytes, proofs: Proofs) -> bool:
    """Return whether another officer confirmed this key for a proven invitation."""
    officer = found.approver
    if officer is None or found.state is not State.APPROVED or not _is_another(officer, found):
        return False
    return proofs.fits(found.confirmation, CONFIRMED, *_stated(found, spki_sha256, officer))


def _is_another(officer: Officer, found: Invitation) -> bool:
    """Whether an officer is neither who invited nor who is invited."""
    bearer = found.bearer
    himself = bearer.kind == "officer" and officer.is_person(bearer.organisation, bearer.name)
    inviter = found.inviter
    return not himself and not officer.is_person(inviter.organisation, inviter.person)


def _stated(found: Invitation, spki_sha256: bytes, officer: Officer) -> tuple[str, ...]:
    made = b"" if found.proof is None else found.proof
    who = (officer.organisation, officer.account, officer.person)
    return (made.hex(), spki_sha256.hex(), *who)


def _not_shown() -> Refusal:
    english = "Not the fingerprint of the key that was shown for this invitation."
    chinese = "与该邀请所出示密钥的指纹不一致。"
    violation = Violation("spki_sha256", "FINGERPRINT", english, chinese)
    return refuse(Reason.FIELD_INVALID, violations=(violation,))
