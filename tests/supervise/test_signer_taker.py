"""The log's key follows another while the province works: whatever breaks off, the log goes on being signed."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

import pytest

from gateway.clock import US_PER_S
from gateway.config import log_keys
from gateway.config.home import Home
from gateway.identity import signer_rotation
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import DAY_US, Secret
from gateway.supervise import rotation
from gateway.supervise.rotation import Engine
from gateway.supervise.signer_taker import SignerTaker
from gateway.supervise.taker import StepError
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys, signs
from gateway.tlog.note import Verifier, parse_vkey
from gateway.v1 import audit_service_pb2 as audit
from tests.world import RefusedError, World, fresh_ground

CHECKPOINT = "/gateway.v1.AuditService/GetCheckpoint"
OVERLAP_US = 30 * DAY_US


class CrashError(BaseException):
    """The power is gone."""


def in_a_world(cluster, work: Callable[[World, Engine], Awaitable[None]]) -> None:
    async def run(ground):
        world_of = World.open(ground, ("identity", "administration"))
        async with world_of as world, looking(world) as engine:
            await engine.look()
            await work(world, engine)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def looking(world: World) -> contextlib.AbstractAsyncContextManager[Engine]:
    return rotation.engine(world.home, world.settings, "supervisor", world.clock)


def published(world: World) -> Verifier:
    return parse_vkey(world.home.log_key.read_text().strip())


def pass_by(world: World, us: int) -> None:
    """Let the two keys have signed together for longer: people's certificates live two weeks only."""
    world.sql("UPDATE gateway.secret SET replaced_us = replaced_us - %s", us)


async def newest(world: World) -> str:
    """Ask a door for the newest checkpoint: the call is on the log and signed."""
    # A signer that was killed a moment ago is away until the door has found the new one.
    for patience in range(200, -1, -1):
        try:
            token = await world.login(world.auditor)
            break
        except RefusedError as refused:
            if refused.reason != "SIGNER_AWAY" or not patience:
                raise
            await asyncio.sleep(0.05)
    reply = await world.call(world.auditor, CHECKPOINT, b"", token=token)
    return audit.GetCheckpointResponse.FromString(reply).checkpoint


def opened(world: World, first: Verifier, signed: str) -> Checkpoint:
    return LogKeys.of(first, log_keys.read(world.home.log_keys)).open(signed)


def rotated(world: World) -> list[tuple[str, int]]:
    details = [leaf["detail"] for leaf in world.leaves() if leaf["kind"] == "secret.rotate"]
    return [(one["step"], one["generation"]) for one in details if one["secret"] == "signer-key"]


def rows(world: World) -> list[tuple[object, ...]]:
    return world.sql(
        "SELECT generation, key_id, replaced_us IS NOT NULL, ended_us IS NOT NULL"
        " FROM gateway.secret WHERE kind = 'signer-key' ORDER BY generation"
    )


def test_a_key_follows_overlaps_and_ends(cluster):
    async def work(world, engine):
        first = published(world)
        before = await newest(world)
        [switched] = await engine.change("signer-key")
        second = published(world)
        assert (switched.step, switched.secret.key_id) == ("switch", signer_rotation.key_id(second))
        assert await engine.look() == []
        signed = await newest(world)
        assert signs(signed, first)
        assert signs(signed, second)
        [told] = [leaf for leaf in world.leaves() if leaf["kind"] == "log.key"]
        ranges = LogKeys.of(first, log_keys.read(world.home.log_keys)).ranges
        assert told["detail"]["old_key"] == first.key_id.hex()
        assert told["detail"]["new_key"] == second.key_id.hex()
        assert told["detail"]["from_size"] == ranges[1].from_size == ranges[0].until_size
        pass_by(world, OVERLAP_US - 60 * US_PER_S)
        assert await engine.look() == []
        pass_by(world, 120 * US_PER_S)
        assert [one.step for one in await engine.look()] == ["retire"]
        after = await newest(world)
        assert not signs(after, first)
        assert len(world.home.signing_keys.read_text().split()) == 1
        # Whoever trusts the first key alone reads all of them, with the public note.
        sizes = [opened(world, first, one).size for one in (before, signed, after)]
        assert sizes == sorted(sizes)
        assert rotated(world) == [("switch", 2), ("retire", 1)]
        assert rows(world) == [
            (1, signer_rotation.key_id(first), True, True),
            (2, signer_rotation.key_id(second), False, False),
        ]
        assert not [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]

    in_a_world(cluster, work)


def test_no_third_key_while_two_sign(cluster):
    async def work(world, engine):
        await engine.change("signer-key")
        second = published(world)
        with pytest.raises(StepError, match="still signs"):
            await engine.change("signer-key")
        assert published(world) == second
        assert rotated(world) == [("switch", 2)]
        pass_by(world, OVERLAP_US)
        await engine.look()
        await engine.change("signer-key")
        assert rotated(world) == [("switch", 2), ("retire", 1), ("switch", 3)]
        assert len(log_keys.files(world.home.log_keys)) == 2

    in_a_world(cluster, work)


