"""One call and its one leaf.

What a service method is given, and how it puts its effect on the log.
"""

import asyncio
import ipaddress
import secrets
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Literal, TypeVar

from gateway.audit.event import Event
from gateway.audit.parts import Sealed
from gateway.audit.recorder import Effect, Entry, Recorder
from gateway.errors import Reason, Refusal
from gateway.identity import breakglass
from gateway.identity.principal import Principal
from gateway.identity.token import Claims
from gateway.link.connection import Connection
from gateway.services.access import Rpc
from gateway.store.database import Transaction

Result = TypeVar("Result")
Leaf = TypeVar("Leaf", Entry, Entry | None)

# Whatever becomes of such a call, its leaf is critical.
_CRITICAL = "breakglass."

# Reasons that only the recorder gives: nothing could be written, it counted the call itself for
# its recovery leaf.
UNRECORDABLE = frozenset({Reason.AUDIT_DEGRADED, Reason.SIGNER_AWAY})
# Where nobody can say who called, and how much of an IPv6 address is one's own to change.
_NOBODY = "0.0.0.0/0"
_PREFIX_V6 = 64


class Call:
    """A call on its way through the guard.

    Each check adds what it found, the method records or leaves it to the guard.

    `record` may be used once: a call has exactly one leaf. A method that changes something passes
    the change as the effect, so that both stand in one transaction; a method that only reads may
    `note` what it found and return.
    """

    __slots__ = (
        "_append",
        "_blamed",
        "_claims",
        "_connection",
        "_principal",
        "_recorder",
        "_sealed",
        "charged",
        "defect",
        "event",
        "permitted",
        "raw",
        "request_id",
        "rpc",
    )

    def __init__(self, recorder: Recorder, event: Event, rpc: Rpc | None) -> None:
        """Begin a call of a known rpc, or of None.

        Its request id is ours until the caller's own is read.
        """
        self._recorder = recorder
        self._append: asyncio.Task[Entry | None] | None = None
        self._blamed: dict[Refusal, str] = {}
        self._claims: Claims | None = None
        self._connection: Connection | None = None
        self._principal: Principal | None = None
        self._sealed: Sealed | None = None
        self.rpc = rpc
        # What is wrong with the certificate, since check 2; calls served all the same see it.
        self.defect: Reason | None = None
        # Whose measure of calls check 7 took one of; the account's also where it had none left.
        self.charged: Literal["connection", "account"] | None = None
        self.request_id = new_id()
        self.event = event.with_(request_id=self.request_id)
        if event.kind.startswith(_CRITICAL):
            self.note(detail={"alert": breakglass.ALERT})
        self.permitted = False
        self.raw = b""

    @property
    def recorded(self) -> bool:
        """Whether the call's leaf is written, being written, or was found impossible to write."""
        return self._append is not None

    @property
    def appending(self) -> asyncio.Task[Entry | None] | None:
        """The leaf on its way to the log, once `record` was called."""
        return self._append

    @property
    def known(self) -> Rpc:
        """The rpc, once the method was found to be known."""
        return _established(self.rpc)

    @property
    def action(self) -> str:
        """The rpc's name, which is the policy's action."""
        return self.known.name

    @property
    def link(self) -> Connection:
        """The connection, since check 1."""
        return _established(self._connection)

    @property
    def connection(self) -> str | None:
        """The connection's name, None where check 1 did not find it."""
        return self._connection.name if self._connection else None

    @property
    def source(self) -> str:
        """The network that floods are counted by: the peer's own, for it came by a tunnel."""
        if self._connection is None:
            return _NOBODY
        address = ipaddress.ip_address(self._connection.peer.rpartition(":")[0].strip("[]"))
        length = min(address.max_prefixlen, _PREFIX_V6)
        return str(ipaddress.ip_network((address, length), strict=False))

    @property
    def caller(self) -> Principal:
        """The authenticated caller, since check 5."""
        return _established(self._principal)

    @property
    def principal(self) -> Principal | None:
        """The caller where a token was welcome and sent, None where it was not."""
        return self._principal

    @property
    def claims(self) -> Claims:
        """What the caller's token says, since check 5."""
        return _established(self._claims)

    def connect(self, connection: Connection) -> None:
        """Take what the front knows of the connection, for the leaf too."""
        self._connection = connection
        self.note(
            organisation=connection.organisation,
            # At the enrolment listener there is no certificate.
            subject=connection.subject or None,
            certificate=connection.certificate_sha256 or None,
            serial=connection.serial or None,
            connection=connection.name,
            peer=connection.peer,
            listener=connection.listener,
            ingress=connection.origin.ingress,
            tunnel=connection.origin.tunnel,
            strength=connection.origin.strength,
        )

    def identify(self, principal: Principal, claims: Claims) -> None:
        """Take the established principal, for the leaf too, and the claims it follows from."""
        self._claims = claims
        if self._principal is None:
            self.note(account=principal.account, session=principal.session.hex())
        self._principal = principal

    def batch(self, raw: bytes) -> "Call":
        """Return a call for one batch of this stream: the same caller, a leaf of its own."""
        one = Call(self._recorder, self.event, self.rpc)
        one.charged, one.defect = self.charged, self.defect
        one._connection = self._connection
        one._principal = self._principal
        one._claims = self._claims
        one.raw = raw
        return one

    def blame(self, refusal: Refusal, batch: "Call") -> None:
        """Remember of which batch of this stream a refusal speaks."""
        self._blamed[refusal] = batch.request_id

    def blamed(self, refusal: Refusal) -> str:
        """Return the request id under which a refusal's leaf is found."""
        return self._blamed.get(refusal, self.request_id)

    def note(self, **fields: Any) -> None:  # noqa: ANN401  as Event.with_
        """Add fields of the leaf (see audit.event), counts and details to those already there.

        Never personal data.
        """
        self.event = told(self.event, **fields)

    def put_beside(self, part: Sealed) -> None:
        """Take words that are stored beside the leaf, sealed, with the effect or not at all."""
        self._sealed = part

    async def record(self, effect: Effect | None = None, **fields: Any) -> Entry:  # noqa: ANN401  as note
        """Commit the leaf together with the effect.

        Returns the entry, or raises the effect's refusal once on the log.

        Once begun it is finished even when the caller goes away: a cancel cannot part an effect
        from its leaf.
        """
        part = self._sealed
        if effect is None or part is None:
            return await self._finish(self._recorder.append, fields, effect)

        async def both(tx: Transaction) -> Event:
            return await part.keep(tx, await effect(tx))

        return await self._finish(self._recorder.append, fields, both)

    async def record_limited(self, **fields: Any) -> Entry | None:  # noqa: ANN401  as note
        """Commit the leaf of what its caller asks too often; beyond some, only count it.

        The counted stand in one `suppressed` leaf of the source, the alert and the second; None
        then.
        """
        return await self._finish(partial(self._recorder.append_limited, self.source), fields)

    async def _finish(
        self,
        append: Callable[..., Coroutine[Any, Any, Leaf]],
        fields: dict[str, Any],
        *effect: Effect | None,
    ) -> Leaf:
        if self._append is not None:
            raise RuntimeError("a call has exactly one leaf")
        self.note(**fields)
        self._append = task = asyncio.create_task(append(self.event, *effect))
        task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def effect(
        self,
        work: Callable[[Transaction], Awaitable[Result]],
        tell: Callable[[Result, Event], Event] | None = None,
    ) -> Result:
        """Do the work in the leaf's transaction and return its result.

        `tell` adds to the leaf what came of it.
        """
        results: list[Result] = []

        async def run(tx: Transaction) -> Event:
            try:
                result = await work(tx)
            except Refusal as refusal:
                # With what was noted within the work: the leaf names who decided last.
                refusal.event = self.event
                raise
            results.append(result)
            return self.event if tell is None else tell(result, self.event)

        await self.record(run)
        return results[-1]


def _established(value: Result | None) -> Result:
    """Return what an earlier check established; without it the order of the checks is broken."""
    if value is None:
        raise RuntimeError("asked before the check that establishes it")
    return value


def told(event: Event, **fields: Any) -> Event:  # noqa: ANN401  as Event.with_
    """Return the event with these fields; counts and details are added to those already there."""
    for mapping in ("counts", "detail"):
        if mapping in fields:
            fields[mapping] = {**(getattr(event, mapping) or {}), **fields[mapping]}
    return event.with_(**fields)


def on_log(refusal: Refusal) -> bool:
    """Return whether a refusal needs no leaf any more.

    It has one, or the recorder has counted it.
    """
    return refusal.leaf_index is not None or refusal.reason in UNRECORDABLE


def new_id() -> str:
    """Return a random UUID, version 4."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def _seen(task: asyncio.Task[Entry | None]) -> None:
    """Take note of the outcome of an append whose caller is gone.

    Asyncio would print its exception.
    """
    if not task.cancelled():
        task.exception()
