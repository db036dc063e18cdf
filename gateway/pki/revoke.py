"""Takes a certificate back: its row, the epoch that every process watches, and the revocation list.

The row decides within a second (the front cuts, the doors refuse); the list is the second net, in
the handshake itself. Order: 1 the row with its leaf in one transaction, 2 after COMMIT the list
from what the register then says. A list never names what was rolled back, and one that could not
be written is made up for by `Keeper`.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway import log
from gateway.clock import US_PER_S, Clock, from_datetime
from gateway.config.home import Home
from gateway.errors import Reason, refuse
from gateway.pki import ceremony, crl, der
from gateway.pki.issue import Authority
from gateway.store.database import Database, StoreError, Transaction

# So the list is signed anew long before (identity.md section 4.4: hourly).
RENEW_AFTER_US = 3_600 * US_PER_S
POLL_S = 0.5
_REVOKE = (
    "UPDATE gateway.certificate SET state = 2, revoked_us = %s, reason = %s"
    " WHERE serial = %s AND state = 1"
    " RETURNING organisation, subject_kind, subject_name"
)
_KNOWN = "SELECT state FROM gateway.certificate WHERE serial = %s"
_EPOCH = "SELECT value FROM gateway.epoch WHERE name = 'revocation'"
_REVOKED = (
    "SELECT serial, revoked_us, reason FROM gateway.certificate"
    " WHERE state = 2 AND not_after_us > %s ORDER BY serial"
)
_LOG = log.get("pki")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose certificate was revoked."""

    organisation: str
    kind: str
    name: str


async def revoke(tx: Transaction, serial: str, reason: str, now_us: int) -> Bearer:
    """Mark a certificate as revoked, for ever; the triggers move the epoch. Afterwards `renew`.

    Raises FIELD_INVALID for an unknown reason, NOT_FOUND for an unknown serial, ALREADY_EXISTS for
    one that is revoked already.
    """
    if reason not in crl.REASONS:
        raise refuse(Reason.FIELD_INVALID, metadata={"rule": "revocation-reason"})
    row = await tx.fetch_one(_REVOKE, (now_us, reason, serial))
    if row is not None:
        return Bearer(*row)
    known = await tx.fetch_one(_KNOWN, (serial,))
    raise refuse(Reason.NOT_FOUND if known is None else Reason.ALREADY_EXISTS)


async def renew(home: Home, tx: Transaction, authority: Authority, now_us: int) -> int:
    """Write the list anew from the register, and return its number.

    The number is the epoch `revocation`, or one more than the list in place has: it only grows, so
    that an old list cannot be put back (the front refuses one with a smaller number).
    """
    with _alone(home):
        row = await tx.fetch_one(_EPOCH)
        epoch = row[0] if row else 0
        revoked = [crl.Revoked(*found) for found in await tx.fetch(_REVOKED, (now_us,))]
        number = max(epoch, crl.number_of(der.revocation_list(home.crl.read_bytes())) + 1)
        crl.write(home.crl, crl.build(authority, revoked, number, now_us))
    return number


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Keep other writers of the list out, in this process and in others, for some milliseconds."""
    folder = os.open(home.authority, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


class Keeper:
    """Keeps the list current while the gateway runs: after each change of the register, and hourly.

    Runs in the supervisor: it alone may read the authority's key and write HOME/public. The
    database role `front` is enough.
    """

    def __init__(self, home: Home, database: Database, clock: Clock) -> None:
        """Keep the list of this HOME; reads the authority's key once."""
        self._home = home
        self._database = database
        self._clock = clock
        self._authority = ceremony.client_authority(home)
        self._epoch = -1

    async def run(self) -> None:
        """Look twice a second, for ever; while the database is away, the list ages."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                _LOG.warning("revocation list not renewed", error=type(error).__name__)
            await asyncio.sleep(POLL_S)

    async def look(self) -> bool:
        """Write the list anew where it is due; returns whether it was."""
        async with self._database.transaction() as tx:
            row = await tx.fetch_one(_EPOCH)
            epoch = row[0] if row else 0
            if epoch == self._epoch and not self._old():
                return False
            number = await renew(self._home, tx, self._authority, self._clock.now_us())
        self._epoch = epoch
        _LOG.info("revocation list renewed", number=number)
        return True

    def _old(self) -> bool:
        current = der.revocation_list(self._home.crl.read_bytes())
        made_us = from_datetime(current.last_update_utc + crl.BACKDATE)
        return self._clock.now_us() - made_us >= RENEW_AFTER_US
