"""Puts leaves and their effects on the log: group commit, signature, receipt; fails closed.

    1 wait      join the group that forms while the previous one is committed
    2 effects   one after another in the group's transaction, neighbours of one kind together
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
from gateway.audit.ground import Ground
from gateway.audit.group import Append, Committed, CommitUnknownError, Effect, Entry, Terms, commit
from gateway.audit.log import Log, LogError
from gateway.audit.recovery import FAILURES, cause_of, recover
from gateway.audit.signing import SignerAwayError, SignerLink
from gateway.audit.state import State
from gateway.audit.tree import Tree
from gateway.clock import US_PER_S, Clock
from gateway.errors import Reason, UnavailableError, refuse
from gateway.store.database import Database
from gateway.tlog.merkle import inclusion_path
from gateway.tlog.proof import Proof

__all__ = ["Effect", "Entry", "Recorder"]

# Appends in one transaction: more would make the first wait long for the last.
GROUP_MAX = 64
# How long a group waits for members: it costs as much as three of them, in COMMIT, signature and
# the callers' own verification. Measured with sixteen senders, one upload in flight each.
COMPANY_S = 0.0015
# A wall clock that goes back further is told on the log; less is smoothed over.
STEP_US = US_PER_S
_LOG = process_log.get("recorder")


class Recorder:
    """The one way onto the log for a process; `open` makes it, `close` ends it."""

    def __init__(self, database: Database, signer: SignerLink, door: str, clock: Clock) -> None:
        """Use `open`."""
        self.database = database
        self.log = Log(database)
        self.state = State()
        self.door = door
        self.clock = clock
        self.signer = signer
        self.tree = Tree(0, [])
        self.checkpoints = Checkpoints(signer, self.log)
        self.outage = asyncio.Event()
        self._floods = Floods(door)
        self._queue: deque[Append] = deque()
        self._open: set[asyncio.Future[Entry]] = set()
        self._ready = asyncio.Event()
        self._committed: list[Append] = []
        self._to_sign = asyncio.Event()
        self._at_work = 0
        self._last_us = 0
        self._tasks: list[asyncio.Task[None]] = []
        # What the log stands on, as the last group found it; None: the next one says.
        self.ground: Ground | None = None
        here = (lambda: self.tree.size, self._time_us, lambda: signer.available, self._stand_on)
        self._terms = Terms(*here)

    @classmethod
    async def open(
        cls, database: Database, signer: SignerLink, *, door: str, clock: Clock, lanes: int = 1
    ) -> "Recorder":
        """Return the recorder of a door; while log or signer are away it is degraded, not absent.

        `lanes`: how many groups may run their effects at a time; the head is locked in turn.
        """
        recorder = cls(database, signer, door, clock)
        await signer.start()
        try:
            recorder.tree = await recorder.log.tree()
            await recorder.checkpoints.learn(recorder.tree)
            await recorder.checkpoints.cover(recorder.tree)
        except FAILURES as error:
            recorder.degrade(error)
        loops = [recorder._sign(), recorder._tell_floods(), recover(recorder)]
        loops += [recorder._lane() for _ in range(lanes)]
        recorder._tasks = [asyncio.create_task(each) for each in loops]
        return recorder

    @property
    def newest_checkpoint(self) -> str:
        """The newest checkpoint that this process knows, a signed note; "" before the first."""
        return self.checkpoints.note

    @property
    def busy(self) -> bool:
        """Whether a group or a signature is under way."""
        return bool(self._at_work or self._committed)

    async def append(self, event: Event, effect: Effect | None = None) -> Entry:
        """Commit the leaf of `event` together with `effect`; return its entry once it is signed.

        `effect` runs on the group's transaction and returns the event as it shall be recorded. Its
        Refusal is recorded as a deny with the reason (an error for INTERNAL and CANCELLED), gets
        `leaf_index` and is raised; any other exception likewise as INTERNAL. In both cases what it
        did in the database is undone. Raises UnavailableError when the log cannot be written or
        signed: the caller cannot know then whether the leaf is on the log.
        """
        if self.state.phase == "normal" and not self.signer.available:
            self.degrade(SignerAwayError("the signer is away"))
        self.state.admit()
        self._watch_clock()
        append = Append(event, effect)
        self._put(append)
        return await append.future

    async def append_limited(self, source: str, event: Event) -> Entry | None:
        """Append, unless `source` (an address prefix such as 10.8.0.0/24) floods: then only count.

        What is counted stands in one `suppressed` leaf per source, alert and second: None then.
        """
        if self._floods.admit(source, self.clock.now_us(), event.alert):
            return await self.append(event)
        return None

    async def proof(self, index: int, extra: bytes | None = None) -> str:
        """Return the tlog-proof text of an entry of whatever age under the newest checkpoint."""
        newest, note = self.checkpoints.newest, self.checkpoints.note
        path = await self._path(index, newest.size)
        return Proof(index, tuple(path), note, extra).text()

    async def close(self) -> None:
        """Finish what is in line, then refuse with SHUTTING_DOWN."""
        await self._append_floods()
        while self._open:
            await asyncio.wait(self._open)
        self.state.phase = "closed"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.signer.close()

    def degrade(self, error: Exception) -> None:
        """Refuse from now on, also what waits in line, until recovery."""
        cause = cause_of(error)
        if not self.state.degraded or cause != self.state.cause:
            _LOG.error("log not writable", cause=cause, error=type(error).__name__, why=str(error))
        self.state.degrade(cause, self.clock.now_us())
        self.outage.set()
        queue, self._queue = self._queue, deque()
        self._refuse(list(queue), unknown=False)

    async def run(self, group: list[Append]) -> None:
        """Commit a group and hand it to the signing loop, or refuse all of it."""
        self._at_work += 1
        try:
            await self._integrate(await commit(self.database, group, self._terms))
        except asyncio.CancelledError:
            self._stop(group)
            raise
        except Exception as error:  # noqa: BLE001  the outermost handler: a lane must not die
            self.degrade(error)
            # An index is given after COMMIT only: what failed then is on the log.
            committed = group[0].index >= 0
            self._refuse(group, unknown=committed or isinstance(error, CommitUnknownError))
        else:
            self._committed += group
            self._to_sign.set()
        finally:
            self._at_work -= 1

    def resume(self) -> None:
        """Take up what waits in line."""
        self._ready.set()

    def _put(self, append: Append) -> None:
        self._queue.append(append)
        self._open.add(append.future)
        append.future.add_done_callback(self._open.discard)
        self._ready.set()

    async def _lane(self) -> None:
        last = 0
        while True:
            await self._ready.wait()
            # Much fewer than last time: the others are on their way. A lone caller waits once only.
            await asyncio.sleep(COMPANY_S if 2 * len(self._queue) < last else 0)
            group = self._take() if self.state.phase == "normal" else []
            if group:
                last = len(group)
                await self.run(group)
            else:
                self._ready.clear()

    def _take(self) -> list[Append]:
        """Take the next group from the line, without those whose callers went away."""
        group: list[Append] = []
        while self._queue and len(group) < GROUP_MAX:
            append = self._queue.popleft()
            if not append.future.done():
                group.append(append)
        return group

    async def _integrate(self, done: Committed) -> None:
        """Let the tree in memory grow by what was committed, here and elsewhere.

        Checks the root.
        """
        if done.size <= self.tree.size:
            return
        if done.hashes is None:
            self.tree = await self.log.tree()
            return
        self.tree.extend(done.since, done.hashes)
        if self.tree.size == done.size and self.tree.root() != done.root:
            raise LogError("ROOT_DIFFERS", "the database's tree is not this process's")

    async def _sign(self) -> None:
        while True:
            await self._to_sign.wait()
            self._to_sign.clear()
            covered, self._committed = self._committed, []
            self._at_work += 1
            try:
                await self.checkpoints.cover(self.tree)
                for append in covered:
                    append.settle(await self._entry(append))
            except asyncio.CancelledError:
                self._stop(covered)
                raise
            except Exception as error:  # noqa: BLE001  the outermost handler: the loop must not die
                self.degrade(error)
                self._refuse(covered, unknown=True)
            finally:
                self._at_work -= 1

    async def _entry(self, append: Append) -> Entry:
        newest, note = self.checkpoints.newest, self.checkpoints.note
        path = await self._path(append.index, newest.size)
        return Entry(append.index, append.leaf, newest.size, note, tuple(path))

    async def _path(self, index: int, size: int) -> list[bytes]:
        """Return an audit path from memory, or from the database when the entry is too old."""
        try:
            return inclusion_path(self.tree.node, index, size)
        except LookupError:
            return await self.log.inclusion(index, size)

    def _refuse(self, appends: list[Append], *, unknown: bool) -> None:
        for each in appends:
            if not each.future.done():
                uncounted = refuse(Reason.AUDIT_DEGRADED)
                each.fail(self.state.refusal(unknown=unknown) if each.counted else uncounted)

    def _stop(self, appends: list[Append]) -> None:
        for each in appends:
            each.fail(refuse(Reason.SHUTTING_DOWN))

    def _stand_on(self, found: Ground) -> None:
        self.ground = found.follow(self.ground)

    def _time_us(self) -> int:
        """Return the time of a leaf: never before the previous one's, but for a told clock step."""
        self._last_us = max(self._last_us, self.clock.now_us())
        return self._last_us

    def _watch_clock(self) -> None:
        """Put a leaf in line when the wall clock went back; from then on leaves follow it."""
        now_us = self.clock.now_us()
        if now_us >= self._last_us - STEP_US:
            return
        steps = {"clock_from_us": self._last_us, "clock_until_us": now_us}
        self._last_us = now_us
        own = Append(Event(kind="log.clock", door=self.door, detail=steps), counted=False)
        own.future.add_done_callback(_seen)
        self._put(own)

    async def _tell_floods(self) -> None:
        while True:
            await self._floods.wait()
            await asyncio.sleep(1)
            await self._append_floods()

    async def _append_floods(self) -> None:
        for count in self._floods.collect():
            try:
                await self.append(self._floods.event(count))
            except UnavailableError:
                self._floods.count(count)


def _seen(future: asyncio.Future[Entry]) -> None:
    """Take note of the fate of a leaf that nobody waits for; asyncio would print its exception."""
    if not future.cancelled():
        future.exception()
