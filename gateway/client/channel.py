"""Connections to the doors: TLS with our certificate and the gateway's root, one channel per door.

The server's name is the profile's, wherever the address points. grpc offers TLS 1.2 too and has no
switch; that only 1.3 is spoken is the front's doing. grpc itself never retries: it does not know
which calls may be asked again.
"""

from collections.abc import Callable
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

from gateway.client.profile import Profile
from gateway.client.refusals import CHECKPOINT_KEY, refusal_of
from gateway.client.secret import Secret
from gateway.config.home import Door

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

# A call that waits longer has lost its gateway; the gateway answers in milliseconds.
CALL_TIMEOUT_S = 30.0
# A connection whose peer is gone is found after this long without an answer to a ping.
_PING_EVERY_MS = 30_000
_PING_ANSWER_MS = 10_000
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

    def to(self, door: Door) -> aio.Channel:
        """Return the channel to a door."""
        if door not in self._open:
            self._open[door] = self._channel(door)
        return self._open[door]

    def _channel(self, door: Door) -> aio.Channel:
        remote = self.profile.remote
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.profile.root.read_bytes(),
            private_key=self.profile.key.read_bytes(),
            certificate_chain=self.profile.certificate.read_bytes(),
        )
        options: list[tuple[str, int | str]] = [
            ("grpc.ssl_target_name_override", remote.server_name),
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", _RECEIVE_MAX_BYTES),
            ("grpc.keepalive_time_ms", _PING_EVERY_MS),
            ("grpc.keepalive_timeout_ms", _PING_ANSWER_MS),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 3_000),
            ("grpc.use_local_subchannel_pool", int(self._own_connection)),
        ]
        target = f"ipv6:[{remote.host}]" if ":" in remote.host else remote.host
        return aio.secure_channel(f"{target}:{remote.ports.of(door)}", credentials, options=options)

    async def call(
        self,
        rpc: aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        token: Secret | None = None,
    ) -> Response:
        """Return the answer to a unary call; raises the Refusal that it was answered with."""
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
        for channel in self._open.values():
            await channel.close()
        self._open.clear()


def bearer(token: Secret | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata that carries a token."""
    return () if token is None else (("authorization", f"Bearer {token.value}"),)


def metadata(pairs: aio.Metadata | None) -> dict[str, str | bytes]:
    """Return trailing metadata by key; of a key that stands twice, the last value."""
    return dict(iter(pairs or ()))
