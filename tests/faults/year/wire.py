"""The wire of the simulated year: from a client's stub to the guard of a door, in one process and without a socket.

Bytes, metadata, deadline and status are those of grpc: the real client and the real guard stand at the two ends. What the front would
have found out of a connection is told as `tests/entrance.py` tells it. A call can be made to die: before it reaches the door, inside
its transaction together with the door, or when its answer is on the way.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from gateway.client.channel import Channels
from gateway.client.profile import Profile, Remote
from gateway.link.connection import Connection, new_name
from gateway.services.guard import Guard
from gateway.vpn.origin import Origin

# Which moments of a call a crash can come at.
MOMENTS = ("before", "inside", "after")
TIME_LEFT_S = 20.0


@dataclass(frozen=True, slots=True)
class Papers:
    """A certificate as the doors know it."""

    organisation: str
    subject: str
    serial: str
    certificate_sha256: str
    spki_sha256: str
    not_after_us: int


@dataclass
class Front:
    """What the doors ask of each connection (ControlClient), without a front."""

    connections: dict[str, Connection] = field(default_factory=dict)

    async def who(self, name: str) -> Connection | None:
        return self.connections.get(name)

    async def close(self) -> None:
        self.connections.clear()

    def connect(self, papers: Papers, door: str) -> str:
        """Let a certificate in at a door; return the connection's name."""
        name, code = new_name(), papers.organisation
        origin = Origin(code, "listen/127.0.0.1", "static", "weak", "here")
        self.connections[name] = Connection(
            name,
            door,
            "127.0.0.1:50000",
            "127.0.0.1:8446",
            code,
            papers.subject,
            papers.serial,
            papers.certificate_sha256,
            papers.spki_sha256,
            papers.not_after_us,
            origin,
        )
        return name


class Context:
    """One call as the guard sees it; only what it uses of a ServicerContext."""

    def __init__(self, name: str, message: bytes, metadata: tuple[tuple[str, Any], ...]) -> None:
        self._name, self._messages, self._metadata = name, [message], metadata
        self.replies: list[bytes] = []
        self.code, self.details = grpc.StatusCode.OK, ""
        self.trailers: tuple[tuple[str, Any], ...] = ()

    def peer(self) -> str:
        return f"unix-abstract:gateway-{self._name}"

    def invocation_metadata(self) -> tuple[tuple[str, Any], ...]:
        return self._metadata

    def time_remaining(self) -> float:
        return TIME_LEFT_S

    async def read(self) -> object:
        return self._messages.pop() if self._messages else aio.EOF

    async def write(self, message: bytes) -> None:
        self.replies.append(message)

    def set_trailing_metadata(self, trailers: tuple[tuple[str, Any], ...]) -> None:
        self.trailers = tuple(trailers)

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details


@dataclass(frozen=True, slots=True)
class Asked:
    """A call at the wire: by whom, which, with what."""

    papers: Papers
    method: str
    message: bytes
    metadata: tuple[tuple[str, Any], ...]

    @property
    def token(self) -> str:
        """The access token that came along, or ""."""
        return str(dict(self.metadata).get("authorization", "")).removeprefix("Bearer ")


@dataclass
class Wire:
    """Carries calls; `guards` by door. `watch` surrounds each call that reaches its door (the model does)."""

    front: Front
    guards: dict[str, Guard]
    kill: Callable[[Awaitable[None]], Awaitable[bool]]
    watch: Callable[[Asked, Awaitable[Context]], Awaitable[Context]] | None = None
    # The names of the rpcs that were called.
    calls: list[str] = field(default_factory=list)
    _doom: tuple[str, str] | None = None
    _struck: bool = False

    def arm(self, rpc: str, moment: str) -> None:
        """Let the next call of an rpc die at this moment."""
        self._doom, self._struck = (rpc, moment), False

    def disarm(self) -> bool:
        """Return whether it did; later calls go on."""
        self._doom = None
        return self._struck

    async def carry(self, asked: Asked, door: str) -> bytes:
        """Return the reply's bytes; raises AioRpcError as grpc does."""
        self.calls.append(asked.method.rpartition("/")[2])
        moment = self._moment(asked.method)
        self._struck = self._struck or moment in ("before", "after")
        if moment == "before":
            raise _away()
        name = self.front.connect(asked.papers, door)
        context = Context(name, asked.message, asked.metadata)
        handling = self.guards[door]._handle(asked.method, None, context)
        answering = self._answered(handling, context, dying=moment == "inside")
        try:
            await (answering if self.watch is None else self.watch(asked, answering))
        finally:
            del self.front.connections[name]
        if moment == "after":
            raise _away()
        if context.code is not grpc.StatusCode.OK:
            trailing = aio.Metadata(*context.trailers)
            raise aio.AioRpcError(context.code, aio.Metadata(), trailing, context.details)
        return context.replies[0]

    async def _answered(
        self, handling: Awaitable[None], context: Context, *, dying: bool
    ) -> Context:
        if dying and await self.kill(handling):
            self._struck = True
            raise _away()
        if not dying:
            await handling
        return context

    def _moment(self, method: str) -> str:
        if self._doom is None or not method.endswith(f"/{self._doom[0]}"):
            return ""
        [_, moment], self._doom = self._doom, None
        return moment


def _away() -> aio.AioRpcError:
    return aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "away")


class Answer:
    """What a stub's call returns."""

    def __init__(self, carried: Awaitable[bytes], parse: Callable[[bytes], Any]) -> None:
        self._carried, self._parse = carried, parse

    def __await__(self) -> Any:
        return self._parsed().__await__()

    async def _parsed(self) -> Any:
        return self._parse(await self._carried)

    async def trailing_metadata(self) -> aio.Metadata:
        return aio.Metadata()


@dataclass
class Way:
    """An aio.Channel as far as stubs need it."""

    wire: Wire
    papers: Papers
    door: str

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: object
    ) -> Any:
        def call(request: Any, metadata: Any = (), **_: object) -> Answer:
            asked = Asked(self.papers, method, request_serializer(request), tuple(metadata))
            return Answer(self.wire.carry(asked, self.door), response_deserializer)

        return call

    def stream_stream(self, *_: object, **__: object) -> Any:
        return None


class Lines(Channels):
    """The channels of a profile over the wire."""

    def __init__(self, wire: Wire, papers: Papers, folder: Path, account: str) -> None:
        remote = Remote("", "", "", papers.organisation, account, "")
        super().__init__(Profile(folder, remote))
        self._wire, self._papers = wire, papers

    def to(self, door: Any) -> Any:
        return Way(self._wire, self._papers, door)
