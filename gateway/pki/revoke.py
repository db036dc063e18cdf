"""Takes certificates back: their rows, with the open invitations of whoever held them.

The row decides within a second: the epoch moves, the front cuts, the doors refuse. The list is the
second net, in the handshake itself; `publish` writes it after COMMIT from what the register then
says, so that it never names what was rolled back.

What is being issued at that moment is waited for, and the unused successor of a certificate goes
with it: whoever stole the key may just have renewed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway import log
from gateway.clock import US_PER_S
from gateway.config.home import Home
from gateway.errors import Reason, refuse
from gateway.pki import authorities, crl, der, invitation, issue, keys, publish, register
from gateway.pki.register import Bearer
from gateway.store.database import Transaction

KIND = "admin.certificate.revoke"
_LOG = log.get("pki")
_TAKE = "UPDATE gateway.certificate SET state = 2, revoked_us = %s, reason = %s WHERE state <> 2"
# A certificate is valid from a little before it is issued.
_BACKDATE_US = round(issue.BACKDATE.total_seconds() * US_PER_S)
_BEARER = " RETURNING organisation, subject_kind, subject_name"
_SUCCESSOR = (
    "SELECT c.serial FROM gateway.certificate AS p JOIN gateway.certificate AS c"
    " ON c.lineage = p.lineage AND c.generation > p.generation"
    " WHERE p.serial = %s AND p.state = 1 AND c.state = 1 AND c.first_used_us IS NULL"
)
_KNOWN = "SELECT state FROM gateway.certificate WHERE serial = %s"
# What each kind of target covers; a row without issuer is of our oldest authority.
_COVERS: Mapping[str, str] = MappingProxyType(
    {
        "serial": "serial = %s",
        "bearer": "(organisation, subject_kind, subject_name) = (%s, %s, %s)",
        "organisation": "organisation = %s",
        "authority": "coalesce(issuer_sha256, %s) = %s",
    }
)
_TARGETS = (
    "SELECT 1 FROM gateway.organisation WHERE code = %s",
    "SELECT 1 FROM gateway.system WHERE organisation = %s AND kind = %s AND name = %s",
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is revoked: a word of _COVERS with its parameters, and how a leaf tells of it."""

    covers: str
    parameters: tuple[object, ...]
    told: Mapping[str, str]
    organisation: str = ""
    bearer: Bearer | None = None

    @classmethod
    def of_serial(cls, serial: str) -> "Target":
        """One certificate, by its serial in lower hex."""
        return cls("serial", (serial,), {"target_serial": serial})

    @classmethod
    def of_bearer(cls, bearer: Bearer) -> "Target":
        """All certificates of a system or an officer, and its open invitations."""
        told = {
            "target_organisation": bearer.organisation,
            "target_subject_kind": bearer.kind,
            "target_subject_name": bearer.name,
        }
        key = (bearer.organisation, bearer.kind, bearer.name)
        return cls("bearer", key, told, bearer.organisation, bearer)

    @classmethod
    def of_organisation(cls, code: str) -> "Target":
        """All certificates of an organisation's systems and officers, and its invitations."""
        return cls("organisation", (code,), {"target_organisation": code}, code)

    @classmethod
    def of_authority(cls, spki_sha256: bytes, oldest: bytes) -> "Target":
        """All certificates of an authority; `oldest` is the digest of our oldest one's key."""
        told = {"issuer_sha256": spki_sha256.hex()}
        return cls("authority", (oldest, spki_sha256), told)


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was taken back, and the epoch that the list must reach."""

    certificates: int
    invitations: int
    epoch: int


def authority_target(home: Home, spki_sha256: bytes) -> Target:
    """Return the target of a trusted authority; raises NOT_FOUND for another key's digest."""
    anchors = der.certificates(home.client_authority_certificate.read_bytes())
    roots = der.certificates(home.root_certificate.read_bytes())
    digests = [keys.spki_sha256(one.public_key()) for one in anchors]
    if spki_sha256 not in digests:
        raise refuse(Reason.NOT_FOUND)
    ours = [
        digest
        for one, digest in zip(anchors, digests, strict=True)
        if authorities.is_ours(one, roots)
    ]
    return Target.of_authority(spki_sha256, ours[-1] if ours else b"")


async def revoke(tx: Transaction, serial: str, reason: str, now_us: int) -> Bearer:
    """Mark a certificate as revoked, for ever, and return whose it was; the epoch moves.

    Raises FIELD_INVALID for an unknown reason, NOT_FOUND for an unknown serial, ALREADY_EXISTS for
    one that is revoked already.
    """
    require_reason(reason)
    row = await tx.fetch_one(f"{_TAKE} AND {_COVERS['serial']}{_BEARER}", (now_us, reason, serial))
    if row is not None:
        return Bearer(*row)
    known = await tx.fetch_one(_KNOWN, (serial,))
    raise refuse(Reason.NOT_FOUND if known is None else Reason.ALREADY_EXISTS)


async def revoke_all(tx: Transaction, target: Target, reason: str, now_us: int) -> Revoked:
    """Mark all that a target covers as revoked, cancel its open invitations; the epoch moves.

    Expired ones too: they could still be renewed. With one certificate goes what followed it and
    was never used. Raises what `revoke` raises; for what holds several certificates that none is
    left is no fault.
    """
    require_reason(reason)
    if not await register.revoking(tx):
        # Not one of ours, which the database throws out before (`register.issuing`).
        _LOG.warning("an issuer stands still", meaning="what it has under way may stay in force")
    if target.covers == "serial":
        serials = [str(target.parameters[0])]
        serials += [row[0] for row in await tx.fetch(_SUCCESSOR, serials)]
        for serial in serials:
            await revoke(tx, serial, reason, now_us)
        return Revoked(len(serials), 0, await publish.epoch(tx))
    if target.organisation and not await _registered(tx, target):
        raise refuse(Reason.NOT_FOUND)
    certificates = await take(tx, target, reason, now_us)
    invitations = 0
    if target.organisation:
        invitations = await invitation.cancel_all(tx, target.organisation, target.bearer)
    return Revoked(certificates, invitations, await publish.epoch(tx))


def require_reason(reason: str) -> None:
    """Pass one of crl.REASONS; raises FIELD_INVALID."""
    if reason not in crl.REASONS:
        raise refuse(Reason.FIELD_INVALID, metadata={"rule": "revocation-reason"})


async def take(
    tx: Transaction, target: Target, reason: str, now_us: int, until_us: int | None = None
) -> int:
    """Revoke what a target covers, of what was issued until a moment; return how many."""
    statement = f"{_TAKE} AND {_COVERS[target.covers]} AND (%s OR not_before_us <= %s)"
    bounds = (until_us is None, (until_us or 0) - _BACKDATE_US)
    return await tx.execute(statement, (now_us, reason, *target.parameters, *bounds))


async def _registered(tx: Transaction, target: Target) -> bool:
    return await tx.fetch_one(_TARGETS[target.bearer is not None], target.parameters) is not None
