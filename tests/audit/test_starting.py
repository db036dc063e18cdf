import asyncio

from gateway.audit import starting
from gateway.audit.event import Event
from gateway.tlog import leaf
from tests.audit.stage import stage, until


def test_a_start_waits_for_a_log_that_is_away_and_is_told_once(conninfo):
    async def go():
        async with stage(conninfo) as s:
            await s.signer.kill()
            told = asyncio.create_task(
                starting.tell(s.recorder, Event(kind="policies.load", door="intake"))
            )
            await until(lambda: s.recorder.state.refused > 0)
            assert not told.done()
            await s.signer.start()
            async with asyncio.timeout(60):
                await told
            rows = await s.database.fetch("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
            kinds = [leaf.parse(row[0])["kind"] for row in rows]
            assert kinds == ["log.recover", "policies.load"]

    asyncio.run(go())
