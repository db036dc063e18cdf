"""Enrolment: what one request with a code and a certificate request leads to, in this order.

    1 the code is known, for this tunnel's organisation, and in its time      CODE_INVALID
      and its row is as it was made, and was not put back                     CODE_INVALID, told
    2 it is not burnt                                                         CODE_BURNT
    3 the request is good: proof of possession, key, not one of ours          FIELD_INVALID, counted
    4 no other key was shown for the code                                     CODE_BURNT, burns it
    5 the code was used with this very key: the same certificate again, unless it was taken back
                                        CERT_REVOKED, CERT_SUPERSEDED, LINEAGE_LOCKED
    6 nobody ever had a certificate for the key                               FIELD_INVALID, counted
    7 a second officer has confirmed the key, of officers always              APPROVAL_PENDING
    8 organisation and bearer are active                        ORGANISATION_SUSPENDED and the like
    9 linted, signed, judged by both verifiers, entered in the register with a new lineage

All of it runs in one transaction that holds the invitation's row. What a refusal leaves behind (a
count, a burnt code, a key that waits) is committed with the refusal's leaf: so `enrol` returns a
`Denied` where it changed something, and does not raise.
"""

from dataclasses import dataclass

from gateway.errors import Reason, Refusal, refuse
from gateway.pki import confirmation, invitation, keys, register
from gateway.pki.invitation import Invitation, State
from gateway.pki.issuer import Issuer
from gateway.pki.register import Issued
from gateway.store.database import Transaction

# Told in the leaf where a code is burnt: somebody else may hold it (docs/operations.md).
ALERT_BURNT = "code-burnt"
# Somebody changes rows by hand; whoever came with the code learns no more than of any other.
ALERT_TAMPERED = "invitation-tampered"

_REQUESTED = "UPDATE gateway.invitation SET state = 2, spki_sha256 = %s WHERE id = %s"
_ISSUED = "UPDATE gateway.invitation SET state = 4, spki_sha256 = %s, serial = %s WHERE id = %s"
_FAILED = "UPDATE gateway.invitation SET attempts = attempts + 1 WHERE id = %s RETURNING attempts"
_BURN = "UPDATE gateway.invitation SET state = 5, serial = NULL WHERE id = %s"
# Whether the log tells that it was cancelled, burnt, or led to a certificate.
_ENDED = "SELECT gateway.invitation_ended(%s)"


@dataclass(frozen=True, slots=True)
class Request:
    """A code as it was typed, the tunnel's organisation, and a certificate request."""

    code: str
    organisation: str
    csr: bytes


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The certificate of an invitation, issued now or before."""

    invitation: Invitation
    issued: Issued


@dataclass(frozen=True, slots=True)
class Denied:
    """A refusal, with the invitation it is about once the code was known, and the leaf's alert."""

    refusal: Refusal
    invitation: Invitation | None = None
    alert: str = ""


async def enrol(issuer: Issuer, tx: Transaction, request: Request) -> Enrolled | Denied:
    """Issue the certificate that a code promises.

    Raises what leaves nothing behind: ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED, NOT_FOUND.
    """
    await register.issuing(tx)
    code = invitation.code_sha256(request.code)
    found = None if code is None else await invitation.by_code(tx, code, request.organisation)
    if found is None or _is_over(found, issuer.clock.now_us()):  # 1
        return Denied(refuse(Reason.CODE_INVALID))
    if not invitation.proven(found, issuer.proofs) or await _was_put_back(tx, found):
        return _tampered(found)
    if found.state is State.BURNT:  # 2
        return Denied(refuse(Reason.CODE_BURNT), found)
    try:
        key = issuer.key_of(request.csr, found.purpose)  # 3
    except Refusal as refusal:
        return await _failed(issuer, tx, found, refusal)
    spki = keys.spki_sha256(key)
    if found.spki_sha256 is not None and found.spki_sha256 != spki:  # 4
        await tx.execute(_BURN, (found.id,))
        return Denied(refuse(Reason.CODE_BURNT), found, ALERT_BURNT)
    if found.serial is not None:  # 5
        return await _again(tx, found, found.serial)
    try:
        await register.require_new_key(tx, spki)  # 6
    except Refusal as refusal:
        return await _failed(issuer, tx, found, refusal)
    if found.needs_second and found.state is not State.APPROVED:  # 7
        await tx.execute(_REQUESTED, (spki, found.id))
        shown = {"spkiSha256": spki.hex()}
        return Denied(refuse(Reason.APPROVAL_PENDING, metadata=shown), found)
    if found.needs_second and not confirmation.stands(found, spki, issuer.proofs):
        return _tampered(found)
    await register.require_active(tx, found.bearer)  # 8
    made = issuer.issue(found.bearer, key, found.purpose)  # 9
    subject, by = issuer.subject(found.bearer), made.issuer_sha256
    issued = await register.insert(tx, made.certificate, subject, by, purpose=found.purpose)
    await tx.execute(_ISSUED, (spki, issued.serial, found.id))
    return Enrolled(found, issued)


async def _again(tx: Transaction, found: Invitation, serial: str) -> Enrolled | Denied:
    """Answer a lost reply; who bears what was taken back learns it here, not at the next door."""
    row = await register.read(tx, serial)
    defect = None if row is None else row.life.registered()
    if defect is not None:
        return Denied(refuse(defect), found)
    return Enrolled(found, await register.issued(tx, serial))


async def _was_put_back(tx: Transaction, found: Invitation) -> bool:
    """Whether the log knows the end of an invitation whose row knows none."""
    if found.state is State.BURNT or found.serial is not None:
        return False
    [(ended,)] = await tx.fetch(_ENDED, (found.id,))
    return bool(ended)


def _tampered(found: Invitation) -> Denied:
    return Denied(refuse(Reason.CODE_INVALID), found, ALERT_TAMPERED)


def _is_over(found: Invitation, now_us: int) -> bool:
    # The code of an issued certificate answers a lost reply within its own life, and no longer.
    return found.state is State.CANCELLED or now_us >= found.expires_us


async def _failed(issuer: Issuer, tx: Transaction, found: Invitation, refusal: Refusal) -> Denied:
    """Count a wrong request against the code; the last one that it bears burns it."""
    [(attempts,)] = await tx.fetch(_FAILED, (found.id,))
    if attempts < issuer.rules.enrolment.attempts:
        return Denied(refusal, found)
    await tx.execute(_BURN, (found.id,))
    return Denied(refusal, found, ALERT_BURNT)
