"""The host's part of a resumption: the whole log is read anew; the ways through it stand in tests/cli/test_signer.py."""

import asyncio

import pytest

from gateway.audit.log import LogError
from gateway.identity import signer_resumption
from gateway.store.database import Database
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.resumption import ResumptionError
from tests.audit.stage import NOW_US, ORIGIN, UPLOAD, stage
from tests.audit.test_recovery import superuser


def asked(conninfo, work, count=40):
    async def go():
        async with stage(conninfo) as s:
            for _ in range(count):
                await s.recorder.append(UPLOAD)
            s.database = await Database.open(conninfo("administration"), application="test")
            s.others.append(s.database)
            await work(s)

    asyncio.run(go())


def request(s, *known):
    return signer_resumption.request(s.database, ORIGIN, known, NOW_US)


def test_it_proves_that_it_continues_what_was_kept(conninfo, monkeypatch):
    monkeypatch.setattr(signer_resumption, "_STEP", 7)

    async def work(s):
        known = [Checkpoint(ORIGIN, size, await s.recorder.log.root(size)) for size in (3, 16, 40)]
        made = await request(s, *known)
        assert (made.size, made.root) == (40, s.recorder.tree.root())
        assert sorted(made.proofs) == [3, 16]
        with pytest.raises(ResumptionError) as raised:
            await request(s, Checkpoint(ORIGIN, 41, bytes(32)))
        assert raised.value.code == "LOG_SHORTENED"
        with pytest.raises(ResumptionError) as raised:
            await request(s, Checkpoint(ORIGIN, 16, bytes(32)))
        assert raised.value.code == "LOG_INCONSISTENT"

    asked(conninfo, work)


CHANGES = {
    "ENTRY_DIFFERS": "UPDATE gateway.audit_entry SET leaf = leaf || ' ' WHERE idx = 5",
    "ENTRY_MISSING": "DELETE FROM gateway.audit_entry WHERE idx = 5",
    "ROOT_DIFFERS": "UPDATE gateway.audit_head SET root = sha256('x')",
}


@pytest.mark.parametrize("code", CHANGES)
def test_a_log_that_is_not_whole(conninfo, cluster, code):
    async def work(s):
        sql = f"SET session_replication_role = replica; {CHANGES[code]}"
        await asyncio.to_thread(superuser, cluster, sql, conninfo)
        with pytest.raises(LogError) as raised:
            await request(s)
        assert raised.value.code == code

    asked(conninfo, work)
