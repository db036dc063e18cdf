"""Connections to the doors: TLS with our certificate and the gateway's root, one channel per door.

The server's name is the profile's, wherever the address points. grpc offers TLS 1.2 too and has no
switch; that only 1.3 is spoken is the front's doing. grpc itself never retries: it does not know
which calls may be asked again. While the certificate is exchanged, no call begins and those that
run are waited for (`closed`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TypeVar, cast

import grpc
from google.protobuf.message import Message
from grpc import aio

from gateway.client import slots
from gateway.client.line import Line
from gateway.client.profile import Profile
from gateway.client.refusals import CHECKPOINT_KEY, refusal_of
from gateway.client.secret import Secret
from gateway.client.slots import Held, Slot
from gateway.config.home import Door
from gateway.errors import Refusal

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

# A call that waits longer has lost its gateway; the gateway answers in milliseconds.
CALL_TIMEOUT_S = 30.0
# A connection whose peer is gone is found after this long without an answer to a ping.
_PING_EVERY_MS = 30_000
_PING_ANSWER_MS = 10_000
# Set in a task that uses the channels already: it must not wait for itself.
_WITHIN: ContextVar[bool] = ContextVar("within", default=False)
# The answer to a full batch with findings on every item stays far below.
_RECEIVE_MAX_BYTES = 16 * 1024 * 1024


class Channels:
    """The channels of one profile, opened when first asked for; to be closed."""

    def __init__(
        self,
        profile: Profile,
        *,
        own_connection: bool = False,
        seen: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare.

        `own_connection`: share no TCP connection with other Channels of this process; `seen` is
        told every checkpoint that a reply carries.
        """
        self.profile = profile
        self._own_connection = own_connection
        self._seen = seen
        self._open: dict[Door, aio.Channel] = {}
        self._held: Held | None = None
        self._users = 0
        self._unused, self._free = asyncio.Event(), asyncio.Event()
        self._free.set()
        # Told a refusal; returns whether its cause is mended, so that the call is worth repeating.
        self.mend: Callable[[Refusal], Awaitable[bool]] | None = None

    def to(self, door: Door) -> aio.Channel:
        """Return the way to a door, to make stubs of; it stays good when channels are replaced."""
        return cast("aio.Channel", Line(lambda: self._present(door)))

    @property
    def slot(self) -> Slot:
        """The slot of the certificate that channels are open with, held until they are closed."""
        if self._held is None:
            self._held = slots.hold(self.profile.folder)
        return self._held.slot

    @property
    def closing(self) -> bool:
        """Whether streams should come to their end, because the certificate is to be exchanged."""
        return not self._free.is_set()

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Keep the channels open within the block; waits while they are closed or closing."""
        while self.closing and not (_WITHIN.get() and self._users):
            await self._free.wait()
        self._users += 1
        before = _WITHIN.set(True)
        try:
            yield
        finally:
            _WITHIN.reset(before)
            self._users -= 1
            if not self._users:
                self._unused.set()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Keep the channels closed within the block; first waits until nobody uses them."""
        self._free.clear()
        try:
            while self._users:
                self._unused.clear()
                await self._unused.wait()
            await self.close()
            yield
        finally:
            self._free.set()

    def _present(self, door: Door) -> aio.Channel:
        if door not in self._open:
            remote, slot = self.profile.remote, self.slot
            credentials = grpc.ssl_channel_credentials(
                root_certificates=self.profile.root.read_bytes(),
                private_key=slot.key.read_bytes(),
                certificate_chain=slot.certificate.read_bytes(),
            )
            self._open[door] = channel(
                remote.host,
                remote.ports.of(door),
                remote.server_name,
                credentials,
                own_connection=self._own_connection,
            )
        return self._open[door]

    async def call(
        self,
        rpc: aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        token: Secret | None = None,
    ) -> Response:
        """Return the answer to a unary call; raises the Refusal that it was answered with."""
        try:
            return await self.call_once(rpc, request, token)
        except Refusal as refusal:
            # Within a use that is longer than this call nothing can be exchanged.
            if self.mend is None or _WITHIN.get() or not await self.mend(refusal):
                raise
        return await self.call_once(rpc, request, token)

    async def call_once(
        self,
        rpc: aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        token: Secret | None = None,
    ) -> Response:
        """Return the answer to a unary call, without mending what it may be refused for."""
        async with self.in_use():
            return await self._answer(rpc, request, token)

    async def _answer(
        self,
        rpc: aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        token: Secret | None,
    ) -> Response:
        call = rpc(request, timeout=CALL_TIMEOUT_S, metadata=bearer(token))
        try:
            response = await call
        except aio.AioRpcError as error:
            trailers = metadata(error.trailing_metadata())
            self.note(trailers)
            raise refusal_of(error.code(), error.details(), trailers) from None
        self.note(metadata(await call.trailing_metadata()))
        return response

    def note(self, trailers: dict[str, str | bytes]) -> None:
        """Pass on the checkpoint of a reply's trailing metadata."""
        raw = trailers.get(CHECKPOINT_KEY)
        if self._seen is not None and isinstance(raw, bytes):
            self._seen(raw.decode(errors="replace"))

    async def close(self) -> None:
        """Close the channels."""
        for each in self._open.values():
            await each.close()
        self._open.clear()
        if self._held is not None:
            self._held.release()
            self._held = None


def channel(
    host: str,
    port: int,
    server_name: str,
    credentials: grpc.ChannelCredentials,
    *,
    own_connection: bool,
) -> aio.Channel:
    """Return a channel to one door, or to the enrolment listener."""
    options: list[tuple[str, int | str]] = [
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", _RECEIVE_MAX_BYTES),
        ("grpc.keepalive_time_ms", _PING_EVERY_MS),
        ("grpc.keepalive_timeout_ms", _PING_ANSWER_MS),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 3_000),
        ("grpc.use_local_subchannel_pool", int(own_connection)),
    ]
    target = f"ipv6:[{host}]" if ":" in host else host
    return aio.secure_channel(f"{target}:{port}", credentials, options=options)


def bearer(token: Secret | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata that carries a token."""
    return () if token is None else (("authorization", f"Bearer {token.value}"),)


def metadata(pairs: aio.Metadata | None) -> dict[str, str | bytes]:
    """Return trailing metadata by key; of a key that stands twice, the last value."""
    return dict(iter(pairs or ()))
