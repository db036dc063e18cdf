"""Which bundle is in force: the newest that two security officers signed, as rows that only grow.

The first one is the founding's and nobody's signature stands under it. From the second on, whoever
reads an activation verifies it anew: its texts against the digest, and two signatures by officers
of the province over "sxgw-policies-v1", number and digest, each with a certificate that an
authority of HOME issued (`trust`) and with a leaf (`evidence`): that tells when and in which role,
and that nothing newer was in force. The number keeps a signature from serving again for the same
bundle later (decisions 0018, 0019, 0024).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from gateway.config.strict import SettingsError
from gateway.policy import bundle, evidence, signing
from gateway.policy.bundle import Bundle, BundleError
from gateway.policy.evidence import Evidence
from gateway.policy.trust import Mark, Trust
from gateway.store.database import Transaction

SIGNATURES = 2
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


@dataclass(frozen=True, slots=True)
class Active:
    """What is in force, since when (microseconds); `files` are all of the folder's, by name.

    `leaf` is that of the signature that put it in force, None where the log does not tell one.
    """

    number: int
    bundle: Bundle
    activated_us: int
    files: Mapping[str, str] = field(repr=False)
    leaf: int | None = None

    @property
    def mark(self) -> Mark:
        """What is kept in HOME of it."""
        return Mark(self.number, self.bundle.sha256, self.leaf)


def statement(number: int, sha256: str) -> bytes:
    """Return the bytes that an officer signs."""
    return f"sxgw-policies-v1\n{number}\n{sha256}\n".encode("ascii")


async def active(tx: Transaction, trust: Trust, *, untold: bool = False) -> Active | None:
    """Return what is in force, verified, or None where nothing was ever activated.

    `untold`: signatures without leaves count where the log tells nothing of them, for a HOME of
    before. What HOME's mark names stood once: no later leaf or row unseats it while two officers'
    signatures lie under it. Raises BundleError where texts, signatures or leaves are not what they
    must be.
    """
    row = await tx.fetch_one(_NEWEST)
    if row is None:
        return None
    number, sha256, activated_us, files = row
    found = Active(number, bundle.of_files(files), activated_us, files)
    if bytes.fromhex(found.bundle.sha256) != bytes(sha256):
        raise BundleError(f"activation {number}: the texts are not those of its digest")
    try:
        known = trust.mark()
        told = await evidence.read(tx, number)
        _require_newest(found, known, told)
        if number == 1:
            return _first(trust, found)
        return await _signed(tx, trust, found, told, untold=untold)
    except (OSError, SettingsError, ValueError) as error:
        # Without what lies in HOME nobody signed anything.
        raise BundleError(str(error)) from error


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
    await keep(tx, one, files)
    await activate(tx, 1, one.sha256, now_us)
    return one


async def activate(tx: Transaction, number: int, sha256: str, now_us: int) -> None:
    """Enter an activation; whoever reads it verifies it."""
    await tx.execute(_ACTIVATE, (number, bytes.fromhex(sha256), now_us))


async def keep(tx: Transaction, kept: Bundle, files: Mapping[str, str]) -> None:
    """Enter the texts of a bundle, once."""
    await tx.execute(_KEEP, (bytes.fromhex(kept.sha256), json.dumps(files)))


def _require_newest(found: Active, known: Mark | None, told: Evidence) -> None:
    """Pass what is not older than what HOME or the log know to have been in force."""
    # What was told up to the mark's leaf, whoever keeps the mark has seen (docs/operations.md).
    after = -1 if known is None or known.leaf is None else known.leaf
    if (known is not None and known.number > found.number) or told.newest(after) > found.number:
        raise BundleError(f"activation {found.number}: a newer one was in force")
    other = (found.number, found.bundle.sha256)
    if known is not None and known.number == other[0] and known.sha256 != other[1]:
        raise BundleError(f"activation {found.number}: another bundle was in force")


async def _signed(
    tx: Transaction, trust: Trust, found: Active, told: Evidence, *, untold: bool
) -> Active:
    """Return an activation that two officers of the province signed, with its leaf."""
    number, sha256, known = found.number, found.bundle.sha256, trust.mark()
    rows, signed = await signing.rows(tx, trust, number, sha256), statement(number, sha256)
    proven = told.signatures(number, sha256, rows, signed, trust)
    last = evidence.activating(proven, partial(told.wait, number, sha256), SIGNATURES)
    if last is not None:
        return replace(found, leaf=last.leaf, activated_us=last.time_us)
    if known is not None and (known.number, known.sha256) == (number, sha256):
        # Whoever has administration's password revokes by a row, dated as he likes.
        rows = [replace(one, paper=one.paper.never_revoked()) for one in rows]
    elif not untold or told.tells(number, sha256):
        rows = []
    # Before all leaves: authorities that were retired since counted.
    those = {one.person for one in rows if signing.officer(one, signed, trust, one.signed_us, 0)}
    if len(those) < SIGNATURES:
        raise BundleError(
            f"activation {number}: not signed by two officers of the province, as the log tells it"
        )
    return found


def _first(trust: Trust, current: Active) -> Active:
    """Return the bundle that HOME began with."""
    if not trust.is_first(current.bundle.sha256):
        raise BundleError("activation 1: not the bundle that this HOME began with")
    return current
