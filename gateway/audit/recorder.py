"""Puts leaves and their effects on the log: group commit, signature, receipt; fails closed.

    1 wait      join the group that forms while the previous one is committed
    2 effects   one after another in the group's transaction, each in a savepoint
    3 append    one audit_append of all leaves: the head row is locked last
    4 COMMIT    from here on it happened
    5 sign      the newest committed head; overlaps the next group's work, requests coalesce
    6 resolve   each caller gets its entry, or its own refusal with the leaf's index

When 2-5 fail for the group, every caller of it is refused (AUDIT_DEGRADED, SIGNER_AWAY), the state
is degraded, and the first leaf after the outage tells how long it was and how many were refused.
"""

import asyncio
from collections import deque

from gateway import log as process_log
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.event import Event
from gateway.audit.floods import Floods
from gateway.audit.group import Append, Effect, Entry, Group
from gateway.audit.log import Log, LogError
from gateway.audit.recovery import recover
from gateway.audit.signing import SignerError, SignerLink
from gateway.audit.state import Cause, State
from gateway.audit.tree import Tree
from gateway.clock import US_PER_S, Clock
from gateway.errors import Reason, refuse
from gateway.store.database import Database, StoreError
from gateway.tlog.merkle import MerkleError, inclusion_path
from gateway.tlog.proof import Proof

__all__ = ["Effect", "Entry", "Recorder"]

# Appends in one transaction: more would make the first wait long for the last.
GROUP_MAX = 64
_LOG = process_log.get("recorder")


class Recorder:
    """The one way onto the log for a process; `open` makes it, `close` ends it."""

    def __init__(
        self, database: Database, signer: SignerLink, door: str, clock: Clock, lanes: int
    ) -> None:
        """Use `open`."""
        self.database = database
        self.log = Log(database)
        self.state = State()
        self.door = door
        self.clock = clock
        self.signer = signer
        self.tree = Tree(0, [])
        self.checkpoints = Checkpoints(signer, self.log)
        self._floods = Floods(door)
        self._queue: deque[Append] = deque()
        self._ready = asyncio.Event()
        self._committed: list[Append] = []
        self._to_sign = asyncio.Event()
        self._idle = asyncio.Event()
        self._busy = 0
        self._last_us = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._lanes = lanes

    @classmethod
    async def open(
        cls, database: Database, signer: SignerLink, *, door: str, clock: Clock, lanes: int = 1
    ) -> "Recorder":
        """Return a recorder for `door`; while log or signer are away it is degraded and recovers by itself.

        `lanes`: how many groups may run their effects at the same time; the head is locked in turn.
        """
        recorder = cls(database, signer, door, clock, lanes)
        await signer.start()
        try:
            recorder.tree = await recorder.log.tree()
            await recorder.checkpoints.learn(recorder.tree)
            await recorder.checkpoints.cover(recorder.tree)
        except (StoreError, LogError, SignerError) as error:
            recorder.degrade(error)
        recorder._tasks = [asyncio.create_task(recorder._lane()) for _ in range(lanes)]
        recorder._tasks.append(asyncio.create_task(recorder._sign()))
        recorder._tasks.append(asyncio.create_task(recover(recorder)))
        return recorder

    @property
    def newest_checkpoint(self) -> str:
        """The newest checkpoint that this process knows, a signed note; "" before the first."""
        return self.checkpoints.note

    async def append(self, event: Event, effect: Effect | None = None) -> Entry:
        """Commit the leaf of `event` together with `effect`, and return its entry once it is signed.

        `effect` runs on the group's transaction and returns the event as it shall be recorded. Its
        Refusal is recorded as a deny with the reason (an error for INTERNAL and CANCELLED), gets
        `leaf_index`, and is raised; any other exception likewise as INTERNAL. In both cases what it
        did in the database is undone. Raises UnavailableError when the log cannot be written or
        signed: from COMMIT on the outcome is then unknown to the caller.
        """
        self.state.admit()
        append = Append(event, effect)
        self._note_clock_step()
        self._put(append)
        return await append.future

    async def append_limited(self, source: str, event: Event) -> Entry | None:
        """Append, unless `source` (an address prefix such as 10.8.0.0/24) floods: then only count.

        What is counted stands in one `suppressed` leaf per source and second; returns None then.
        """
        now_us = self.clock.now_us()
        if self._floods.admit(source, now_us):
            return await self.append(event)
        if self._floods.arm():
            self._tasks.append(asyncio.create_task(self._tell_floods()))
        return None

    async def proof(self, index: int, extra: bytes | None = None) -> str:
        """Return the tlog-proof text of an entry of whatever age to the newest checkpoint."""
        newest, note = self.checkpoints.newest, self.checkpoints.note
        return Proof(index, await self._path(index, newest.size), note, extra).text()

    async def close(self) -> None:
        """Finish what is in line, then refuse with SHUTTING_DOWN."""
        if self.state.phase == "normal":
            await self._floods_leaf()
        while self.state.phase in ("normal", "recovering") and (self._queue or self._busy or self._committed):
            await asyncio.sleep(0)
            self._idle.clear()
            if self._queue or self._busy or self._committed:
                await self._idle.wait()
        self.state.phase = "closed"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.signer.close()
