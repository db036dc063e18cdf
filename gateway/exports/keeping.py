"""What the gateway watches of tickets: may they stand, was the file opened, was it destroyed.

One person, a revoked certificate, a locked tunnel, a suspended approver, a tightened policy: each
stops what was not released yet. What was released and lies beyond its day is overdue, and told;
what else its organisation was approved for waits until then. Payloads whose ticket needs them no
more leave the disk, and headers the store.
"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import US_PER_S
from gateway.errors import Refusal
from gateway.exports import facts, payloads, ticket_rows
from gateway.exports.deciding import KEEP, judged
from gateway.exports.facts import Around
from gateway.exports.moving import Mover
from gateway.exports.ticket import OUT, UNRELEASED, Act, State, Ticket, overdue_us
from gateway.policy.engine import Engine
from gateway.store.database import Transaction

UNACKNOWLEDGED_KIND, UNACKNOWLEDGED_ALERT = "export.unacknowledged", "export-unacknowledged"
OVERDUE_ALERT = "export-overdue"
WITHDRAWN_CAUSE = "column-withdrawn"
# A recipient says so at once; a day later it is asked after (exports.md section 5, row 16).
_ACKNOWLEDGE_US = 86_400 * US_PER_S
# Nothing asks for a header after its ticket's window.
_FORGET = (
    "DELETE FROM gateway.export_header AS h USING gateway.ticket AS t"
    " WHERE t.ticket_id = h.ticket_id AND t.not_after_us <= %s"
)
_PAYLOAD = re.compile(r"(EX-[0-9]{8})\.(?:payload|part)", re.ASCII)


class Keeper:
    """Looks after the tickets of one door."""

    def __init__(
        self,
        mover: Mover,
        recorder: Recorder,
        engine: Callable[[], Engine],
        around: Callable[[Transaction], Awaitable[Around]],
        folder: Path,
    ) -> None:
        """Keep what the engine in force allows; payloads lie in the folder."""
        self._mover = mover
        self._recorder = recorder
        self._engine = engine
        self._around = around
        self._folder = folder
        self._asked_after: set[str] = set()

    async def look(self, base: Event) -> int:
        """Do what is due; return how many tickets moved. Raises StoreError, UnavailableError."""
        async with self._mover.database.transaction() as tx:
            around = await self._around(tx)
            ids = await ticket_rows.numbers(tx, sorted(UNRELEASED | OUT))
            proven = await ticket_rows.proven(tx, ids, self._mover.seal)
        for spoiled in sorted(set(ids) - {one.ticket_id for one in proven}):
            await self._mover.tell_tampered(spoiled, Act.REVOKE, base)
        moved = 0
        for ticket in proven:
            if ticket.state in UNRELEASED:
                moved += await self._judged(ticket, base)
            elif ticket.state in OUT:
                moved += await self._followed(ticket, around.now_us, base)
        await self._swept()
        return moved

    async def _judged(self, ticket: Ticket, base: Event) -> bool:
        """Revoke a ticket that may not stand any more; return whether it was."""
        async with self._mover.database.transaction() as tx:
            around = await self._around(tx)
            known = await facts.of(tx, ticket, around)
        found = judged(self._engine(), KEEP, ticket.plan, known, around)
        decision = found.decision
        if decision.error or (decision.allowed and not known.withdrawn):
            return False
        cause = WITHDRAWN_CAUSE if decision.allowed else "policy"
        return await self._move(ticket, Act.REVOKE, found.told(base, cause=cause))

    async def _followed(self, ticket: Ticket, now_us: int, base: Event) -> bool:
        """Ask after a file that nobody said was opened; tell of one that is overdue."""
        if ticket.state is not State.OVERDUE and now_us >= overdue_us(ticket):
            return await self._move(ticket, Act.LAPSE, base.with_(detail={"alert": OVERDUE_ALERT}))
        silent = ticket.state is State.RELEASED and now_us >= ticket.moved_us + _ACKNOWLEDGE_US
        if silent and ticket.ticket_id not in self._asked_after:
            self._asked_after.add(ticket.ticket_id)
            detail = {"ticket": ticket.ticket_id, "alert": UNACKNOWLEDGED_ALERT}
            await self._recorder.append(base.with_(kind=UNACKNOWLEDGED_KIND, detail=detail))
        return False

    async def _move(self, ticket: Ticket, act: Act, event: Event) -> bool:
        try:
            await self._mover.move(ticket, act, event)
        except Refusal as refusal:
            # Its leaf says why: somebody moved it a moment before, or it is not what it was.
            if refusal.leaf_index is None:
                raise
            return False
        return True

    async def _swept(self) -> None:
        """Unlink the payloads of tickets that need them no more."""
        lying = {
            found[1] for one in self._folder.iterdir() if (found := _PAYLOAD.fullmatch(one.name))
        }
        async with self._mover.database.transaction() as tx:
            around = await self._around(tx)
            await tx.execute(_FORGET, (around.now_us,))
            for ticket_id in sorted(lying):
                try:
                    ticket = await ticket_rows.read(tx, ticket_id)
                except Refusal:
                    continue  # a spoiled row: nobody gets it, and it may be put right
                if ticket is None or not _needs_payload(ticket, around.now_us):
                    payloads.remove(self._folder, ticket_id)


def _needs_payload(ticket: Ticket, now_us: int) -> bool:
    """Tell whether a payload may still be asked for, or is being written."""
    if ticket.state in UNRELEASED:
        return True
    return ticket.state is State.RELEASED and now_us < ticket.plan.not_after_us
