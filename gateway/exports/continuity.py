"""Whether this is the log that the door worked on last, or an older one, put back from a backup.

The door keeps the index and the hash of the newest leaf that it has seen, in HOME/exports, which no
backup holds, beside how far each ticket has come (`marks`). A log without that leaf is not the one,
nor one without marks: what was stopped since would stand again. So every ticket that somebody
approved and that was not released is revoked, by a leaf that says why; a released one stays owed,
and loses its key: it may have been called back since.

The leaf is the database's word, which its owner may change for a moment. So it only ends: a mark is
lowered where `ticket-versions` is absent alone, which is root's hand (decision 0025).
"""

import asyncio
import contextlib
import json
from contextlib import aclosing
from pathlib import Path

from gateway import log
from gateway.audit.event import Event
from gateway.config.folders import replace_private
from gateway.errors import Refusal, UnavailableError
from gateway.exports import ticket_rows
from gateway.exports.moving import Mover
from gateway.exports.ticket import UNRELEASED, Act, State
from gateway.store.database import StoreError, Transaction

MARK_FILE = "newest-leaf.json"
RESTORED_ALERT = "tickets-restored"
# (index, hash) of a leaf; the hash is lower hex.
Mark = tuple[int, str]
# An approval that stands may have been taken back since by a denial or a withdrawal.
_STANDING = sorted(UNRELEASED | {State.ONCE_APPROVED})
_CHANNEL, _EPOCH = "gateway_epoch", "ticket"
_NEWEST = (
    "SELECT e.idx, encode(e.leaf_hash, 'hex') FROM gateway.audit_entry AS e"
    " WHERE e.idx = (SELECT size - 1 FROM gateway.audit_head)"
)
_AT = "SELECT encode(leaf_hash, 'hex') FROM gateway.audit_entry WHERE idx = %s"
_LOG = log.get("exports")


class Continuity:
    """The door's memory of the log, in one file."""

    def __init__(self, mover: Mover, folder: Path) -> None:
        """Remember in this folder; move tickets by this hand."""
        self._mover = mover
        self._file = folder / MARK_FILE
        self._one_at_a_time = asyncio.Lock()

    async def look(self, base: Event) -> int:
        """Compare log and mark; return how many tickets were revoked, 0 for the same log.

        Called before the door serves, and from then on. Raises StoreError, what the recorder
        raises.
        """
        async with self._one_at_a_time:
            async with self._mover.database.transaction() as tx:
                same = await self._same(tx)
            done = 0 if same else await self._end_what_returned(base)
            await self._take_up()
            await self._keep()
        return done

    async def _end_what_returned(self, base: Event) -> int:
        """Revoke what stands again, and forget the keys; return how many were revoked."""
        async with self._mover.database.transaction() as tx:
            found = await ticket_rows.in_states(tx, _STANDING)
        told = base.with_(detail={"alert": RESTORED_ALERT, "cause": "restored"})
        done = 0
        for ticket in found:
            try:
                await self._mover.move(ticket, Act.REVOKE, told, put_back=True)
            except UnavailableError:
                raise
            except Refusal as refusal:
                # Its leaf says why; a row that the log does not know moves nowhere anyway.
                if refusal.leaf_index is None:
                    raise
                continue
            done += 1
        async with self._mover.database.transaction() as tx:
            keyed = await ticket_rows.headers(tx)
        for ticket_id in keyed:
            await self._mover.forget(ticket_id, told)
        return done

    async def _take_up(self) -> None:
        """Let the marks follow the tickets: a crash may have come between a move and its mark.

        Without marks they begin anew with what is proven; those that are there never fall.
        """
        seal = self._mover.seal
        put_back = not seal.marks.known
        async with self._mover.database.transaction() as tx:
            rows = await ticket_rows.versions(tx)
            ahead = [
                one for one, version in rows.items() if put_back or version > seal.marks.of(one)
            ]
            found = await ticket_rows.proven(tx, ahead, seal, put_back=put_back)
        if put_back:
            await seal.marks.put_back({one.ticket_id: one.version for one in found})
            return
        for one in found:
            await seal.marks.keep(one.ticket_id, one.version)

    async def serve(self, base: Event) -> None:
        """Keep the mark at every move of a ticket, until cancelled."""
        async with aclosing(self._mover.database.listen(_CHANNEL)) as notices:
            async for _, name in notices:
                if name not in ("", _EPOCH):
                    continue
                try:
                    await self.look(base)
                except (StoreError, UnavailableError) as error:
                    _LOG.warning("continuity.put_off", error=type(error).__name__)

    async def _same(self, tx: Transaction) -> bool:
        """Tell whether the log holds the leaf of the mark; no mark is not the same log."""
        mark = self._read()
        if mark is None or not self._mover.seal.marks.known:
            return False
        row = await tx.fetch_one(_AT, (mark[0],))
        return row is not None and row[0] == mark[1]

    async def _keep(self) -> None:
        async with self._mover.database.transaction() as tx:
            row = await tx.fetch_one(_NEWEST)
        if row is not None:
            replace_private(self._file, json.dumps({"index": row[0], "leaf_hash": row[1]}).encode())

    def _read(self) -> Mark | None:
        """Return the mark; None where there is none or it is not readable, which is no mark."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            table = json.loads(self._file.read_bytes())
            return int(table["index"]), str(table["leaf_hash"])
        return None
