"""Which bundle is in force: the newest that two security officers signed, as rows that only grow.

The first one is the founding's and nobody's signature stands under it. From the second on, whoever
reads an activation verifies it anew: its texts against the digest, and two signatures by officers
of the province over "sxgw-policies-v1", number and digest, each with a certificate that an
authority of HOME issued (`trust`). The number keeps a signature from serving again for the same
bundle later (decisions 0018, 0019).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.clock import US_PER_S
from gateway.config.activation import ActivationRules
from gateway.config.strict import SettingsError
from gateway.errors import Reason, refuse
from gateway.policy import bundle
from gateway.policy.bundle import Bundle, BundleError
from gateway.policy.signing import signers
from gateway.policy.trust import Trust
from gateway.store.database import Transaction

SIGNATURES = 2
_HOUR_US = 3600 * US_PER_S
# Two officers who sign at once come one after the other; any number that nothing else locks.
_LOCK = "SELECT pg_advisory_xact_lock(20203511)"
_NEWEST = (
    "SELECT a.number, a.sha256, a.activated_us, b.files FROM gateway.policy_activation AS a"
    " JOIN gateway.policy_bundle AS b ON b.sha256 = a.sha256 ORDER BY a.number DESC LIMIT 1"
)
_FIRST = "SELECT sha256 FROM gateway.policy_activation WHERE number = 1"
_ONCE = "SELECT 1 FROM gateway.policy_activation WHERE sha256 = %s LIMIT 1"
_ACTIVATE = (
    "INSERT INTO gateway.policy_activation (number, sha256, activated_us) VALUES (%s, %s, %s)"
)
_KEEP = (
    "INSERT INTO gateway.policy_bundle (sha256, files) VALUES (%s, %s::text::jsonb)"
    " ON CONFLICT (sha256) DO NOTHING"
)
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
_SIGNATURES = (
    "SELECT s.person, s.account, s.certificate_sha256, s.signature, s.signed_us, c.pem,"
    " o.code, o.parent IS NULL"
    " FROM gateway.policy_signature AS s"
    " JOIN gateway.certificate AS c ON c.certificate_sha256 = s.certificate_sha256"
    " JOIN gateway.organisation AS o ON o.code = c.organisation"
    " WHERE s.number = %s AND s.sha256 = %s ORDER BY s.signed_us, s.person"
)
_SIGN = (
    "INSERT INTO gateway.policy_signature"
    " (number, sha256, person, account, certificate_sha256, signature, signed_us)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
_OFFICER = (
    "SELECT c.pem, o.code, o.parent IS NULL"
    " FROM gateway.certificate AS c JOIN gateway.organisation AS o ON o.code = c.organisation"
    " WHERE c.certificate_sha256 = %s"
)


@dataclass(frozen=True, slots=True)
class Active:
    """What is in force, since when (microseconds); `files` are all of the folder's, by name."""

    number: int
    bundle: Bundle
    activated_us: int
    files: Mapping[str, str] = field(repr=False)


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
    """An officer's: the person (certificate subject's name), and the DER signature."""

    person: str
    account: str
    certificate_sha256: bytes
    signature: bytes
    signed_us: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A bundle that waits for signatures, and when a second may put it in force."""

    number: int
    bundle: Bundle
    files: Mapping[str, str] = field(repr=False)
    proposed_us: int
    change: Change
    signatures: tuple[Signature, ...]

    def opens_us(self, rules: ActivationRules) -> int:
        """Return from when on a second signature is taken."""
        waits = [self.proposed_us]
        if self.change.newly_allowed:
            waits.append(self.proposed_us + int(rules.loosening_hours * _HOUR_US))
        waits += [one.signed_us + rules.apart_s * US_PER_S for one in self.signatures]
        return max(waits)


def statement(number: int, sha256: str) -> bytes:
    """Return the bytes that an officer signs."""
    return f"sxgw-policies-v1\n{number}\n{sha256}\n".encode("ascii")


async def active(tx: Transaction, trust: Trust) -> Active | None:
    """Return what is in force, verified, or None where nothing was ever activated.

    Raises BundleError where texts or signatures are not what they must be.
    """
    row = await tx.fetch_one(_NEWEST)
    if row is None:
        return None
    number, sha256, activated_us, files = row
    found = Active(number, bundle.of_files(files), activated_us, files)
    if bytes.fromhex(found.bundle.sha256) != bytes(sha256):
        msg = f"activation {number}: the texts are not those of its digest"
        raise BundleError(msg)
    if number > 1:
        await _require_signed(tx, trust, found)
    else:
        _require_first(trust, found)
    return found


async def in_force(tx: Transaction, trust: Trust) -> Active:
    """Return what is in force, verified; raises BundleError where there is nothing too."""
    current = await active(tx, trust)
    if current is None:
        msg = "no bundle was ever activated"
        raise BundleError(msg)
    return current


async def first(tx: Transaction) -> str:
    """Return the digest of the very first bundle; raises BundleError where there is none."""
    row = await tx.fetch_one(_FIRST)
    if row is None:
        msg = "activation 1: not in the store"
        raise BundleError(msg)
    return bytes(row[0]).hex()


async def was_active(tx: Transaction, sha256: str) -> bool:
    """Tell whether a bundle is or ever was in force."""
    return await tx.fetch_one(_ONCE, (bytes.fromhex(sha256),)) is not None


async def found(tx: Transaction, files: Mapping[str, str], now_us: int) -> Bundle:
    """Put the very first bundle in force, and return it; raises BundleError, StoreError."""
    one = bundle.of_files(files)
    await _keep(tx, one, files)
    await tx.execute(_ACTIVATE, (1, bytes.fromhex(one.sha256), now_us))
    return one


async def propose(
    tx: Transaction, trust: Trust, files: Mapping[str, str], change: Change, now_us: int
) -> Proposal:
    """Enter a bundle for signatures, and return how it stands; the same again changes nothing.

    Raises ALREADY_EXISTS for what is in force, BundleError.
    """
    wanted, before = bundle.of_files(files), await in_force(tx, trust)
    if wanted.sha256 == before.bundle.sha256:
        raise refuse(Reason.ALREADY_EXISTS)
    await _keep(tx, wanted, files)
    digest = bytes.fromhex(wanted.sha256)
    told = (list(change.newly_allowed), list(change.newly_denied))
    counted = (change.replayed, change.not_replayed)
    await tx.execute(_PROPOSE, (before.number + 1, digest, now_us, *told, *counted))
    return await _proposal(tx, trust, wanted.sha256)


async def proposals(tx: Transaction, trust: Trust) -> list[Proposal]:
    """Return what waits for signatures, oldest first; raises BundleError."""
    number = (await in_force(tx, trust)).number + 1
    found = []
    for sha256, proposed_us, allowed, denied, replayed, missed, files in await tx.fetch(
        _PROPOSALS, (number,)
    ):
        wanted = bundle.of_files(files)
        if bytes.fromhex(wanted.sha256) != bytes(sha256):
            msg = f"proposal {bytes(sha256).hex()}: the texts are not those of its digest"
            raise BundleError(msg)
        change = Change(tuple(allowed), tuple(denied), replayed, missed)
        rows = await tx.fetch(_SIGNATURES, (number, bytes(sha256)))
        signed = tuple(
            Signature(row[0], row[1], bytes(row[2]), bytes(row[3]), row[4]) for row in rows
        )
        found.append(Proposal(number, wanted, files, proposed_us, change, signed))
    return found


async def sign(
    tx: Transaction, trust: Trust, sha256: str, mine: Signature, rules: ActivationRules
) -> bool:
    """Enter an officer's signature; return whether the bundle is in force with it.

    Raises NOT_FOUND, APPROVAL_SIGNATURE, APPROVAL_SAME_PERSON, APPROVAL_TOO_SOON, BundleError.
    """
    await tx.fetch_one(_LOCK)
    before = await _proposal(tx, trust, sha256)
    officer = await tx.fetch_one(_OFFICER, (mine.certificate_sha256,))
    row = (mine.person, None, None, mine.signature, mine.signed_us, *(officer or ("", "", False)))
    if not signers([row], statement(before.number, sha256), trust.issuers):
        raise refuse(Reason.APPROVAL_SIGNATURE)
    if mine.person in {one.person for one in before.signatures}:
        raise refuse(Reason.APPROVAL_SAME_PERSON)
    complete = len(before.signatures) + 1 >= SIGNATURES
    if complete and mine.signed_us < before.opens_us(rules):
        raise refuse(Reason.APPROVAL_TOO_SOON)
    digest = bytes.fromhex(sha256)
    told = (mine.person, mine.account, mine.certificate_sha256, mine.signature, mine.signed_us)
    await tx.execute(_SIGN, (before.number, digest, *told))
    if complete:
        await tx.execute(_ACTIVATE, (before.number, digest, mine.signed_us))
    return complete


async def _proposal(tx: Transaction, trust: Trust, sha256: str) -> Proposal:
    for one in await proposals(tx, trust):
        if one.bundle.sha256 == sha256:
            return one
    raise refuse(Reason.NOT_FOUND)


async def _keep(tx: Transaction, kept: Bundle, files: Mapping[str, str]) -> None:
    await tx.execute(_KEEP, (bytes.fromhex(kept.sha256), json.dumps(files)))


async def _require_signed(tx: Transaction, trust: Trust, current: Active) -> None:
    """Pass an activation that two officers of the province signed; raises BundleError."""
    digest = current.bundle.sha256
    rows = await tx.fetch(_SIGNATURES, (current.number, bytes.fromhex(digest)))
    try:
        found = signers(rows, statement(current.number, digest), trust.issuers)
    except (OSError, SettingsError) as error:
        # Without the authorities nobody signed anything.
        raise BundleError(str(error)) from error
    if len(found) < SIGNATURES:
        msg = f"activation {current.number}: not signed by two officers of the province"
        raise BundleError(msg)


def _require_first(trust: Trust, current: Active) -> None:
    """Pass the bundle that HOME began with; raises BundleError."""
    try:
        known = trust.is_first(current.bundle.sha256)
    except OSError as error:
        raise BundleError(str(error)) from error
    if not known:
        msg = "activation 1: not the bundle that this HOME began with"
        raise BundleError(msg)
