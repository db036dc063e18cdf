"""How a stream really ended.

grpc.aio (1.85.1) puts INTERNAL in place of the status that the server sent when a write fails
because the stream is over (grpc issue 36066, pull request 43486). The write may fail before the
status comes or after it; the status is therefore taken at the moment when it arrives.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

from grpc import StatusCode, aio

from gateway.client.channel import metadata
from gateway.client.refusals import refusal_of
from gateway.errors import Refusal

Value = TypeVar("Value")
Call = aio.StreamStreamCall[bytes, bytes]
# What grpc.aio itself says of a write that failed.
_FAILED_WRITE = "Internal error from Core"
# How long the true status may lag behind the failed write; some milliseconds were seen.
_LAG_S = 2.0


class _Status(NamedTuple):
    code: StatusCode
    details: str
    trailers: dict[str, str | bytes]


class Ending:
    """The end of one call; to be made with the call."""

    def __init__(self, call: Call) -> None:
        """Listen for the call's end."""
        self._call = call
        self._arrived = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._note)

    async def refusal(self) -> Refusal | None:
        """Return why the call was refused, once it is over; None where it was not."""
        status = await self._status()
        if status.code is StatusCode.OK:
            return None
        return refusal_of(status.code, status.details, status.trailers)

    async def trailers(self) -> dict[str, str | bytes]:
        """Return the trailing metadata, once the call is over."""
        return (await self._status()).trailers

    async def _status(self) -> _Status:
        await self._call.code()
        try:
            async with asyncio.timeout(_LAG_S):
                return await asyncio.shield(self._arrived)
        except TimeoutError:
            return _of(self._call)

    def _note(self, call: Call) -> None:  # grpc hands over the call that it was asked about
        status = _of(call)
        if not self._arrived.done() and status.details != _FAILED_WRITE:
            self._arrived.set_result(status)


def _of(call: Call) -> _Status:
    trailers = metadata(_now(call.trailing_metadata()))
    return _Status(_now(call.code()), _now(call.details()) or "", trailers)


def _now(coroutine: Coroutine[Any, Any, Value]) -> Value:  # Any: what asyncio passes, unused here
    """Return the value of a coroutine that does not wait, as those of a call that is over."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return] # a Value by the coroutine's type
    raise RuntimeError("the call is not over")
