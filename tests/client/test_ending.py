import asyncio
import contextlib

import pytest
from grpc import aio

from gateway.client.channel import Channels, bearer
from gateway.client.ending import Ending
from gateway.client.secret import Secret
from gateway.client.session import Session
from gateway.client.upload import METHOD
from gateway.errors import Reason, refuse
from tests.client.small_gateway import PASSWORD, SmallGateway
from tests.client.test_upload import batches


@pytest.mark.parametrize("attempt", range(30))
def test_writes_that_come_too_late_do_not_hide_why_the_stream_was_refused(tmp_path, attempt):
    """grpc issue 36066: about half of these ended as INTERNAL before the status was taken as it arrives."""
    gateway = SmallGateway()
    gateway.faults = [lambda _: refuse(Reason.BATCH_MALFORMED)]

    async def scenario():
        async with gateway:
            channels = Channels(gateway.profile(tmp_path))
            session = Session(channels)
            await session.login(Secret(PASSWORD))
            token = await session.token()
            call = channels.to("intake").stream_stream(METHOD)(metadata=bearer(token.secret))
            ending = Ending(call)
            with contextlib.suppress(aio.AioRpcError, asyncio.InvalidStateError):
                for sent in batches(200):
                    await call.write(sent.message)
            refusal = await ending.refusal()
            await channels.close()
            return refusal

    refusal = asyncio.run(asyncio.wait_for(scenario(), 20))
    assert refusal.reason is Reason.BATCH_MALFORMED


def test_a_clean_end_is_no_refusal_and_brings_the_checkpoint(tmp_path):
    gateway = SmallGateway()

    async def scenario():
        async with gateway:
            channels = Channels(gateway.profile(tmp_path))
            session = Session(channels)
            await session.login(Secret(PASSWORD))
            token = await session.token()
            call = channels.to("intake").stream_stream(METHOD)(metadata=bearer(token.secret))
            ending = Ending(call)
            await call.done_writing()
            assert await ending.refusal() is None
            assert (await ending.trailers())[
                "gateway-checkpoint-bin"
            ] == gateway.log.checkpoint().encode()
            await channels.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))
