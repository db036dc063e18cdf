"""Sessions: one row per login; ending the row ends every token of it, at every door.

Idleness is judged by `refresh` alone: a token outlives no idle session by more than its ten
minutes, and so the other doors need only ask whether the row has ended.
"""

import secrets
from dataclasses import dataclass

from gateway.identity.rules import HOUR_US, MINUTE_US, NEVER_US, SessionLimits
from gateway.store.database import Transaction

_SID_BYTES = 16
_INSERT = (
    "INSERT INTO gateway.session (sid, organisation, account, certificate_sha256, created_us,"
    " last_seen_us, expires_us, confirmed_us, opening, only_role)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_READ = (
    "SELECT sid, organisation, account, certificate_sha256, created_us, last_seen_us, expires_us,"
    " ended_us, confirmed_us, opening::text, only_role FROM gateway.session WHERE sid = %s"
)
_TOUCH = "UPDATE gateway.session SET last_seen_us = %s WHERE sid = %s AND ended_us IS NULL"
_CONFIRM = "UPDATE gateway.session SET confirmed_us = %s WHERE sid = %s AND ended_us IS NULL"
_END = "UPDATE gateway.session SET ended_us = %s WHERE sid = %s AND ended_us IS NULL"
_END_OPENED = "UPDATE gateway.session SET ended_us = %s WHERE opening = %s AND ended_us IS NULL"
_END_ALL = (
    "UPDATE gateway.session SET ended_us = %s"
    " WHERE organisation = %s AND account = %s AND ended_us IS NULL"
)


@dataclass(frozen=True, slots=True)
class Session:
    """A session: `sid` 16 random bytes, bound to one certificate (SHA-256 of its DER).

    Times in microseconds; `confirmed_us` is when the password was last shown in it. One of
    break-glass is of an `opening` and has its `only_role` instead of its account's.
    """

    sid: bytes
    organisation: str
    account: str
    certificate_sha256: bytes
    created_us: int
    last_seen_us: int
    expires_us: int
    ended_us: int | None = None
    confirmed_us: int = 0
    opening: str | None = None
    only_role: str | None = None

    def alive(self, now_us: int) -> bool:
        """Tell whether it has neither ended nor run out."""
        return self.ended_us is None and now_us < self.expires_us

    def idle(self, limits: SessionLimits, now_us: int) -> bool:
        """Tell whether it was left alone for too long."""
        return now_us - self.last_seen_us > limits.idle_minutes * MINUTE_US


async def create(
    tx: Transaction,
    organisation: str,
    account: str,
    certificate_sha256: bytes,
    limits: SessionLimits,
    now_us: int,
    until_us: int = NEVER_US,
) -> Session:
    """Open a session, whose password was shown just now, and return it; it ends by `until_us`."""
    ends_us = min(now_us + limits.absolute_hours * HOUR_US, until_us)
    times = (now_us, ends_us, now_us)
    return await _insert(tx, (organisation, account), certificate_sha256, times)


async def follow(tx: Transaction, held: Session, certificate_sha256: bytes, now_us: int) -> Session:
    """Open a session like this one for another certificate of its bearer, with the same end.

    No password is shown for it: it is confirmed as the other was, and may no more.
    """
    times = (now_us, held.expires_us, held.confirmed_us)
    who, duty = (held.organisation, held.account), (held.opening, held.only_role)
    return await _insert(tx, who, certificate_sha256, times, duty)


async def begin_opened(
    tx: Transaction,
    who: tuple[str, str],
    certificate_sha256: bytes,
    duty: tuple[str, str],
    bounds: tuple[int, int],
) -> Session:
    """Open a session of break-glass for an account (organisation, name).

    `duty` is the opening's id and the one role, `bounds` are now and the end. No password was
    shown.
    """
    now_us, ends_us = bounds
    return await _insert(tx, who, certificate_sha256, (now_us, ends_us, 0), duty)


async def read(tx: Transaction, sid: bytes) -> Session | None:
    """Return the session, or None."""
    row = await tx.fetch_one(_READ, (sid,))
    return None if row is None else Session(*row)


async def touch(tx: Transaction, sid: bytes, now_us: int) -> bool:
    """Note that the session is in use; return whether it still stands."""
    return await tx.execute(_TOUCH, (now_us, sid)) > 0


async def confirm(tx: Transaction, sid: bytes, now_us: int) -> bool:
    """Note that the password was shown again; return whether the session still stands."""
    return await tx.execute(_CONFIRM, (now_us, sid)) > 0


async def end(tx: Transaction, sid: bytes, now_us: int) -> bool:
    """End the session; return whether it stood."""
    return await tx.execute(_END, (now_us, sid)) > 0


async def end_all(tx: Transaction, organisation: str, account: str, now_us: int) -> int:
    """End all sessions of an account; return how many stood."""
    return await tx.execute(_END_ALL, (now_us, organisation, account))


async def end_opened(tx: Transaction, opening: str, now_us: int) -> int:
    """End all sessions of an opening of break-glass; return how many stood."""
    return await tx.execute(_END_OPENED, (now_us, opening))


async def _insert(
    tx: Transaction,
    who: tuple[str, str],
    certificate_sha256: bytes,
    times: tuple[int, int, int],
    duty: tuple[str | None, str | None] = (None, None),
) -> Session:
    now_us, ends_us, confirmed_us = times
    sid = secrets.token_bytes(_SID_BYTES)
    row = (sid, *who, certificate_sha256, now_us, now_us, ends_us, confirmed_us, *duty)
    await tx.execute(_INSERT, row)
    bounds = (now_us, now_us, ends_us)
    return Session(sid, *who, certificate_sha256, *bounds, None, confirmed_us, *duty)