# What reaches the disk or the database in a step, in its order: the leaf with the open journal, files, the closed journal.
SWITCH, RETIRE = range(5), range(4)
CRASHES = [("switch", one) for one in SWITCH] + [("retire", one) for one in RETIRE]


@pytest.mark.parametrize(("step", "after"), CRASHES)
def test_a_crash_at_any_point_and_the_log_goes_on(cluster, monkeypatch, step, after):
    """At the break every call is signed and read by whoever trusts the first key; afterwards the step is finished."""

    async def work(world, engine):
        first = published(world)
        if step == "retire":
            await engine.change("signer-key")
            pass_by(world, OVERLAP_US)
        before = await newest(world)
        with monkeypatch.context() as patched:
            crash_after(patched, after)
            with pytest.raises(CrashError):
                await (engine.change("signer-key") if step == "switch" else engine.look())
        # The signer too: it starts with whatever keys it finds.
        at_break = await newest(world)
        await world.kill_signer()
        await world.start_signer()
        async with looking(world) as again:
            await again.look()
            assert await again.look() == []
        if after == 0 and step == "switch":
            assert rotated(world) == []
            assert published(world) == first
            return
        after_all = await newest(world)
        sizes = [opened(world, first, one).size for one in (before, at_break, after_all)]
        assert sizes == sorted(sizes)
        assert signs(after_all, published(world))
        assert signs(after_all, first) is (step == "switch")
        assert published(world) != first
        assert rotated(world) == [("switch", 2), ("retire", 1)][: 1 if step == "switch" else 2]
        assert world.sql("SELECT count(*) FROM gateway.secret_step WHERE done_us IS NULL") == [(0,)]
        assert len([leaf for leaf in world.leaves() if leaf["kind"] == "log.key"]) == 1
        assert not [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]
        assert len(log_keys.files(world.home.log_keys)) == 1
        assert [row[1] for row in rows(world) if not row[3]][-1] == signer_rotation.key_id(
            published(world)
        )

    in_a_world(cluster, work)


def crash_after(patched: pytest.MonkeyPatch, effects: int) -> None:
    """Let so many effects of a step happen, then crash in place of the next."""
    left = [effects]

    def count() -> None:
        if left[0] == 0:
            raise CrashError
        left[0] -= 1

    def counted(real):
        def change(*arguments, **named):
            count()
            return real(*arguments, **named)

        return change

    for name in ("replace_private", "replace_public"):
        patched.setattr(signer_rotation, name, counted(getattr(signer_rotation, name)))
    patched.setattr(signer_rotation.os, "pwrite", once(counted(os.pwrite), os.pwrite))
    for name in ("_begin", "_close"):
        patched.setattr(Engine, name, counted(getattr(Engine, name)))


def once(counted, real):
    """Count the overwriting of a key only: the signer writes its state by the same call."""

    def pwrite(descriptor, content, place):
        return (counted if set(content) == {0} else real)(descriptor, content, place)

    return pwrite


def test_a_signer_that_does_not_take_the_key_fails_the_step_and_signs_on(cluster, monkeypatch):
    """It is told, tried on, and done once the signer can: nothing is published before."""

    async def work(world, engine):
        first = published(world)
        with monkeypatch.context() as patched:

            def full(*_):
                raise OSError(28, "No space left on device")

            patched.setattr("gateway.signer.keys.replace_private", full)
            assert await engine_change_in_vain(engine) == []
        assert published(world) == first
        assert not log_keys.files(world.home.log_keys)
        signed = await newest(world)
        assert opened(world, first, signed).size > 0
        assert [one.step for one in await engine.look()] == ["switch"]
        assert published(world) != first
        assert await engine.look() == []
        assert rotated(world) == [("switch", 2)]

    in_a_world(cluster, work)


async def engine_change_in_vain(engine: Engine) -> list[rotation.Done]:
    return [one for one in await engine.change("signer-key") if one.step == "switch"]


def test_leaves_files_and_logs_hold_no_private_key(cluster, capfd):
    async def work(world, engine):
        await engine.change("signer-key")
        await newest(world)
        # PRIVATE+KEY+name+id+key: base64 has plus signs too.
        secrets = [line.split("+", 4)[4] for line in world.home.signing_keys.read_text().split()]
        said = repr(world.leaves()) + "".join(capfd.readouterr())
        said += "".join(one.read_text() for one in log_keys.files(world.home.log_keys))
        assert not [one for one in secrets if one in said]
        [leaf] = [leaf for leaf in world.leaves() if leaf["kind"] == "log.key"]
        assert set(leaf["detail"]) == {"old_key", "new_key", "from_size", "digest"}
        assert leaf["door"] == "supervisor"

    in_a_world(cluster, work)


def test_no_step_of_it_begins_by_age_but_the_end_of_the_one_before(tmp_path):
    """A person lets another follow: whoever keeps the key elsewhere is told first."""
    taker = SignerTaker(Home(tmp_path))
    old = Kept(Secret("signer-key", "log", HOST, 1, "old"), 1, replaced_us=2)
    assert taker.begins(old, "replace", 2) is None
    assert taker.begins(old, "retire", 2) == old.secret
    with pytest.raises(StepError):
        taker.begins(old, "switch", 2)
