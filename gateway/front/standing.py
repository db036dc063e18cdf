"""What the register says of a certificate's bearer: asked at each handshake, watched ever after.

At a handshake one query; then, whenever an epoch moved (a notification, or the poll every 250 ms),
one query for all connections that stand. Nothing is cached, so nothing can be out of date.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import Reason, refuse
from gateway.names import Subject
from gateway.store.database import Database, StoreError, Transaction

_ACTIVE = 1
_STANDING = (
    "SELECT c.serial, c.state, c.certificate_sha256, o.state, s.state"
    " FROM gateway.certificate AS c"
    " JOIN gateway.organisation AS o ON o.code = c.organisation"
    " LEFT JOIN gateway.system AS s ON s.organisation = c.organisation"
    " AND s.kind = c.subject_kind AND s.name = c.subject_name"
    " WHERE c.serial = ANY(%s)"
)
_BEARER = (
    "SELECT 1 FROM gateway.certificate WHERE serial = %s AND organisation = %s"
    " AND subject_kind = %s AND subject_name = %s"
)
_EPOCHS = "SELECT name, value FROM gateway.epoch WHERE name IN ('revocation', 'registry')"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a registered certificate stands: each state as the register has it."""

    certificate_active: bool
    sha256: bytes
    organisation_active: bool
    system_active: bool

    def reason(self) -> Reason | None:
        """Return why its bearer may not be connected, None when it may."""
        if not self.certificate_active:
            return Reason.CERT_REVOKED
        if not self.organisation_active:
            return Reason.ORGANISATION_SUSPENDED
        if not self.system_active:
            return Reason.SYSTEM_SUSPENDED
        return None


async def admit(database: Database, subject: Subject, serial: str, sha256: bytes) -> None:
    """Pass a verified certificate whose row, organisation and system are active.

    Raises CERT_UNKNOWN, CERT_REVOKED, ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED, STORE_AWAY.
    """
    try:
        async with database.transaction() as tx:
            found = (await _standings(tx, [serial])).get(serial)
            holder = (subject.organisation, subject.kind, subject.name)
            its_own = await tx.fetch_one(_BEARER, (serial, *holder))
    except StoreError:
        raise refuse(Reason.STORE_AWAY) from None
    if found is None or its_own is None or not hmac.compare_digest(found.sha256, sha256):
        raise refuse(Reason.CERT_UNKNOWN)
    reason = found.reason()
    if reason is not None:
        raise refuse(reason)


async def fallen(database: Database, serials: Iterable[str]) -> Mapping[str, Reason]:
    """Return which of these serials may no longer be connected, and why; raises StoreError."""
    wanted = list(serials)
    async with database.transaction() as tx:
        found = await _standings(tx, wanted)
    reasons = {
        serial: found[serial].reason() if serial in found else Reason.CERT_UNKNOWN
        for serial in wanted
    }
    return {serial: reason for serial, reason in reasons.items() if reason is not None}


async def epochs(database: Database) -> Mapping[str, int]:
    """Return the counters that move with certificates and register; raises StoreError."""
    async with database.transaction() as tx:
        return {str(name): int(value) for name, value in await tx.fetch(_EPOCHS)}


async def _standings(tx: Transaction, serials: list[str]) -> dict[str, Standing]:
    return {
        serial: Standing(
            state == _ACTIVE, bytes(digest), organisation == _ACTIVE, system == _ACTIVE
        )
        for serial, state, digest, organisation, system in await tx.fetch(_STANDING, (serials,))
    }
