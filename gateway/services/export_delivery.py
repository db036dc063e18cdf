"""The disclosure door's download: the sealed payload, in chunks, to the one who may have it.

The ticket moves to `fetching`, on the log, before the first byte. While bytes flow, whatever the
store's counters say has changed makes the gateway judge again; who may no longer is cut, also one
who does not read. Of two downloads of one ticket the newer goes on. How it ended is a leaf of its
own, with the bytes that were sent. Nothing of it is readable: the header comes by `export_release`.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
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

Send = Callable[[pb.DownloadExportResponse], Awaitable[None]]

END_KIND = "export.end"
CHUNK_BYTES = 262_144
# So often the counters are looked at while bytes flow; they are at most a quarter second old
# (`current`), and a cut has a second.
LOOK_S = 0.1


@dataclass(slots=True)
class _Sent:
    """The keys that its head names, and how many bytes have been handed to the connection."""

    keys: Sequence[pb.ExportKey]
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
        REVISION_STALE, POLICY_DENIED.
        """
        found = await self._tickets.find(call, request.ticket_id)
        self._tickets.judge(call, found, Act.FETCH)
        if found.ticket.fetches >= self._tickets.rules.bounds.fetches:
            raise refuse(Reason.DOWNLOADS_SPENT)
        with self._opened(found.ticket, request.offset_bytes) as payload:
            # Before it moves: where they cannot be read nothing has begun.
            keys = [pb.ExportKey(key_id=one, spki=spki) for one, spki in self._keys().items()]
            sent = _Sent(keys)
            ticket = await self._tickets.move(call, found, Act.FETCH)
            try:
                await self._deliver(call, ticket, payload, send, sent)
            except Refusal as refusal:
                await self._tell(call, ticket, sent, refusal.reason)
                raise
            except asyncio.CancelledError:
                await asyncio.shield(self._tell(call, ticket, sent, Reason.CANCELLED))
                raise
            await self._tell(call, ticket, sent, None)

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

    async def _deliver(
        self, call: Call, ticket: Ticket, payload: IO[bytes], send: Send, sent: _Sent
    ) -> None:
        """Send everything, unless it may not go on: then raise why."""
        watching = asyncio.create_task(self._watch(call, ticket))
        sending = asyncio.create_task(self._send(ticket, payload, send, sent))
        try:
            await asyncio.wait({watching, sending}, return_when=asyncio.FIRST_COMPLETED)
            # Of both at once the refusal counts.
            await (watching if watching.done() else sending)
        finally:
            for task in (watching, sending):
                task.cancel()
            await asyncio.gather(watching, sending, return_exceptions=True)

    async def _send(self, ticket: Ticket, payload: IO[bytes], send: Send, sent: _Sent) -> None:
        built, plan = ticket.built, ticket.plan
        if built is None:
            raise refuse(Reason.TICKET_STATE)
        head = pb.DownloadHead(
            payload_bytes=built.payload_bytes,
            payload_sha256=built.payload_sha256,
            plan_sha256=ticket.plan_sha256,
            encryption_certificate_sha256=plan.encryption_certificate_sha256,
            keys=sent.keys,
        )
        await send(pb.DownloadExportResponse(head=head))
        while chunk := await asyncio.to_thread(payload.read, CHUNK_BYTES):
            await send(pb.DownloadExportResponse(chunk=chunk))
            sent.count += len(chunk)
        tail = pb.DownloadTail(sent_bytes=sent.count)
        await send(pb.DownloadExportResponse(tail=tail))

    async def _watch(self, call: Call, ticket: Ticket) -> None:
        """Return never; raise why the bytes must not flow any more."""
        seen, passed = None, Passing(self._tickets.clock, ticket.moved_us)
        while True:
            epochs = self._current.epochs
            if passed.now_us() >= ticket.plan.not_after_us:
                raise refuse(Reason.TICKET_EXPIRED)
            if epochs != seen:
                await self._require(call, ticket)
                seen = epochs
            await asyncio.sleep(LOOK_S)

    async def _require(self, call: Call, ticket: Ticket) -> None:
        """Raise what stops this download, as ticket, register and policy are now."""
        found = await self._tickets.find(call, ticket.ticket_id)
        self._tickets.judge(call, found, Act.FETCH)
        if found.ticket.version != ticket.version:
            # Another download of the same ticket has begun.
            raise refuse(Reason.REVISION_STALE)

    async def _tell(self, call: Call, ticket: Ticket, sent: _Sent, reason: Reason | None) -> None:
        """Put the end on the log: how many bytes went out, and why no more."""
        # With what it was judged by last.
        known = {"ticket": ticket.ticket_id, "plan_sha256": ticket.plan_sha256}
        event = call.event.with_(
            kind=END_KIND,
            decision="allow" if reason is None else "deny",
            reason=None if reason is None else reason.value,
            counts={"bytes": sent.count},
            detail={**(call.event.detail or {}), **known},
        )
        await self._recorder.append(event)
