"""What the gateway does to tickets by itself, each move with its leaf; and what the clock ends."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.config.exports import ApprovalRules
from gateway.errors import Reason, Refusal, refuse
from gateway.exports import ticket_rows
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import (
    NOTHING,
    PENDING,
    UNRELEASED,
    UNRULED,
    Act,
    Given,
    State,
    Ticket,
    ends_us,
    moved,
)
from gateway.store.database import Database, Transaction

# What else a move writes.
Also = Callable[[Transaction], Awaitable[None]]
# The gateway's own acts, as leaves call them: none of them is an rpc.
KINDS = {
    Act.EXPIRE: "export.expire",
    Act.BUILD: "export.build.begin",
    Act.SEAL: "export.build.end",
    Act.FAIL: "export.build.fail",
    Act.REVOKE: "export.stop",
    Act.LAPSE: "export.overdue",
}
FORGET_KIND = "export.forget"
TAMPERED_ALERT = "ticket-tampered"


def leaf_of(seal: TicketSeal, after: Ticket, event: Event) -> Event:
    """Return the leaf of a move: where to, and the MAC of the whole ticket after it."""
    moved_to = {
        "ticket": after.ticket_id,
        "plan_sha256": after.plan_sha256,
        "to_state": after.state.value,
        "ticket_version": after.version,
        "ticket_mac": seal.of(after),
    }
    return event.with_(detail={**(event.detail or {}), **moved_to})


class Mover:
    """Moves tickets for the gateway itself."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        rules: Callable[[], ApprovalRules],
        clock: Clock,
        seal: TicketSeal,
    ) -> None:
        """Move tickets of this database, telling this log; `rules` gives those in force."""
        self.database = database
        self.seal = seal
        self._recorder = recorder
        self._rules = rules
        self._clock = clock
        self._told: set[str] = set()

    async def move(
        self,
        ticket: Ticket,
        act: Act,
        base: Event,
        given: Given = NOTHING,
        also: Also | None = None,
        *,
        put_back: bool = False,
    ) -> Ticket:
        """Return the ticket after an act of the gateway's own, `also` done with it or not at all.

        `put_back`: also one that had come further before a backup was put back. Raises as
        `ticket.moved` and `ticket_rows.lock`; each refusal has its leaf. REVISION_STALE where it
        was moved since it was read, DISK_LOW.
        """
        found = {"ticket": ticket.ticket_id, "from_state": ticket.state.value}
        event = base.with_(kind=KINDS[act], detail={**(base.detail or {}), **found})
        after: list[Ticket] = []

        async def work(tx: Transaction) -> Event:
            before = await ticket_rows.lock(tx, ticket.ticket_id, self.seal, put_back=put_back)
            if before.version != ticket.version:
                raise refuse(Reason.REVISION_STALE)
            now_us = await ticket_rows.now_us(tx, self._clock)
            rules = None if act in UNRULED else self._rules()
            # What comes after it is above its mark in any case.
            version = max(before.version, self.seal.marks.of(before.ticket_id))
            done = moved(replace(before, version=version), act, None, now_us, rules, given)
            after.append(await ticket_rows.move(tx, before, done))
            if also is not None:
                await also(tx)
            return leaf_of(self.seal, done, event)

        await self._recorder.append(event, work)
        await self.seal.marks.keep(after[-1].ticket_id, after[-1].version)
        return after[-1]

    async def forget(self, ticket_id: str, base: Event) -> None:
        """Delete the header of a ticket, which stays as it is, with a leaf of its own."""
        event = base.with_(kind=FORGET_KIND, detail={**(base.detail or {}), "ticket": ticket_id})

        async def work(tx: Transaction) -> Event:
            await ticket_rows.forget_header(tx, ticket_id)
            return event

        await self._recorder.append(event, work)

    async def tell_tampered(self, ticket_id: str, act: Act, base: Event) -> None:
        """Put a row that is not what the log says on the log, once in this process's life."""
        if ticket_id not in self._told:
            self._told.add(ticket_id)
            detail = {"ticket": ticket_id, "alert": TAMPERED_ALERT}
            event = base.with_(kind=KINDS[act], decision="deny", detail=detail)
            await self._recorder.append(event.with_(reason=Reason.TICKET_TAMPERED.value))

    async def expire(self, base: Event) -> int:
        """End what waited too long, or whose window is over; return how many that were.

        Nobody waits for it: every act asks the clock itself. Raises StoreError, POLICIES_UNUSABLE,
        what the recorder raises.
        """
        rules = self._rules()
        async with self.database.transaction() as tx:
            now_us = await ticket_rows.now_us(tx, self._clock)
            found = await ticket_rows.in_states(tx, sorted(PENDING | UNRELEASED | {State.DRAFT}))
            due = [one.ticket_id for one in found if now_us >= ends_us(one, rules)]
            proven = await ticket_rows.proven(tx, due, self.seal)
        for spoiled in sorted(set(due) - {one.ticket_id for one in proven}):
            await self.tell_tampered(spoiled, Act.EXPIRE, base)
        done = 0
        for one in proven:
            try:
                await self.move(one, Act.EXPIRE, base)
            except Refusal as refusal:
                # Its leaf says why: somebody moved it a moment before.
                if refusal.leaf_index is None:
                    raise
                continue
            done += 1
        return done
