"""Failed logins, counted so that an outsider can never lock somebody else's account.

A count belongs to organisation, account as typed, and lineage (the certificate's subject within the
organisation): whoever has another certificate counts against himself. From the limit on each
failure blocks for 1, 2, 4, ... minutes; a blocked attempt is neither checked nor counted. As many
failures within the hours of the policy as lock, lock this count until an officer unlocks: the
owner's own lineage is out then, and no other lineage can bring that about. What is typed is counted
whether such an account exists or not, so that neither block nor lock tells anything; rows grow no
faster than the leaves of the same refusals.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from gateway.clock import US_PER_S
from gateway.errors import Reason, refuse
from gateway.identity.rules import HOUR_US, ThrottleLimits
from gateway.names import ACCOUNT_NAME
from gateway.store.database import Transaction

# Under which everything is counted that cannot be an account's name.
NO_ACCOUNT = ""
# Attempts of one subject wait for each other: a burst cannot be judged before its first failure is
# counted, and nobody takes more than one of the few argon2 places. More than this many waiting is a
# flood.
WAITING = 8
RETRY_S = 2.0
_READ = (
    "SELECT blocked_until_us, locked_us FROM gateway.throttle"
    " WHERE organisation = %s AND account = %s AND lineage = %s"
)
_FORGET = (
    "DELETE FROM gateway.throttle"
    " WHERE organisation = %s AND lineage = %s AND last_us < %s AND locked_us IS NULL"
)
_COUNT = (
    "INSERT INTO gateway.throttle AS old"
    " (organisation, account, lineage, failures, blocked_until_us, last_us, recent_us)"
    " VALUES (%s, %s, %s, 1, 0, %s, ARRAY[%s]::bigint[])"
    " ON CONFLICT (organisation, account, lineage)"
    " DO UPDATE SET failures = old.failures + 1, last_us = excluded.last_us, recent_us ="
    " ARRAY(SELECT one FROM unnest(old.recent_us) AS one WHERE one > %s ORDER BY one)"
    " || excluded.recent_us RETURNING failures, cardinality(recent_us)"
)
_BLOCK = (
    "UPDATE gateway.throttle SET blocked_until_us = %s, locked_us = coalesce(locked_us, %s)"
    " WHERE organisation = %s AND account = %s AND lineage = %s"
)
_CLEAR = "DELETE FROM gateway.throttle WHERE organisation = %s AND account = %s AND lineage = %s"
_LIFT = (
    "UPDATE gateway.throttle"
    " SET failures = 0, blocked_until_us = 0, recent_us = '{}', locked_us = NULL"
    " WHERE organisation = %s AND account = %s"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tries what: organisation and lineage of the certificate, account as typed."""

    organisation: str
    account: str
    lineage: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Under what it is counted."""
        account = self.account if ACCOUNT_NAME.fullmatch(self.account) else NO_ACCOUNT
        return self.organisation, account, self.lineage


class Queue:
    """Lets the attempts of one subject through one after another; one per process."""

    __slots__ = ("_locks", "_waiting")

    def __init__(self) -> None:
        """Start empty; a lock lives as long as somebody holds or awaits it."""
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[tuple[str, str], int] = {}

    @asynccontextmanager
    async def turn(self, attempt: Attempt) -> AsyncIterator[None]:
        """Wait for this subject's turn.

        Raises RATE_LIMITED when too many of its attempts wait already.
        """
        key = (attempt.organisation, attempt.lineage)
        lock = self._locks.setdefault(key, asyncio.Lock())
        waiting = self._waiting.get(key, 0)
        if waiting >= WAITING:
            raise refuse(Reason.RATE_LIMITED, retry_after_s=RETRY_S)
        self._waiting[key] = waiting + 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]


def lineage(kind: str, name: str) -> str:
    """Return the lineage of a subject in its organisation; it outlives its certificates."""
    return f"{kind}/{name}"


async def check(tx: Transaction, attempt: Attempt, now_us: int) -> bool:
    """Return whether the count is locked; the attempt may then be made by nobody but the last.

    Who that is the caller finds out (`last_admin`); for everybody else a lock is LOGIN_LOCKED.
    Raises LOGIN_THROTTLED with the time to wait.
    """
    row = await tx.fetch_one(_READ, attempt.key)
    if row is not None and now_us < row[0]:
        raise refuse(Reason.LOGIN_THROTTLED, retry_after_s=(row[0] - now_us) / US_PER_S)
    return row is not None and row[1] is not None


async def count(tx: Transaction, attempt: Attempt, limits: ThrottleLimits, now_us: int) -> None:
    """Count a failure, block from the limit on, and lock at the other limit.

    Counts of this subject that are old enough are forgotten first; locks are not.
    """
    forgotten_us = now_us - limits.forget_hours * HOUR_US
    await tx.execute(_FORGET, (attempt.organisation, attempt.lineage, forgotten_us))
    since_us = now_us - limits.lock_hours * HOUR_US
    [(failures, recent)] = await tx.fetch(_COUNT, (*attempt.key, now_us, now_us, since_us))
    if failures >= limits.failures:
        blocked_until_us = now_us + limits.block_us(failures - limits.failures)
        locked_us = now_us if recent >= limits.lock_failures else None
        await tx.execute(_BLOCK, (blocked_until_us, locked_us, *attempt.key))


async def clear(tx: Transaction, attempt: Attempt) -> None:
    """Forget the failures after the right password."""
    await tx.execute(_CLEAR, attempt.key)


async def lift(tx: Transaction, organisation: str, account: str) -> None:
    """Forget all failures of an account, whoever made them, and unlock it."""
    await tx.execute(_LIFT, (organisation, account))
