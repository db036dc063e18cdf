"""One DownloadExport call: its parts as they come, and the refusal that ended it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

from grpc import StatusCode, aio

from gateway.client.channel import bearer, metadata
from gateway.client.client import Client
from gateway.client.refusals import refusal_of
from gateway.errors import Reason, refuse
from gateway.v1 import export_service_pb2 as v1

# The gateway sends a part within milliseconds.
ANSWER_TIMEOUT_S = 60.0
_Call: TypeAlias = "aio.UnaryStreamCall[v1.DownloadExportRequest, v1.DownloadExportResponse]"


class Delivery:
    """A download on its way."""

    def __init__(self, client: Client, call: _Call) -> None:
        """Read this call."""
        self._client, self._call = client, call

    async def part(self) -> v1.DownloadExportResponse | None:
        """Return what came next, None at the end; raises the refusal that ended it.

        FRONT_AWAY where nothing comes.
        """
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                part = await self._call.read()
            if isinstance(part, v1.DownloadExportResponse):
                return part
            # At a refusal, too, the messages end first.
            code, details = await self._call.code(), str(await self._call.details())
            trailers = metadata(await self._call.trailing_metadata())
        except TimeoutError:
            raise refuse(Reason.FRONT_AWAY) from None
        except aio.AioRpcError as error:
            code, details = error.code(), str(error.details())
            trailers = metadata(error.trailing_metadata())
        self._client.channels.note(trailers)
        if code is StatusCode.OK:
            return None
        raise refusal_of(code, details, trailers)


@asynccontextmanager
async def delivery(
    client: Client, ticket_id: str, offset_bytes: int = 0
) -> AsyncIterator[Delivery]:
    """Open a download from an offset on; it ends with the block. Raises Refusal."""
    request = v1.DownloadExportRequest(ticket_id=ticket_id, offset_bytes=offset_bytes)
    async with client.channels.in_use():
        token = await client.session.token()
        call = client.exports.DownloadExport(request, metadata=bearer(token.secret))
        try:
            yield Delivery(client, call)
        finally:
            call.cancel()
