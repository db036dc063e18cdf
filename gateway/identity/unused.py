"""Accounts that nobody uses: told of once, and after the policy's days disabled by themselves.

GB/T 22239 8.1.4.2 c: superfluous and expired accounts are deleted or disabled in time. The
administration door looks once a minute. Who is the last to administer the province is told of, and
never disabled.
"""

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.errors import Reason, Refusal, StaleError, refuse
from gateway.identity import last_admin, listing, session
from gateway.identity.accounts import UNUSED
from gateway.identity.listing import Listed
from gateway.identity.rules import Rules
from gateway.store.database import Database, Transaction

TOLD = "account.unused"
DISABLED = "account.disabled"
# So many at a look; the rest a minute later.
_MOST = 100
_TELL = (
    "UPDATE gateway.account SET unused_told_us = %s WHERE organisation = %s AND name = %s"
    " AND state = 1 AND unused_told_us IS NULL"
)
_DISABLE = (
    "UPDATE gateway.account SET state = %s WHERE organisation = %s AND name = %s AND state = 1"
)


class UnusedAccounts:
    """The duty of one gateway."""

    def __init__(self, database: Database, recorder: Recorder, rules: Rules, clock: Clock) -> None:
        """Do it to these accounts, by these rules, and tell this log."""
        self._database = database
        self._recorder = recorder
        self._rules = rules
        self._clock = clock

    async def look(self, base: Event) -> int:
        """Do what is due, each with its leaf; returns how much that was.

        Raises StoreError and what the recorder raises; what is left is done the next time.
        """
        before_us = self._clock.now_us() - self._rules.accounts.told_us
        async with self._database.transaction() as tx:
            found = await listing.left_alone(tx, before_us, _MOST)
        done = 0
        for one in found:
            try:
                done += await self._attend(one, base)
            except StaleError:  # somebody logged in, or an officer was faster
                continue
        return done

    async def _attend(self, one: Listed, base: Event) -> bool:
        if not self._is_over(one):
            if one.unused_told_us is None:
                await self._tell(one, base)
                return True
            return False
        try:
            await self._disable(one, base)
        except Refusal as refusal:
            if refusal.reason is not Reason.LAST_ADMIN:
                raise
            return False
        return True

    def _is_over(self, one: Listed) -> bool:
        return self._clock.now_us() - one.used_us >= self._rules.accounts.unused_us

    async def _tell(self, one: Listed, base: Event) -> None:
        event = _about(one, base).with_(kind=TOLD)

        async def work(tx: Transaction) -> Event:
            if not await tx.execute(_TELL, (self._clock.now_us(), *one.key)):
                raise refuse(Reason.REVISION_STALE)
            return event

        await self._recorder.append(event, work)

    async def _disable(self, one: Listed, base: Event) -> None:
        event = _about(one, base).with_(kind=DISABLED)
        # Nothing is attempted, and no refusal is put on the log, every minute for ever.
        if await self._is_last(one):
            raise refuse(Reason.LAST_ADMIN)

        async def work(tx: Transaction) -> Event:
            now_us = self._clock.now_us()
            await last_admin.require_another(tx, one.account, self._rules.at(now_us), now_us)
            again = await listing.listed(tx, *one.key)
            if again is None or not self._is_over(again):
                raise refuse(Reason.REVISION_STALE)
            if not await tx.execute(_DISABLE, (UNUSED, *one.key)):
                raise refuse(Reason.REVISION_STALE)
            await session.end_all(tx, *one.key, now_us)
            return event

        await self._recorder.append(event, work)

    async def _is_last(self, one: Listed) -> bool:
        async with self._database.transaction() as tx:
            now_us = self._clock.now_us()
            return await last_admin.is_last(tx, one.account, self._rules.at(now_us), now_us)


def _about(one: Listed, base: Event) -> Event:
    """Return a leaf that the organisation's own auditors find."""
    account = one.account
    target = {"target_organisation": account.organisation, "target_account": account.name}
    detail = {"alert": "account-unused"} | target
    return base.with_(organisation=account.organisation, detail=detail)
