"""What the register says of a certificate's bearer: asked at each handshake, watched ever after.

At a handshake one query; then, whenever an epoch moved (a notification, or the poll every 250 ms),
one query for all connections that stand. Nothing is cached, so nothing can be out of date.
"""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import Reason, refuse
from gateway.names import Subject
from gateway.pki.defect import Life
from gateway.pki.register import TLS
from gateway.registry.relations import USES_TUNNEL_OF
from gateway.store.database import Database, StoreError, Transaction

_ACTIVE = 1
_STANDING = (
    "SELECT c.serial, c.organisation, c.subject_kind, c.subject_name,"
    " c.certificate_sha256, c.purpose, o.state, s.state,"
    " c.state, c.not_before_us, c.not_after_us, c.revoked_us, c.first_used_us, l.locked_us,"
    " c.lineage, c.generation, c.issuer_sha256"
    " FROM gateway.certificate AS c"
    " JOIN gateway.lineage AS l ON l.id = c.lineage"
    " JOIN gateway.organisation AS o ON o.code = c.organisation"
    " LEFT JOIN gateway.system AS s ON s.organisation = c.organisation"
    " AND s.kind = c.subject_kind AND s.name = c.subject_name"
    " WHERE c.serial = ANY(%s)"
)
_TUNNEL_USERS = "SELECT organisation, relative FROM gateway.relation WHERE kind = %s"
_EPOCHS = "SELECT name, value FROM gateway.epoch WHERE name IN ('revocation', 'registry')"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a registered certificate stands, and its bearer: each state as the register has it.

    `holder` is organisation, kind and name of whom it was registered for.
    """

    holder: tuple[str, str, str]
    sha256: bytes
    to_connect: bool
    organisation_active: bool
    system_active: bool
    life: Life

    def refusal(self) -> Reason | None:
        """Return why its bearer may not be connected, not even to be told what is wrong."""
        if not self.to_connect:
            return Reason.CERT_PROFILE
        if not self.organisation_active:
            return Reason.ORGANISATION_SUSPENDED
        if not self.system_active:
            return Reason.SYSTEM_SUSPENDED
        return None


async def find(database: Database, subject: Subject, serial: str, sha256: bytes) -> Standing:
    """Return how a verified certificate stands whose organisation and system are active.

    Raises CERT_UNKNOWN, CERT_PROFILE, ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED, STORE_AWAY.
    """
    with away():
        found = (await standings(database, [serial])).get(serial)
    return checked(found, subject, sha256)


@contextmanager
def away() -> Iterator[None]:
    """Turn the store's errors into STORE_AWAY: who cannot be looked up is not let in."""
    try:
        yield
    except StoreError:
        raise refuse(Reason.STORE_AWAY) from None


def checked(found: Standing | None, subject: Subject, sha256: bytes) -> Standing:
    """Pass the row of this very certificate whose organisation and system are active.

    Raises CERT_UNKNOWN, CERT_PROFILE, ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED.
    """
    holder = (subject.organisation, subject.kind, subject.name)
    if found is None or found.holder != holder or not hmac.compare_digest(found.sha256, sha256):
        raise refuse(Reason.CERT_UNKNOWN)
    reason = found.refusal()
    if reason is not None:
        raise refuse(reason)
    return found


async def standings(database: Database, serials: Iterable[str]) -> Mapping[str, Standing]:
    """Return how these stand; a serial that is not there is not registered. Raises StoreError."""
    return await read(database, list(serials))


async def epochs(database: Database) -> Mapping[str, int]:
    """Return the counters that move with certificates and register; raises StoreError."""
    return {str(name): int(value) for name, value in await database.fetch(_EPOCHS)}


async def tunnel_users(database: Database) -> frozenset[tuple[str, str]]:
    """Return who may come in by whose tunnel, beside everyone by its own; raises StoreError."""
    rows = await database.fetch(_TUNNEL_USERS, (USES_TUNNEL_OF,))
    return frozenset((str(user), str(owner)) for user, owner in rows)


async def read(store: Database | Transaction, serials: list[str]) -> Mapping[str, Standing]:
    """Return what `standings` does, also within a transaction."""
    return {
        serial: Standing(
            (organisation, kind, name),
            bytes(digest),
            purpose == TLS,
            organisation_state == _ACTIVE,
            system_state == _ACTIVE,
            Life(*life),
        )
        for (
            serial,
            organisation,
            kind,
            name,
            digest,
            purpose,
            organisation_state,
            system_state,
            *life,
        ) in await store.fetch(_STANDING, (serials,))
    }
