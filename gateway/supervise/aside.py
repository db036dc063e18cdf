"""Runs what must answer at once beside the supervisor's own loop, which may be busy for a while.

Signing a revocation list of 100,000 or reading every secret keeps a loop for up to a second; the
front takes a VPN that does not answer in that time for one that is gone.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor


async def aside(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run it in a thread, in a loop of its own, until it ends or we are cancelled.

    Raises what it raises.
    """
    here = asyncio.get_running_loop()
    begun: asyncio.Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]]
    begun = here.create_future()

    async def there() -> None:
        task = asyncio.create_task(work())
        here.call_soon_threadsafe(begun.set_result, (asyncio.get_running_loop(), task))
        await task

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(there())

    thread = ThreadPoolExecutor(1, thread_name_prefix="aside")
    running = here.run_in_executor(thread, run)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        loop, task = await begun
        # Its loop may have ended by itself this very moment.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
        await running
        raise
    finally:
        thread.shutdown(wait=False)
