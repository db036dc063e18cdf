"""The disclosure door's download: the sealed payload, in chunks, to the one who may have it.

The ticket moves to `fetching`, on the log, before the first byte. Before each part the counters are
compared with those that were judged by: once something is known to have changed no part leaves
unjudged, and who may no longer is cut, also one who does not read. Of two downloads of one ticket
the newer goes on. How it ended is a leaf of its own, with the bytes that were sent. Nothing of it
is readable: the header comes by `export_release`.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gateway.audit.recorder import Recorder
from gateway.clock import Passing
from gateway.errors import Reason, Refusal, refuse
from gateway.exports import payloads
from gateway.exports.ticket import Act, Ticket
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.export_tickets import Tickets
from gateway.services.requests import invalid
from gateway.v1 import export_service_pb2 as pb

# None sends nothing: it asks whether the caller still stands as he did.
Send = Callable[[pb.DownloadExportResponse | None], Awaitable[None]]

END_KIND = "export.end"
CHUNK_BYTES = 262_144
# So often the same is asked for one who does not read; the counters are at most a quarter second
# old (`current`), and a cut has a second.
LOOK_S = 0.1


@dataclass(slots=True)
class _Flow:
    """One download on its way: what it sends, where to, and by which counters it was judged last.

    `count`: the bytes that have been handed to the connection.
    """

    call: Call
    ticket: Ticket
    payload: IO[bytes]
    send: Send
    passed: Passing
    judged: Mapping[str, int] | None = None
    judging: asyncio.Lock = field(default_factory=asyncio.Lock)
    count: int = 0


class DeliveryService:
    """Serves DownloadExport."""

    def __init__(
        self,
        tickets: Tickets,
        current: Current,
        recorder: Recorder,
        folder: Path,
        keys: Callable[[], Mapping[str, bytes]],
    ) -> None:
        """Deliver the payloads of a folder; `keys` gives what checks their manifests, DER by id."""
        self._tickets = tickets
        self._current = current
        self._recorder = recorder
        self._folder = folder
        self._keys = keys

    async def DownloadExport(
        self, call: Call, request: pb.DownloadExportRequest, send: Send
    ) -> None:
        """Send a payload from an offset on.

        Raises FIELD_INVALID, TICKET_STATE, RECIPIENT_MISMATCH, DOWNLOADS_SPENT and as
        `Tickets.judge`; while it flows also TICKET_REVOKED, TICKET_HELD, TICKET_EXPIRED,
        REVISION_STALE, POLICY_DENIED, and what the guard refuses its caller.
        """
        found = await self._tickets.find(call, request.ticket_id)
        self._tickets.judge(call, found, Act.FETCH)
        if found.ticket.fetches >= self._tickets.rules.bounds.fetches:
            raise refuse(Reason.DOWNLOADS_SPENT)
        with self._opened(found.ticket, request.offset_bytes) as payload:
            # Before it moves: where they cannot be read nothing has begun.
            keys = [pb.ExportKey(key_id=one, spki=spki) for one, spki in self._keys().items()]
            ticket = await self._tickets.move(call, found, Act.FETCH)
            passed = Passing(self._tickets.clock, ticket.moved_us)
            flow = _Flow(call, ticket, payload, send, passed)
            try:
                await self._deliver(flow, keys)
            except Refusal as refusal:
                await self._tell(flow, refusal.reason)
                raise
            except asyncio.CancelledError:
                await asyncio.shield(self._tell(flow, Reason.CANCELLED))
                raise
            await self._tell(flow, None)

    def _opened(self, ticket: Ticket, offset: int) -> IO[bytes]:
        """Return the payload at an offset; raises FIELD_INVALID, TICKET_STATE when gone."""
        if ticket.built is None or offset > ticket.built.payload_bytes:
            raise invalid("offset_bytes", "OFFSET", "At most the file's.", "不得超过文件长度。")
        try:
            descriptor = os.open(
                payloads.path(self._folder, ticket.ticket_id), os.O_RDONLY | os.O_NOFOLLOW
            )
        except OSError:
            raise refuse(Reason.TICKET_STATE) from None
        payload = os.fdopen(descriptor, "rb")
        payload.seek(offset)
        return payload

    async def _deliver(self, flow: _Flow, keys: Sequence[pb.ExportKey]) -> None:
        """Send everything, unless it may not go on: then raise why."""
        watching = asyncio.create_task(self._watch(flow))
        sending = asyncio.create_task(self._send(flow, keys))
        try:
            await asyncio.wait({watching, sending}, return_when=asyncio.FIRST_COMPLETED)
            # Of both at once the refusal counts.
            await (watching if watching.done() else sending)
        finally:
            for task in (watching, sending):
                task.cancel()
            await asyncio.gather(watching, sending, return_exceptions=True)

    async def _send(self, flow: _Flow, keys: Sequence[pb.ExportKey]) -> None:
        built, plan = flow.ticket.built, flow.ticket.plan
        if built is None:
            raise refuse(Reason.TICKET_STATE)
        head = pb.DownloadHead(
            payload_bytes=built.payload_bytes,
            payload_sha256=built.payload_sha256,
            plan_sha256=flow.ticket.plan_sha256,
            encryption_certificate_sha256=plan.encryption_certificate_sha256,
            keys=keys,
        )
        await self._give(flow, pb.DownloadExportResponse(head=head))
        while chunk := await asyncio.to_thread(flow.payload.read, CHUNK_BYTES):
            await self._give(flow, pb.DownloadExportResponse(chunk=chunk))
            flow.count += len(chunk)
        tail = pb.DownloadTail(sent_bytes=flow.count)
        await self._give(flow, pb.DownloadExportResponse(tail=tail))

    async def _give(self, flow: _Flow, part: pb.DownloadExportResponse) -> None:
        """Send a part, after the look and with nothing in between."""
        await self._look(flow)
        await flow.send(part)

    async def _watch(self, flow: _Flow) -> None:
        """Return never; raise why the bytes must not flow any more."""
        while True:
            await self._look(flow)
            await asyncio.sleep(LOOK_S)

    async def _look(self, flow: _Flow) -> None:
        """Return while bytes may flow; raise why they may not.

        Where nothing changed it asks no more than what this process remembers.
        """
        while True:
            await flow.send(None)
            if flow.passed.now_us() >= flow.ticket.plan.not_after_us:
                raise refuse(Reason.TICKET_EXPIRED)
            if flow.judged == self._current.epochs:
                return
            async with flow.judging:
                epochs = self._current.epochs
                if flow.judged != epochs:
                    await self._require(flow)
                    flow.judged = epochs

    async def _require(self, flow: _Flow) -> None:
        """Raise what stops this download, as ticket, register and policy are now."""
        try:
            found = await self._tickets.find(flow.call, flow.ticket.ticket_id)
            self._tickets.judge(flow.call, found, Act.FETCH)
        except Refusal:
            # Whoever may not even call is told that and nothing else, whichever was seen first.
            await self._current.renew()
            await flow.send(None)
            raise
        if found.ticket.version != flow.ticket.version:
            # Another download of the same ticket has begun.
            raise refuse(Reason.REVISION_STALE)

    async def _tell(self, flow: _Flow, reason: Reason | None) -> None:
        """Put the end on the log: how many bytes went out, and why no more."""
        call, ticket = flow.call, flow.ticket
        # With what it was judged by last.
        known = {"ticket": ticket.ticket_id, "plan_sha256": ticket.plan_sha256}
        event = call.event.with_(
            kind=END_KIND,
            decision="allow" if reason is None else "deny",
            reason=None if reason is None else reason.value,
            counts={"bytes": flow.count},
            detail={**(call.event.detail or {}), **known},
        )
        await self._recorder.append(event)
