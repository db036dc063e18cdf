"""The gateway's own part in a ticket: what two persons approved is built, as soon as it may be.

    1 judge   signatures, persons, certificates, tunnel, policy, as they are now
    2 begin   on the log
    3 build   the file
    4 seal    header, children and the ticket's move in one transaction with its leaf

What the policy does not allow any more is revoked, what cannot be built has failed; both say why. A
crash leaves the ticket as building: the next look begins it anew. A header is written with the move
to `sealed` or not at all, so that there are never two.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass

from cryptography.x509 import Certificate

from gateway import log
from gateway.audit.event import Event
from gateway.errors import Reason, Refusal, UnavailableError
from gateway.exports import facts, payloads, ticket_rows
from gateway.exports.build import BuildError, Output, Sources, build
from gateway.exports.deciding import BUILD, Judged, judged
from gateway.exports.facts import Around
from gateway.exports.keeping import WITHDRAWN_CAUSE
from gateway.exports.moving import Mover
from gateway.exports.ticket import Act, Given, State, Ticket
from gateway.policy.engine import Engine
from gateway.store.database import StoreError, Transaction
from gateway.store.export_keys import ExportKeyError

_CHANNEL, _EPOCH = "gateway_epoch", "ticket"
_KEEP_CHILDREN = """
INSERT INTO gateway.export_child (ticket_id, child_tag) SELECT %s, unnest(%b::bytea[])
"""
_LOG = log.get("exports")


@dataclass(frozen=True, slots=True)
class Cleared:
    """A ticket as the log knows it, what the policy says of building it, and for which reader."""

    ticket: Ticket
    judged: Judged
    certificate: Certificate | None
    withdrawn: bool = False


class Builder:
    """Builds for one door, a ticket at a time."""

    def __init__(
        self,
        sources: Sources,
        mover: Mover,
        engine: Callable[[], Engine],
        around: Callable[[Transaction], Awaitable[Around]],
        whole_birth_for: Callable[[], Collection[str]],
        room: Callable[[], Awaitable[bool]],
    ) -> None:
        """Build from these sources what the engine in force allows.

        `whole_birth_for` gives the purposes that need days of birth (exports.toml of the bundle);
        without `room`, on the disk and in a backup, what waits goes on waiting.
        """
        self._room = room
        self._sources = sources
        self._mover = mover
        self._engine = engine
        self._around = around
        self._whole_birth_for = whole_birth_for
        self._one_at_a_time = asyncio.Lock()

    async def serve(self, base: Event) -> None:
        """Build what waits as soon as a ticket moved, until cancelled.

        What begins without a move (a window) waits for the next chore.
        """
        news = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear(news))
            while True:
                try:
                    await self.look(base)
                except (StoreError, UnavailableError) as error:
                    _LOG.warning("build.put_off", error=type(error).__name__)
                await news.wait()
                news.clear()

    async def look(self, base: Event) -> int:
        """Build what waits; return how many were sealed. Raises StoreError, UnavailableError."""
        if not await self._room():
            return 0
        async with self._one_at_a_time:
            async with self._sources.database.transaction() as tx:
                waiting = await ticket_rows.in_states(tx, [State.APPROVED, State.BUILDING])
            return sum([await self._one(ticket, base) for ticket in waiting])

    async def _hear(self, news: asyncio.Event) -> None:
        async with aclosing(self._sources.database.listen(_CHANNEL)) as notices:
            async for _, name in notices:
                if name in ("", _EPOCH):
                    news.set()

    async def _one(self, ticket: Ticket, base: Event) -> bool:
        """Build a ticket; return whether it is sealed. A refusal that is on the log ends it."""
        try:
            cleared = await self._cleared(ticket)
            return cleared is not None and await self._built(cleared, base)
        except UnavailableError:
            # Whether the last move is on the log is unknown: the next look finds out, files stay.
            raise
        except ExportKeyError as error:
            # Nobody can sign it now: it waits, begun or not, for the next look.
            _LOG.error("build.put_off", why=str(error))
            return False
        except Refusal as refusal:
            if refusal.reason is Reason.TICKET_TAMPERED and refusal.leaf_index is None:
                await self._mover.tell_tampered(ticket.ticket_id, Act.BUILD, base)
            payloads.remove(self._sources.folder, ticket.ticket_id)
            return False

    async def _cleared(self, ticket: Ticket) -> Cleared | None:
        """Judge a ticket as log and register know it now; None where it is not its time.

        Raises TICKET_TAMPERED, REVISION_STALE.
        """
        async with self._sources.database.transaction() as tx:
            found = await ticket_rows.lock(tx, ticket.ticket_id, self._mover.seal)
            around, plan = await self._around(tx), found.plan
            in_window = plan.not_before_us <= around.now_us < plan.not_after_us
            if found.version != ticket.version or found.held or not in_window:
                return None
            known = await facts.of(tx, found, around)
            if known.overdue:
                # What the province approved waits for the proof of an earlier destruction.
                return None
            named = await facts.named(tx, plan.encryption_certificate_sha256, around)
        judgement = judged(self._engine(), BUILD, plan, known, around)
        if judgement.decision.error:
            # No decision is no reason to end it; the engine logged it, and nothing is built.
            return None
        certificate = None if named is None else named.certificate
        return Cleared(found, judgement, certificate, withdrawn=bool(known.withdrawn))

    async def _built(self, cleared: Cleared, base: Event) -> bool:
        ticket, decision = cleared.ticket, cleared.judged.decision
        event = cleared.judged.told(base)
        if not decision.allowed or cleared.certificate is None or cleared.withdrawn:
            cause = WITHDRAWN_CAUSE if decision.allowed and cleared.withdrawn else "policy"
            await self._mover.move(ticket, Act.REVOKE, cleared.judged.told(base, cause=cause))
            payloads.remove(self._sources.folder, ticket.ticket_id)
            return False
        if ticket.state is State.APPROVED:
            ticket = await self._mover.move(ticket, Act.BUILD, event)
        try:
            output = await build(
                self._sources,
                ticket,
                cleared.certificate,
                bundle=decision.bundle,
                whole_birth=ticket.plan.purpose in self._whole_birth_for(),
            )
        except BuildError as error:
            told = cleared.judged.told(base, cause=error.cause)
            await self._mover.move(ticket, Act.FAIL, told)
            return False
        await self._seal(ticket, output, event)
        return True

    async def _seal(self, ticket: Ticket, output: Output, event: Event) -> None:
        """Move to `sealed` with the header and the tags of the children, all or nothing."""

        async def keep(tx: Transaction) -> None:
            await ticket_rows.keep_header(tx, ticket.ticket_id, output.header)
            await tx.execute(_KEEP_CHILDREN, (ticket.ticket_id, sorted(output.child_tags)))

        built = output.built
        digests = {
            "payload_sha256": built.payload_sha256,
            "manifest_sha256": built.manifest_sha256,
        }
        counts = {"rows": built.rows, "children": built.children, "bytes": built.payload_bytes}
        told = event.with_(counts=counts, detail={**(event.detail or {}), **digests})
        await self._mover.move(ticket, Act.SEAL, told, Given(built=built), keep)
