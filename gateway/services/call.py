"""One call and its one leaf: what a service method is given, and how it puts its effect on the log."""

import asyncio
import secrets
import uuid
from typing import TypeVar

from gateway.audit.event import Event
from gateway.audit.recorder import Effect, Entry, Recorder
from gateway.errors import Reason, Refusal
from gateway.identity.principal import Principal
from gateway.link.connection import Connection
from gateway.services.access import Rpc

Result = TypeVar("Result")

# Reasons that only the recorder gives: nothing could be written, it counted the call itself for its recovery leaf.
UNRECORDABLE = frozenset({Reason.AUDIT_DEGRADED, Reason.SIGNER_AWAY})


class Call:
    """A call on its way through the guard: each check adds what it found, the method records or leaves it to the guard.

    `record` may be used once: a call has exactly one leaf. A method that changes something passes the change as the
    effect, so that both stand in one transaction; a method that only reads may `note` what it found and return.
    """

    __slots__ = ("_append", "_recorder", "connection", "event", "principal", "raw", "request_id", "rpc")

    def __init__(self, recorder: Recorder, event: Event, rpc: Rpc | None) -> None:
        """Begin a call of a known rpc, or of None; its request id is ours until the caller's own is read."""
        self._recorder = recorder
        self._append: asyncio.Task[Entry] | None = None
        self.rpc = rpc
        self.request_id = new_id()
        self.event = event.with_(request_id=self.request_id)
        self.connection: Connection | None = None
        self.principal: Principal | None = None
        self.raw = b""

    @property
    def recorded(self) -> bool:
        """Whether the call's leaf is written, being written, or was found impossible to write."""
        return self._append is not None

    @property
    def caller(self) -> Principal:
        """The authenticated caller of an rpc that needs a token."""
        if self.principal is None:
            raise RuntimeError("an rpc without token has no principal")
        return self.principal

    @property
    def link(self) -> Connection:
        """The connection, known since the first check."""
        if self.connection is None:
            raise RuntimeError("the connection is not known yet")
        return self.connection

    def batch(self) -> "Call":
        """Return a call for one batch of this stream: the same caller, a leaf of its own."""
        one = Call(self._recorder, self.event, self.rpc)
        one.connection = self.connection
        one.principal = self.principal
        return one

    def note(self, **fields: object) -> None:
        """Add fields of the leaf (see audit.event): only what the allow-list knows, never personal data."""
        self.event = self.event.with_(**fields)

    async def record(self, effect: Effect | None = None, **fields: object) -> Entry:
        """Commit the leaf together with the effect; returns the entry, or raises the effect's refusal once on the log.

        Once begun it is finished even when the caller goes away: a cancel cannot part an effect from its leaf.
        """
        if self._append is not None:
            raise RuntimeError("a call has exactly one leaf")
        self.note(**fields)
        self._append = asyncio.create_task(self._recorder.append(self.event, effect))
        self._append.add_done_callback(_seen)
        return await asyncio.shield(self._append)


def on_log(refusal: Refusal) -> bool:
    """Return whether a refusal needs no leaf any more: it has one, or the recorder has counted it."""
    return refusal.leaf_index is not None or refusal.reason in UNRECORDABLE


def new_id() -> str:
    """Return a random UUID, version 4."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def _seen(task: asyncio.Task[Entry]) -> None:
    """Take note of the outcome of an append whose caller is gone; asyncio would print its exception."""
    if not task.cancelled():
        task.exception()
