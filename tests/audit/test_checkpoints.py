"""Checkpoints cover what was committed here and elsewhere, in steps where the signer is far behind."""

import asyncio

import pytest

from gateway.audit import checkpoints
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.log import Head, Log, LogError
from gateway.audit.signing import SignerRefusedError, SignerStandsError
from gateway.store.database import Database
from gateway.tlog import merkle
from tests.audit.stage import UPLOAD, Stage
from tests.audit.test_append_sql import made
from tests.audit.test_recorder import Conninfo, proven, run


async def elsewhere(s: Stage, count: int) -> None:
    """Commit leaves as another process would, without asking for a signature."""
    database = await Database.open(s.conninfo("front"), application="other", size=1)
    async with database.transaction() as transaction:
        size = (await transaction.fetch("SELECT size FROM gateway.audit_head"))[0][0]
        leaves = [made(i) for i in range(count)]
        await transaction.fetch("SELECT first FROM gateway.audit_append(%s, %s)", (leaves, size))
    await database.close()


def test_a_signer_far_behind_is_led_up_in_steps(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(s: Stage) -> None:
        monkeypatch.setattr(checkpoints, "STEP", 100)
        await s.recorder.append(UPLOAD)
        await elsewhere(s, 450)
        proven(s, await s.recorder.append(UPLOAD))
        assert s.signer.memory.growth.size == 452

    run(conninfo, play)


def test_a_signer_ahead_is_caught_up_with(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        other = await s.another()
        await asyncio.gather(*(other.append(UPLOAD) for _ in range(30)))
        mine = Checkpoints(s.recorder.signer, s.recorder.log)
        assert s.recorder.tree.size == 0
        await mine.learn(s.recorder.tree)
        assert (mine.newest.size, s.recorder.tree.size) == (30, 30)
        old = mine.newest
        await mine._take(s.recorder.tree, "older", merkle_checkpoint(5))
        assert mine.newest is old
        await other.close()

    run(conninfo, play)


def merkle_checkpoint(size: int) -> checkpoints.Checkpoint:
    return checkpoints.Checkpoint("x", size, merkle.EMPTY_ROOT)


def test_hashes_older_than_the_window_come_from_the_database(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        await elsewhere(s, 9000)
        s.recorder.tree = await s.recorder.log.tree()
        with pytest.raises(LookupError):
            s.recorder.tree.hashes(0)
        await s.recorder.checkpoints.cover(s.recorder.tree)
        assert s.recorder.checkpoints.newest.size == 9000
        fresh = await s.another()
        fresh.tree._nodes[0].clear()
        fresh.checkpoints.newest = merkle_checkpoint(0)
        await fresh.checkpoints.learn(fresh.tree)
        await fresh.close()

    run(conninfo, play)


def test_a_root_too_old_for_memory_is_compared_from_the_database(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        await elsewhere(s, 300)
        await s.recorder.checkpoints.learn(s.recorder.tree)
        tree = await s.recorder.log.tree()
        await s.recorder.checkpoints.cover(tree)
        for nodes in tree._nodes:
            nodes.clear()
        fresh = Checkpoints(s.recorder.signer, s.recorder.log)
        await fresh.learn(tree)
        assert fresh.newest.size == 300

    run(conninfo, play)


def test_a_signature_of_another_log_is_not_taken(conninfo: Conninfo) -> None:
    async def play(s: Stage) -> None:
        await s.recorder.append(UPLOAD)
        forged = checkpoints.Checkpoint("x", 1, merkle.EMPTY_ROOT)
        with pytest.raises(LogError) as error:
            await s.recorder.checkpoints._take(s.recorder.tree, "note", forged)
        assert error.value.code == "ROOT_DIFFERS"
        with pytest.raises(LogError) as error:
            await s.recorder.checkpoints._take(s.recorder.tree, "note", merkle_checkpoint(2))
        assert error.value.code == "LOG_SHORTENED"

    run(conninfo, play)


def test_a_signer_that_never_stands_still(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(s: Stage) -> None:
        await elsewhere(s, 5)
        tree = await s.recorder.log.tree()

        async def moves(*_: object) -> object:
            raise SignerStandsError(3)

        monkeypatch.setattr(s.recorder.signer, "sign", moves)
        with pytest.raises(SignerRefusedError) as error:
            await s.recorder.checkpoints.cover(tree)
        assert error.value.why == "unsteady"

    run(conninfo, play)


def test_the_tree_may_grow_while_the_head_is_read(conninfo: Conninfo) -> None:
    """A group of our own commits in between: what the head then lacks is no hole in the log."""

    async def play(s: Stage) -> None:
        await elsewhere(s, 2)
        tree = s.recorder.tree

        class Passed(Log):
            async def head(self) -> Head:
                found = await super().head()
                await elsewhere(s, 1)
                tree.extend(tree.size, await self.hashes(tree.size, found.size + 1))
                return found

        assert tree.size == 0
        mine = Checkpoints(s.recorder.signer, Passed(s.recorder.log._database))
        await mine._catch_up(tree, 1)
        assert tree.size == 3
        assert tree.root() == (await s.recorder.log.tree()).root()

    run(conninfo, play)
