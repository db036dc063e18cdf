import asyncio

from gateway.audit import starting
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.event import Event
from gateway.audit.signing import SignerAwayError
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.supervise.journal import Journal
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


def away_once(monkeypatch):
    """The signer goes between COMMIT and signature, once."""
    cover, gone = Checkpoints.cover, []

    async def covering(self, tree):
        if not gone:
            gone.append(tree.size)
            raise SignerAwayError("the signer went away")
        await cover(self, tree)

    monkeypatch.setattr(Checkpoints, "cover", covering)


async def kinds(s):
    rows = await s.database.fetch("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
    return [leaf.parse(row[0])["kind"] for row in rows]


def test_what_is_committed_and_not_signed_yet_is_not_told_again(conninfo, monkeypatch):
    async def go():
        async with stage(conninfo) as s:
            away_once(monkeypatch)
            await starting.tell(s.recorder, Event(kind="policies.load", door="intake"))
            assert s.recorder.checkpoints.newest.size == 2
            assert await kinds(s) == ["policies.load", "log.recover"]

    asyncio.run(go())


def test_nor_is_what_the_supervisor_notes(conninfo, monkeypatch):
    async def go():
        async with stage(conninfo) as s:
            journal = Journal(Home(s.home.root), Settings())
            away_once(monkeypatch)
            for process in ("signer", "front"):
                journal.note("process.restarted", {"process": process})
            writing = asyncio.create_task(journal._write_with(s.recorder))
            assert await journal.flush(60)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            assert sorted(await kinds(s)) == ["log.recover", *["process.restarted"] * 2]

    asyncio.run(go())
