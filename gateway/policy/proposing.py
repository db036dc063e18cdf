"""A bundle on its way into force: proposed by one, signed by two officers of the province.

What is entered here puts nothing in force by itself: whoever reads it verifies it (`activation`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.clock import US_PER_S
from gateway.config.activation import ActivationRules
from gateway.errors import Reason, refuse
from gateway.policy import activation, bundle, complete, evidence, signing
from gateway.policy.bundle import Bundle, BundleError
from gateway.policy.evidence import Proven, Wait
from gateway.policy.signing import Row
from gateway.policy.trust import Trust
from gateway.store.database import Transaction

_HOUR_US = 3600 * US_PER_S
# Two officers who sign at once come one after the other; any number that nothing else locks.
_LOCK = "SELECT pg_advisory_xact_lock(20203511)"
_HOLD = "SELECT gateway.audit_hold()"
_PROPOSE = (
    "INSERT INTO gateway.policy_proposal"
    " (number, sha256, proposed_us, newly_allowed, newly_denied, replayed, not_replayed)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (number, sha256) DO NOTHING"
)
_PROPOSALS = (
    "SELECT p.sha256, p.proposed_us, p.newly_allowed, p.newly_denied, p.replayed, p.not_replayed,"
    " b.files FROM gateway.policy_proposal AS p JOIN gateway.policy_bundle AS b"
    " ON b.sha256 = p.sha256 WHERE p.number = %s ORDER BY p.proposed_us, p.sha256"
)
_SIGN = (
    "INSERT INTO gateway.policy_signature"
    " (number, sha256, person, account, certificate_sha256, signature, signed_us)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a bundle would decide otherwise: each a line of words, never of data.

    `replayed` decisions of the log were asked again, `not_replayed` could not be.
    """

    newly_allowed: tuple[str, ...] = ()
    newly_denied: tuple[str, ...] = ()
    replayed: int = 0
    not_replayed: int = 0


