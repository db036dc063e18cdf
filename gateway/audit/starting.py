"""Puts a start on the log, however long that takes: whoever starts serves nobody before."""

import asyncio

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.errors import UnavailableError

# Between two attempts.
RETRY_S = 0.25


async def tell(recorder: Recorder, event: Event) -> None:
    """Append once, and return when it is signed: a log that is away is waited for."""
    while True:
        try:
            await recorder.append(event)
        except UnavailableError as error:
            if error.committed:
                break
            await asyncio.sleep(RETRY_S)
        else:
            return
    while recorder.state.phase != "normal":  # noqa: ASYNC110  recovery signs it, and tells nobody
        await asyncio.sleep(RETRY_S)
