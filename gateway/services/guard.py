"""The only way into a service.

Every call passes numbered checks, leaves one leaf, and only then gets its answer.

The order is the architecture's; the first check that fails decides. Checks 1-3 and 5-8 stand in
`checks`, 4 in `wire` and `requests` (the messages), 9 is the method itself.

    1 the connection is the front's      4 method, deadline, message      7 rate
    2 certificate, organisation, system  5 token and session              8 confirmed, roles, policy
    3 origin                             6 password state                 9 the method

What is refused is recorded before it is answered, like what is allowed. Only this file speaks
status codes.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message

from gateway import log
from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.errors import Reason, Refusal, refuse
from gateway.services import requests, wire
from gateway.services.access import Rpc
from gateway.services.call import Call, on_log
from gateway.services.checks import Checks
from gateway.services.recording import tell
from gateway.services.status import status_of, trailers
from gateway.services.stream import Window
from gateway.store.database import StoreAwayError

# Any: each method takes its own request, and `Rpc.request` says which; a streaming one takes
# (Call, batch) and gives bytes; one that sends takes (Call, request, send).
Method: TypeAlias = Callable[..., Awaitable[Any]]

UNKNOWN_KIND = "rpc.unknown"
UNATTRIBUTED_KIND = "unattributed"
# Whoever asks too often before he has proven who he is waits for his refusal, whose reason stays
# the true one: a connection has `server.CONCURRENT_STREAMS` calls under way at most, so this bounds
# what its flood costs us.
PAUSE_S = 2.0
_LOG = log.get("guard")


class Guard(grpc.GenericRpcHandler):
    """Serves every call of a door, of a known method or not."""

    def __init__(
        self,
        methods: Mapping[str, tuple[Rpc, Method]],
        checks: Checks,
        recorder: Recorder,
        base: Event,
        domain: str,
    ) -> None:
        """Guard `methods` by wire name.

        `base` is the leaf that every call starts from, `domain` the ErrorInfo's.
        """
        self._methods = methods
        self._checks = checks
        self._recorder = recorder
        self._base = base
        self._domain = domain
        self._windows: set[Window] = set()
        # Batches, and last leaves of calls whose callers went away: finished whatever happens.
        self._under_way: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Give every method name the same raw handler; grpc asks once per call."""
        handle = functools.partial(self._handle, handler_call_details.method)
        return grpc.stream_stream_rpc_method_handler(handle)

    def stop(self) -> None:
        """Refuse new calls and batches with SHUTTING_DOWN; what was taken is finished."""
        self._stopping = True
        for window in self._windows:
            window.stop(refuse(Reason.SHUTTING_DOWN))

    async def idle(self, patience_s: float) -> None:
        """Return when no call runs any more, after `patience_s` at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._idle.wait()

    async def settle(self) -> None:
        """Return when everything is finished that goes on after its caller went away."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def answer(self, name: str, context: wire.Context) -> None:
        """Serve a call that came another way than grpc's (`http_files`), by the same checks."""
        await self._handle(name, None, context)

    async def _handle(self, name: str, _messages: object, context: wire.Context) -> None:
        """Serve one call from its first byte to its status: the outermost handler of a door."""
        rpc, method = self._methods.get(name, (None, None))
        kind = rpc.access.kind if rpc else UNKNOWN_KIND
        call = Call(self._recorder, self._base.with_(kind=kind, rpc=name if rpc else None), rpc)
        self._running += 1
        self._idle.clear()
        try:
            await self._serve(call, rpc, method, context)
            self._close(call, context, None)
        except Refusal as refusal:
            await self._refused(call, context, refusal)
        except asyncio.CancelledError:
            self._gone(call, context)
            raise
        except Exception as error:  # noqa: BLE001  outermost: no exception's text leaves the process
            await self._refused(call, context, self._internal(call, error))
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _serve(
        self, call: Call, rpc: Rpc | None, method: Method | None, context: wire.Context
    ) -> None:
        await self._admit(call, context)  # 1, 2, 3
        if rpc is None or method is None:
            raise refuse(Reason.METHOD_UNKNOWN)
        if rpc.streaming:
            await self._stream(call, rpc, method, context)
        elif rpc.sending:
            await self._send(call, rpc, method, context)
        else:
            await wire.send(context, await self._unary(call, rpc, method, context))

    async def _admit(self, call: Call, context: wire.Context) -> None:
        if not context.peer():
            call.note(kind=UNATTRIBUTED_KIND)
            raise refuse(Reason.MESSAGE_TOO_LARGE)
        if self._stopping:
            raise refuse(Reason.SHUTTING_DOWN)
        await self._checks.connection(call, wire.connection_name(context))

    async def _unary(self, call: Call, rpc: Rpc, method: Method, context: wire.Context) -> bytes:
        """Return the reply's bytes, its leaf committed."""
        wire.deadline(context, self._checks.limits.shortest_deadline_ms)  # 4
        request = await self._ask(call, rpc, context)  # 4, 5, 6, 7, 8
        response: Message = await method(call, request)  # 9
        if rpc.access.needs_token and not call.permitted:
            raise RuntimeError("no policy was asked")
        if not call.recorded:
            await call.record()
        return response.SerializeToString()

    async def _ask(self, call: Call, rpc: Rpc, context: wire.Context) -> Message:
        """Return the one message of a call whose caller passed the checks."""
        call.raw = await wire.only_message(context, rpc.access.max_bytes)
        request = requests.parse(rpc.request, call.raw)
        requests.identify(call, request)
        await self._checks.caller(call, lambda: wire.token(context), request)  # 5, 6, 7, 8
        return request

    async def _send(self, call: Call, rpc: Rpc, method: Method, context: wire.Context) -> None:
        """Let the method send many replies to one request; its leaf is its own matter, and first.

        Such a call may have no deadline: it ends when the caller no longer stands as it did.
        """
        request = await self._ask(call, rpc, context)  # 4, 5, 6, 7, 8

        async def send(reply: Message | None) -> None:
            # Of None: whether a reply could be sent.
            if not (call.permitted and call.recorded):
                raise RuntimeError("nothing is sent before it is permitted and on the log")
            await self._checks.again(call)  # 2, 5, 6
            if reply is not None:
                await wire.send(context, reply.SerializeToString())

        with self._checks.stream(call):
            await method(call, request, send)  # 9

    async def _stream(self, call: Call, rpc: Rpc, method: Method, context: wire.Context) -> None:
        """Answer every batch of a stream; a clean end has a leaf of its own where none came."""
        await self._checks.caller(call, lambda: wire.token(context), None)  # 5, 6, 7, 8
        limits = self._checks.limits

        async def read() -> bytes | None:
            raw = await wire.next_batch(context, rpc.access.max_bytes, limits.idle_s)  # 4
            if raw is not None:
                await self._checks.again(call)  # 2, 5, 6
            return raw

        serve = functools.partial(self._batch, call, method)
        window = Window(context, read, serve, limits.window, self._under_way)
        with self._checks.stream(call):
            self._windows.add(window)
            try:
                await window.run()
            finally:
                self._windows.discard(window)
        if not window.taken:
            await call.record(kind=f"{rpc.access.kind}.empty", counts={"items": 0})

    async def _batch(self, stream: Call, method: Method, raw: bytes) -> bytes:
        """Answer one batch.

        Whatever becomes of it, its leaf is committed before this returns or raises.
        """
        call = stream.batch(raw)
        try:
            reply: bytes = await method(call, raw)
        except Refusal as refusal:
            stream.blame(refusal, call)
            await self._record_refusal(call, refusal)
            raise
        except Exception as error:  # noqa: BLE001  as in _handle: a batch is answered on its own
            internal = self._internal(call, error)
            stream.blame(internal, call)
            await self._record_refusal(call, internal)
            raise internal from None
        return reply

    async def _refused(self, call: Call, context: wire.Context, refusal: Refusal) -> None:
        """Record a refusal unless it is on the log, and answer with it or with why it cannot be."""
        answer, too_often = refusal, False
        try:
            too_often = await self._record_refusal(call, refusal)
        except Refusal as unrecorded:
            answer = unrecorded
        except asyncio.CancelledError:
            self._gone(call, context)
            raise
        except Exception as error:  # noqa: BLE001  the recorder itself failed: promise nothing
            answer = self._internal(call, error)
        if too_often and call.charged != "account":
            await asyncio.sleep(PAUSE_S)
        self._close(call, context, answer)

    async def _record_refusal(self, call: Call, refusal: Refusal) -> bool:
        """Put a refusal on the log unless it is there; return whether it came too often."""
        too_often = refusal.reason is Reason.RATE_LIMITED
        if call.recorded or on_log(refusal):
            return too_often
        if refusal.reason is Reason.CANCELLED and refusal.metadata:
            call.note(detail=refusal.metadata)
        decision = "error" if refusal.code in {"INTERNAL", "CANCELLED"} else "deny"
        too_often = too_often or not self._checks.told(call)
        record = call.record_limited if too_often else call.record
        entry = await record(decision=decision, reason=refusal.reason.value)
        refusal.leaf_index = entry.index if entry else None
        return too_often

    def _internal(self, call: Call, error: Exception) -> Refusal:
        """Return INTERNAL, or STORE_AWAY where that is what happened."""
        tell(error, call.request_id)
        away = isinstance(error, StoreAwayError)
        return refuse(Reason.STORE_AWAY if away else Reason.INTERNAL)

    def _gone(self, call: Call, context: wire.Context) -> None:
        """Leave the leaf of a call that its caller, its deadline or our stop ended."""
        refusal = wire.broken(context, wire.DEADLINE_SLACK_S) or refuse(Reason.CANCELLED)
        if self._stopping:
            refusal = refuse(Reason.SHUTTING_DOWN)
        leaf: asyncio.Task[Any] = call.appending or asyncio.create_task(
            self._last_leaf(call, refusal)
        )
        self._under_way.add(leaf)
        leaf.add_done_callback(self._under_way.discard)

    async def _last_leaf(self, call: Call, refusal: Refusal) -> None:
        try:
            await self._record_refusal(call, refusal)
        except Refusal as unrecorded:
            _LOG.warning(
                "leaf.unrecorded", request_id=call.request_id, reason=unrecorded.reason.value
            )

    def _close(self, call: Call, context: wire.Context, refusal: Refusal | None) -> None:
        """Set status and trailing metadata; the newest checkpoint rides on every reply."""
        checkpoint = self._recorder.newest_checkpoint
        if refusal is None:
            context.set_trailing_metadata(trailers(None, checkpoint))
            return
        status = status_of(refusal, call.blamed(refusal), self._domain)
        context.set_trailing_metadata(trailers(status, checkpoint))
        context.set_code(grpc.StatusCode[refusal.code])
        context.set_details(status.message)