@dataclass(frozen=True, slots=True)
class Signature:
    """An officer's: the person (certificate subject's name), the DER signature, its leaf's time."""

    person: str
    account: str
    certificate_sha256: bytes
    signature: bytes
    signed_us: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A bundle that waits for signatures, and when a second may put it in force.

    `signatures` are those that the log proves; `told`: how long it waits, as its leaf tells, None
    where none does yet.
    """

    number: int
    bundle: Bundle
    files: Mapping[str, str] = field(repr=False)
    proposed_us: int
    change: Change
    signatures: tuple[Signature, ...]
    told: Wait | None = None

    def wait(self, rules: ActivationRules) -> Wait:
        """Return how long it waits by these rules, at least as long as its leaf told."""
        hours = rules.loosening_hours if self.change.newly_allowed else 0
        told = self.told or Wait(0, 0)
        opens_us = max(self.proposed_us + int(hours * _HOUR_US), told.opens_us)
        return Wait(opens_us, max(rules.apart_s, told.apart_s))

    def opens_us(self, rules: ActivationRules) -> int:
        """Return from when on a second signature is taken."""
        wait = self.wait(rules)
        apart_us = wait.apart_s * US_PER_S
        return max([wait.opens_us, *(one.signed_us + apart_us for one in self.signatures)])


@dataclass(frozen=True, slots=True)
class Done:
    """What a signature was for, and whether the bundle is in force with it."""

    number: int
    active: bool


async def propose(
    tx: Transaction, trust: Trust, files: Mapping[str, str], change: Change, now_us: int
) -> Proposal:
    """Enter a bundle for signatures, and return how it stands; the same again changes nothing.

    Raises ALREADY_EXISTS for what is in force, BundleError, also for what lacks rules of exports.
    """
    wanted, before = bundle.of_files(files), await activation.in_force(tx, trust)
    complete.require_rules(wanted)
    if wanted.sha256 == before.bundle.sha256:
        raise refuse(Reason.ALREADY_EXISTS)
    await activation.keep(tx, wanted, files)
    digest = bytes.fromhex(wanted.sha256)
    told = (list(change.newly_allowed), list(change.newly_denied))
    counted = (change.replayed, change.not_replayed)
    await tx.execute(_PROPOSE, (before.number + 1, digest, now_us, *told, *counted))
    return await _proposal(tx, trust, wanted.sha256)


async def proposals(tx: Transaction, trust: Trust) -> list[Proposal]:
    """Return what waits for signatures, oldest first; raises BundleError."""
    number = (await activation.in_force(tx, trust)).number + 1
    told = await evidence.read(tx, number)
    found = []
    for sha256, proposed_us, allowed, denied, replayed, missed, files in await tx.fetch(
        _PROPOSALS, (number,)
    ):
        wanted = bundle.of_files(files)
        if bytes.fromhex(wanted.sha256) != bytes(sha256):
            msg = f"proposal {bytes(sha256).hex()}: the texts are not those of its digest"
            raise BundleError(msg)
        change = Change(tuple(allowed), tuple(denied), replayed, missed)
        rows = await signing.rows(tx, trust, number, wanted.sha256)
        signed = activation.statement(number, wanted.sha256)
        proven = told.signatures(number, wanted.sha256, rows, signed, trust)
        wait, shown = told.wait(number, wanted.sha256), map(_shown, evidence.firsts(proven))
        found.append(Proposal(number, wanted, files, proposed_us, change, tuple(shown), wait))
    return found


async def sign(
    tx: Transaction, trust: Trust, sha256: str, mine: Signature, rules: ActivationRules
) -> Done:
    """Enter an officer's signature; return whether the bundle is in force with it.

    Raises NOT_FOUND, also where no leaf tells who proposed it, APPROVAL_SIGNATURE,
    APPROVAL_SAME_PERSON, APPROVAL_TOO_SOON, POLICIES_UNUSABLE for what lacks rules of exports,
    BundleError.
    """
    await tx.fetch_one(_LOCK)
    # From here to our own leaf nothing is told: no revocation, no other wait.
    await tx.fetch_one(_HOLD)
    before = await _proposal(tx, trust, sha256)
    if before.told is None:
        raise refuse(Reason.NOT_FOUND)
    _require_rules(before.bundle)
    paper = await signing.paper(tx, trust, mine.certificate_sha256)
    if paper is None:
        raise refuse(Reason.APPROVAL_SIGNATURE)
    row = Row(mine.person, mine.account, mine.signature, mine.signed_us, paper)
    signed = activation.statement(before.number, sha256)
    if signing.officer(row, signed, trust, mine.signed_us) is None:
        raise refuse(Reason.APPROVAL_SIGNATURE)
    rows = await signing.rows(tx, trust, before.number, sha256)
    if mine.person in {one.person for one in rows}:
        raise refuse(Reason.APPROVAL_SAME_PERSON)
    full = len(before.signatures) + 1 >= activation.SIGNATURES
    # One that was entered a moment ago has no leaf yet.
    fresh = any(mine.signed_us < one.signed_us + rules.apart_s * US_PER_S for one in rows)
    if fresh or (full and mine.signed_us < before.opens_us(rules)):
        raise refuse(Reason.APPROVAL_TOO_SOON)
    digest = bytes.fromhex(sha256)
    told = (mine.person, mine.account, mine.certificate_sha256, mine.signature, mine.signed_us)
    await tx.execute(_SIGN, (before.number, digest, *told))
    if full:
        await activation.activate(tx, before.number, sha256, mine.signed_us)
    return Done(before.number, full)


async def _proposal(tx: Transaction, trust: Trust, sha256: str) -> Proposal:
    for one in await proposals(tx, trust):
        if one.bundle.sha256 == sha256:
            return one
    raise refuse(Reason.NOT_FOUND)


def _require_rules(found: Bundle) -> None:
    """Pass what was proposed with rules of exports: an earlier version took it without."""
    try:
        complete.require_rules(found)
    except BundleError:
        raise refuse(Reason.POLICIES_UNUSABLE) from None


def _shown(one: Proven) -> Signature:
    row = one.row
    return Signature(row.person, row.account, row.paper.sha256, row.signature, one.time_us)
