"""One commit group: effects in savepoints, their leaves, one audit_append, COMMIT."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from gateway.audit import ground
from gateway.audit.event import Event, EventError
from gateway.audit.ground import Ground
from gateway.audit.signing import SignerAwayError
from gateway.errors import Reason, Refusal, UnavailableError
from gateway.store.database import Database, StoreAwayError, StoreError, Transaction
from gateway.tlog.leaf import LeafError

# Runs on the group's transaction and returns the event as it shall be recorded. It may run in a
# transaction that is undone afterwards: what it keeps outside the database must stand that.
Effect = Callable[[Transaction], Awaitable[Event]]


class Joint(ABC):
    """An effect that runs in one go with its neighbours in the group that are of the same class."""

    @abstractmethod
    async def __call__(self, transaction: Transaction, /) -> Event:
        """Run alone."""

    @classmethod
    @abstractmethod
    async def together(cls, transaction: Transaction, effects: Sequence[Self], /) -> list[Event]:
        """Run all of them, as if one after another, and return their events.

        What it raises undoes the group; then each runs alone, and the one that fails is found.
        """


_SAVEPOINT = "SAVEPOINT effect"
_ROLLBACK = "ROLLBACK TO SAVEPOINT effect"
# After these only the statement failed, not the connection: rollback (40), lock timeout (55P03),
# cancelled by timeout (57014).
_STATEMENT_ONLY = ("40", "55P03", "57014")
# Refusals that are not a judgement on the caller.
_ERROR_CODES = frozenset({"INTERNAL", "CANCELLED"})


class CommitUnknownError(StoreError):
    """The connection was lost during COMMIT: whether the group is on the log is unknown."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf on the log.

    Its index and bytes, and the path that proves it under a checkpoint of `size`.
    """

    index: int
    leaf: bytes
    size: int
    checkpoint: str
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """What a group's COMMIT brought.

    The log's size and root after it, and leaf hashes `since`..size-1.
    """

    first: int
    size: int
    root: bytes
    since: int
    hashes: bytes | None


class Append:
    """One caller's leaf and effect on their way to the log."""

    __slots__ = ("counted", "effect", "error", "event", "future", "index", "leaf")

    def __init__(self, event: Event, effect: Effect | None = None, *, counted: bool = True) -> None:
        """Wait for a group; `counted` is False for the recorder's own leaves."""
        self.event = event
        self.effect = effect
        self.counted = counted
        self.future: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self.leaf = b""
        self.index = -1
        # What the caller gets once the leaf that tells of it is on the log.
        self.error: Exception | None = None

    def undone(self, error: Exception) -> None:
        """Record the event as refused or failed instead; its effect is not run again."""
        reason = error.reason if isinstance(error, Refusal) else Reason.INTERNAL
        failed = not isinstance(error, Refusal) or error.code in _ERROR_CODES
        if isinstance(error, Refusal) and isinstance(error.event, Event):
            self.event = error.event
        if isinstance(error, EventError | LeafError):
            self.event = self.event.bare()
        self.event = self.event.with_(decision="error" if failed else "deny", reason=reason.value)
        self.effect, self.error = None, error

    def settle(self, entry: Entry) -> None:
        """Give the caller the entry, or its own error with the leaf's index."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(entry)
            return
        if isinstance(self.error, Refusal):
            self.error.leaf_index = entry.index
        self.future.set_exception(self.error)

    def fail(self, error: Exception) -> None:
        """Tell the caller that there is no entry, or none that is known."""
        if isinstance(error, UnavailableError):
            error.committed = self.index >= 0
        if not self.future.done():
            self.future.set_exception(error)


class _UndoneError(Exception):
    """An effect failed without a savepoint: the group's transaction is rolled back whole."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a group needs from its recorder at the moment it needs it."""

    since: Callable[[], int]
    time_us: Callable[[], int]
    signer_there: Callable[[], bool]
    stand_on: Callable[[Ground], None]


