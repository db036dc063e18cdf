"""What a raw grpc call carries: its messages, how they end, its token. Reads only.

The guard alone answers.

Every method is registered stream-in and stream-out with bytes, so zero, two, unknown and malformed
messages all come here (reference/style.md 0.10). Measured with grpcio 1.85.1, grpc.aio, 1,400
calls: after a cancel, a passed deadline or a message beyond grpc's own limit, the messages end as
if half-closed, and a CancelledError follows within 1 ms. Beyond the limit `peer()` is then ""
while time remains; after a passed deadline nothing remains; a cancel keeps the peer.
"""

import asyncio
import re
from typing import TypeAlias

from grpc.aio import BaseError, ServicerContext

from gateway.errors import Reason, Refusal, refuse
from gateway.identity.token import bearer_value

Context: TypeAlias = "ServicerContext[bytes, bytes]"

# How long the true end of a call may lag behind the end of its messages: 20 times what was seen.
END_GRACE_S = 0.02
# How much time may remain of a call that its client cancelled at the deadline.
DEADLINE_SLACK_S = 0.1
# How long a unary call may keep us waiting for its one message; a handshake has as long.
FIRST_MESSAGE_S = 5.0
_PEER = re.compile(r"unix-abstract:gateway-([0-9a-f]{32})", re.ASCII)


def connection_name(context: Context) -> str:
    """Return the name the front gave the connection.

    Raises CONNECTION_UNKNOWN when it did not come from the front.
    """
    match = _PEER.fullmatch(context.peer())
    if match is None:
        raise refuse(Reason.CONNECTION_UNKNOWN)
    return match[1]


def token(context: Context) -> str:
    """Return the one bearer token.

    Raises TOKEN_MISSING for none and TOKEN_INVALID for two or another form.
    """
    metadata = context.invocation_metadata() or ()
    return bearer_value([value for key, value in metadata if key == "authorization"])


def deadline(context: Context, least_ms: int) -> None:
    """Pass a call that leaves enough time; raises DEADLINE_MISSING or DEADLINE_TOO_SHORT."""
    remaining = _remaining(context)
    if remaining is None:
        raise refuse(Reason.DEADLINE_MISSING)
    if remaining * 1000 < least_ms:
        raise refuse(Reason.DEADLINE_TOO_SHORT)


async def only_message(context: Context, max_bytes: int) -> bytes:
    """Return the one message of a unary call.

    Raises MESSAGE_MISSING, _SURPLUS or _TOO_LARGE, or what ended the call.
    """
    try:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            message = await next_message(context, max_bytes)
            surplus = message is not None and await _read(context) is not None
    except TimeoutError:
        raise refuse(Reason.MESSAGE_MISSING) from None
    if surplus:
        raise refuse(Reason.MESSAGE_SURPLUS)
    if message is None:
        await end(context)
        raise refuse(Reason.MESSAGE_MISSING)
    return message


async def next_batch(context: Context, max_bytes: int, idle_s: float) -> bytes | None:
    """Return a stream's next message, None at a clean end.

    Raises what ended it, or CANCELLED after `idle_s` of silence.
    """
    try:
        async with asyncio.timeout(idle_s):
            message = await next_message(context, max_bytes)
    except TimeoutError:
        raise refuse(Reason.CANCELLED, metadata={"cause": "idle"}) from None
    if message is None:
        await end(context)
    return message


async def next_message(context: Context, max_bytes: int) -> bytes | None:
    """Return the next message or None at the end.

    Raises MESSAGE_TOO_LARGE by the rpc's own limit.
    """
    message = await _read(context)
    if message is not None and len(message) > max_bytes:
        raise refuse(Reason.MESSAGE_TOO_LARGE, metadata={"maxBytes": str(max_bytes)})
    return message


async def send(context: Context, message: bytes) -> None:
    """Send a reply; raises CANCELLED when nobody is there to take it."""
    try:
        await context.write(message)
    except BaseError:
        raise refuse(Reason.CANCELLED) from None


async def end(context: Context) -> None:
    """Return when the messages ended by a half-close.

    Raises what else ended them, or CancelledError.
    """
    refusal = broken(context)
    if refusal is not None:
        raise refusal
    await asyncio.sleep(END_GRACE_S)


def broken(context: Context, slack_s: float = 0.0) -> Refusal | None:
    """Return why a call that ended by itself is over, None when only a cancel can be the cause.

    A client gives up at its deadline, a little before the server counts it as passed: so little
    may remain after a cancel that was one.
    """
    remaining = _remaining(context)
    if remaining is not None and remaining <= slack_s:
        return refuse(Reason.CANCELLED, metadata={"cause": "deadline"})
    if not context.peer():
        return refuse(Reason.MESSAGE_TOO_LARGE)
    return None


def _remaining(context: Context) -> float | None:
    remaining: float | None = context.time_remaining()  # the stubs forget None
    return remaining


async def _read(context: Context) -> bytes | None:
    message: object = await context.read()  # the stubs forget EOF
    return message if isinstance(message, bytes) else None
