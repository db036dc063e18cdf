import asyncio
import os
import signal

from gateway.config.home import Home
from gateway.store.embedded import Cluster
from gateway.supervise.postgres import PostgresRun


def test_a_server_is_started_adopted_missed_and_stopped(founded: Home) -> None:
    async def run() -> None:
        cluster = Cluster(founded)
        first = await PostgresRun.start(cluster)
        assert (first.adopted, await first.ready()) == (False, True)
        # Another supervisor after kill -9 of the first.
        second = await PostgresRun.start(Cluster(founded))
        assert (second.adopted, second.pid) == (True, first.pid)
        os.kill(first.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            assert await first.ended() == 1
        third = await PostgresRun.start(cluster)
        assert third.pid != first.pid
        assert await third.finish() == 0
        assert cluster.pid() is None

    asyncio.run(run())


def test_a_server_that_does_not_start_is_a_run_that_is_never_ready(founded: Home) -> None:
    async def run() -> None:
        cluster = Cluster(founded)
        wrong = cluster.data / "local.conf"
        wrong.write_text("no_such_setting = 1\n")
        failed = await PostgresRun.start(cluster)
        wrong.unlink()
        assert (failed.pid, await failed.ready(), await failed.finish()) == (0, False, 1)

    asyncio.run(run())
