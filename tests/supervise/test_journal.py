"""Leaves of the supervisor: in line until signer and database are there, then written in order."""

import asyncio
import json

import psycopg

from gateway.config import settings
from gateway.config.home import Home
from gateway.store import roles
from gateway.store.embedded import Cluster
from gateway.supervise.child import Child
from gateway.supervise.journal import Journal


def test_leaves_wait_for_what_is_away_and_keep_their_order(founded: Home) -> None:
    own = settings.load(founded.settings)
    cluster = Cluster(founded)

    async def run() -> None:
        journal = Journal(founded, own)
        task = asyncio.create_task(journal.run())
        assert await journal.flush(1) is True
        journal.note("process.started", {"process": "supervisor", "pid": 1})
        assert await journal.flush(0.5) is False
        await asyncio.to_thread(cluster.start)
        journal.note("process.stopped", {"process": "supervisor", "pid": 2})
        assert await journal.flush(0.5) is False
        signer = await Child.start(founded, "signer")
        assert await signer.ready()
        assert await journal.flush(20) is True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await signer.finish()

    try:
        asyncio.run(run())
        with psycopg.connect(roles.conninfo(founded, own, "owner")) as connection:
            rows = connection.execute(
                "SELECT leaf FROM audit_entry WHERE kind LIKE 'process.%' ORDER BY idx"
            ).fetchall()
    finally:
        cluster.stop()
    told = [json.loads(leaf) for (leaf,) in rows]
    assert [leaf["detail"]["pid"] for leaf in told if "pid" in leaf["detail"]] == [1, 2]
    assert {leaf["door"] for leaf in told} == {"supervisor"}