async def commit(database: Database, group: Sequence[Append], terms: Terms) -> Committed:
    """Commit the group; afterwards every Append has its leaf and index.

    Raises SignerAwayError before COMMIT when the signer is known to be away, LogError when the log
    lies elsewhere than before, CommitUnknownError, StoreError: in none of them may a caller be told
    that anything happened.
    """
    try:
        # Effects seldom fail, and the round trip for a savepoint costs as much as a small effect.
        return await _attempt(database, group, terms, savepoints=False)
    except _UndoneError:
        # The failed one is recorded as refused now; the others run again, each for itself.
        return await _attempt(database, group, terms, savepoints=True)


async def _attempt(
    database: Database, group: Sequence[Append], terms: Terms, *, savepoints: bool
) -> Committed:
    appended = False
    try:
        async with database.transaction() as transaction:
            for _, run in groupby(group, _kind):
                await _run(transaction, list(run), terms, savepoints=savepoints)
            if not terms.signer_there():
                raise SignerAwayError("the signer is away")
            since = terms.since()
            leaves = [each.leaf for each in group]
            row = await transaction.fetch_one(ground.APPEND, (leaves, since))
            if row is None:
                raise StoreError("audit_append answers nothing")
            first, size, root, hashes, *found = row
            terms.stand_on(ground.read(found))
            appended = True
    except StoreAwayError as error:
        if appended:
            raise CommitUnknownError(str(error), sqlstate=error.sqlstate) from error
        raise
    for index, each in enumerate(group, first):
        each.index = index
    return Committed(first, size, bytes(root), since, None if hashes is None else bytes(hashes))


def _kind(append: Append) -> object:
    """Return what neighbours have in common that run in one go; nothing is common to others."""
    return type(append.effect) if isinstance(append.effect, Joint) else append


async def _run(
    transaction: Transaction, run: Sequence[Append], terms: Terms, *, savepoints: bool
) -> None:
    """Run the effects of neighbours of one kind."""
    effects = [each.effect for each in run if isinstance(each.effect, Joint)]
    if savepoints or len(effects) <= 1:
        for each in run:
            await _perform(transaction, each, terms, savepoints=savepoints)
        return
    try:
        events = await type(effects[0]).together(transaction, effects)
        for each, event in zip(run, events, strict=True):
            each.leaf = event.to_leaf(terms.time_us())
    except Exception as error:  # whose failure it is turns out when each runs alone
        if isinstance(error, StoreAwayError) and not error.sqlstate.startswith(_STATEMENT_ONLY):
            raise
        raise _UndoneError from error


async def _perform(
    transaction: Transaction, append: Append, terms: Terms, *, savepoints: bool
) -> None:
    """Run an append's effect and make its leaf.

    Whatever the effect raises becomes the leaf's reason.
    """
    marked = append.effect is not None and savepoints
    if marked:
        # Never released: a deeper savepoint of the same name costs less than a round trip.
        await transaction.execute(_SAVEPOINT)
    try:
        event = append.event
        if append.effect is not None:
            event = await append.effect(transaction)
        append.leaf = event.to_leaf(terms.time_us())
        return
    except StoreAwayError as error:
        if not error.sqlstate.startswith(_STATEMENT_ONLY):
            raise
        failure: Exception = error
    except Exception as error:  # noqa: BLE001  an effect's failure is its caller's, the group goes on
        failure = error
    had_effect = append.effect is not None
    append.undone(failure)
    if marked:
        await transaction.execute(_ROLLBACK)
    elif had_effect:
        raise _UndoneError
    append.leaf = _leaf(append, terms.time_us())


def _leaf(append: Append, time_us: int) -> bytes:
    """Return the leaf of an event whose effect is undone, or of what can be told of it."""
    try:
        return append.event.to_leaf(time_us)
    except (EventError, LeafError) as error:
        append.undone(error)
        return append.event.to_leaf(time_us)
