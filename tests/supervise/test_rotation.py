"""The engine on a province that works: keys follow one another, whatever breaks off, and nobody is logged out."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from gateway.clock import US_PER_S
from gateway.identity import keys, secret_rows, token_rotation
from gateway.identity.rotation import DAY_US, HOUR_US
from gateway.store.database import Transaction
from gateway.supervise import rotation
from gateway.supervise.rotation import Engine
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import eventually
from tests.world import World, fresh_ground

WHO_AM_I = "/gateway.v1.IdentityService/WhoAmI"
CHECKPOINT = "/gateway.v1.AuditService/GetCheckpoint"
HOUR_S, DAY_S = HOUR_US / US_PER_S, DAY_US / US_PER_S


class CrashError(BaseException):
    """The power is gone."""


def in_a_world(cluster, work: Callable[[World, Engine], Awaitable[None]]) -> None:
    async def run(ground):
        world_of = World.open(ground, ("identity", "administration"))
        async with world_of as world, looking(world) as engine:
            await work(world, engine)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def looking(world: World) -> contextlib.AbstractAsyncContextManager[Engine]:
    return rotation.engine(world.home, world.settings, "supervisor", world.clock)


def rotated(world: World, kind: str = "secret.rotate") -> list[tuple[str, int]]:
    return [
        (leaf["detail"]["step"], leaf["detail"]["generation"])
        for leaf in world.leaves()
        if leaf["kind"] == kind
    ]


def rows(world: World, kind: str = "token-key") -> list[tuple[object, ...]]:
    return world.sql(
        "SELECT generation, key_id, used_us IS NOT NULL, replaced_us IS NOT NULL, ended_us IS NOT NULL"
        " FROM gateway.secret WHERE kind = %s ORDER BY generation",
        kind,
    )


def grow_old(world: World, seconds: float) -> None:
    """Let the key that signs have done so for longer: people's certificates live two weeks only."""
    by_us = round(seconds * US_PER_S)
    world.sql(
        "UPDATE gateway.secret SET made_us = made_us - %s, used_us = used_us - %s", by_us, by_us
    )


async def who(world: World, token: str) -> str:
    """Ask two doors, each with a verifier of its own, whether the token is good."""
    reply = await world.call(world.auditor, WHO_AM_I, identity.WhoAmIRequest(), token=token)
    await world.call(world.auditor, CHECKPOINT, b"", token=token)
    return identity.WhoAmIResponse.FromString(reply).account_name


def test_a_home_without_rows_gets_them_from_its_files(cluster):
    """Also one of an older version: nothing of it is told as a difference."""

    async def work(world, engine):
        assert await engine.look() == []
        kid = token_rotation.read(world.home).current
        assert rows(world) == [(1, kid, True, False, False)]
        kinds = world.sql("SELECT kind, count(*) FROM gateway.secret GROUP BY 1 ORDER BY 1")
        assert dict(kinds) == {
            "database-password": 7,
            "export-key": 1,
            "export-ticket-key": 1,
            "export-token-key": 1,
            "index-key": 1,
            "invitation-key": 1,
            "sealing-key": 2,
            "side-part-key": 1,
            "signer-key": 1,
            "subject-tag-key": 2,
            "token-key": 1,
        }
        assert await engine.look() == []
        assert not [leaf for leaf in world.leaves() if leaf["kind"].startswith("secret.")]

    in_a_world(cluster, work)


def test_a_month_goes_by_and_a_key_follows_another_unnoticed(cluster):
    async def work(world, engine):
        await engine.look()
        grow_old(world, 29 * DAY_S - 60)
        assert await engine.look() == []
        world.clock.turn(seconds=120)
        [published] = await engine.look()
        assert published.step == "publish"
        assert await engine.look() == []
        world.clock.turn(seconds=DAY_S)
        token = await world.login(world.auditor)
        [switched] = await engine.look()
        assert (switched.step, switched.secret.key_id) == ("switch", published.secret.key_id)
        # Of the old key and of the new: both are taken, at every door.
        assert await who(world, token) == "auditor"
        assert await who(world, await world.login(world.auditor)) == "auditor"
        assert await engine.look() == []
        world.clock.turn(seconds=HOUR_S + 60)
        [retired] = await engine.look()
        assert retired.step == "retire"
        assert token_rotation.read(world.home).published == {published.secret.key_id}
        assert await who(world, await world.login(world.auditor)) == "auditor"
        assert rotated(world) == [("publish", 2), ("switch", 2), ("retire", 1)]
        assert [row[2:] for row in rows(world)] == [(True, True, True), (True, False, False)]

    in_a_world(cluster, work)


def test_after_two_months_off_the_next_key_still_waits_its_day(cluster):
    async def work(world, engine):
        await engine.look()
        grow_old(world, 60 * DAY_S)
        assert [one.step for one in await engine.look()] == ["publish"]
        world.clock.turn(seconds=DAY_S - 60)
        assert await engine.look() == []
        world.clock.turn(seconds=120)
        assert [one.step for one in await engine.look()] == ["switch"]

    in_a_world(cluster, work)


# What reaches the disk or the database in a step, in its order: the leaf with the open journal, files, the closed journal.
CRASHES = range(6)


@pytest.mark.parametrize("after", CRASHES)
@pytest.mark.parametrize("step", ["publish", "switch", "retire"])
def test_a_crash_at_any_point_leaves_tokens_good_and_the_step_is_finished(
    cluster, monkeypatch, step, after
):
    """Whoever was in before stays in, whoever comes gets in: at the break, and after it was mended."""

    async def work(world, engine):
        await engine.look()
        grow_old(world, 29 * DAY_S + 60)
        if step != "publish":
            await engine.look()
            world.clock.turn(seconds=DAY_S)
        if step == "retire":
            await engine.look()
            world.clock.turn(seconds=HOUR_S)
        token = await world.login(world.auditor)
        with monkeypatch.context() as patched:
            crash_after(patched, after)
            with contextlib.suppress(CrashError):
                await engine.look()
        assert await who(world, token) == "auditor"
        assert await who(world, await world.login(world.auditor)) == "auditor"
        # Another process, as after a restart.
        async with looking(world) as again:
            await again.look()
            assert await again.look() == []
        assert await who(world, token) == "auditor"
        assert await who(world, await world.login(world.auditor)) == "auditor"
        ended = {"publish": 1, "switch": 2, "retire": 3}[step]
        assert rotated(world) == [("publish", 2), ("switch", 2), ("retire", 1)][:ended]
        assert world.sql("SELECT count(*) FROM gateway.secret_step WHERE done_us IS NULL") == [(0,)]
        assert not [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]
        files = token_rotation.read(world.home)
        assert {row[1] for row in rows(world) if not row[4]} == files.published

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
        patched.setattr(token_rotation, name, counted(getattr(token_rotation, name)))
    patched.setattr(Path, "unlink", counted(Path.unlink))
    begin, close = Engine._begin, secret_rows.done

    async def counted_begin(self: Engine, *arguments):
        count()
        await begin(self, *arguments)

    async def counted_close(tx: Transaction, *arguments):
        count()
        await close(tx, *arguments)

    patched.setattr(Engine, "_begin", counted_begin)
    patched.setattr(secret_rows, "done", counted_close)


def test_a_step_that_fails_twice_raises_one_alarm_and_is_tried_on(cluster, monkeypatch):
    async def work(world, engine):
        await engine.look()
        grow_old(world, 29 * DAY_S + 60)
        token = await world.login(world.auditor)
        with monkeypatch.context() as patched:

            def full(*_):
                raise OSError(28, "No space left on device")

            patched.setattr(token_rotation, "replace_public", full)
            for failures in (1, 2, 3):
                assert await engine.look() == []
                [(counted,)] = world.sql("SELECT failures FROM gateway.secret_step")
                assert counted == failures
                alarms = [leaf for leaf in world.leaves() if leaf["kind"] == "secret.failed"]
                assert len(alarms) == (failures >= 2)
        [alarm] = alarms
        assert alarm["decision"] == "error"
        assert alarm["detail"]["alert"] == "rotation-failed"
        assert await who(world, token) == "auditor"
        assert [one.step for one in await engine.look()] == ["publish"]
        assert rotated(world) == [("publish", 2)]

    in_a_world(cluster, work)


def test_a_table_that_does_not_know_a_key_learns_it_and_tells(cluster):
    """A database restored from before a switch: the files are right, and nobody is logged out."""

    async def work(world, engine):
        await engine.look()
        old = token_rotation.read(world.home).current
        token = await world.login(world.auditor)
        new = token_rotation.publish(world.home)
        token_rotation.switch(world.home)
        assert await engine.look() == []
        [told] = [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]
        assert told["counts"] == {"unknown": 1, "missing": 0}
        assert await who(world, token) == "auditor"
        world.sql("UPDATE gateway.secret SET ended_us = 1 WHERE key_id = %s", old)
        await engine.look()
        assert {row[1] for row in rows(world) if not row[4]} == {old, new}
        assert [row[2:] for row in rows(world) if row[1] == old][-1] == (True, True, False)

    in_a_world(cluster, work)


def test_a_key_that_vanished_from_the_files_ends_in_the_table(cluster):
    async def work(world, engine):
        await engine.look()
        world.sql(
            "INSERT INTO gateway.secret (kind, name, generation, key_id, made_us)"
            " VALUES ('sealing-key', 'body', 2, 'gone', 1)"
        )
        await engine.look()
        assert [row[4] for row in rows(world, "sealing-key") if row[1] == "gone"] == [True]
        [told] = [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]
        assert told["counts"] == {"unknown": 0, "missing": 1}

    in_a_world(cluster, work)


def test_leaves_and_logs_hold_no_key(cluster, capfd):
    async def work(world, engine):
        await engine.look()
        grow_old(world, 29 * DAY_S + 60)
        await engine.look()
        world.clock.turn(seconds=DAY_S)
        await engine.look()
        secret = keys.read_private(world.home.secrets("identity") / keys.PRIVATE_FILE)["d"]
        leaves = [leaf for leaf in world.leaves() if leaf["kind"] == "secret.rotate"]
        assert [set(leaf["detail"]) for leaf in leaves] == [
            {"secret", "step", "generation"},
            {"secret", "step", "generation", "digest"},
        ]
        assert {leaf["door"] for leaf in leaves} == {"supervisor"}
        assert secret not in repr(world.leaves()) + "".join(capfd.readouterr())

    in_a_world(cluster, work)


def test_two_engines_at_once_take_a_step_once(cluster):
    async def work(world, engine):
        await engine.look()
        grow_old(world, 29 * DAY_S + 60)
        async with looking(world) as other:
            taken = await asyncio.gather(engine.look(), other.look())
        assert sorted(len(one) for one in taken) == [0, 1]
        assert rotated(world) == [("publish", 2)]

    in_a_world(cluster, work)


@pytest.mark.parametrize(
    "role", ["identity", "intake", "disclosure", "administration", "front", "backup"]
)
@pytest.mark.parametrize("table", ["secret", "secret_step"])
def test_no_role_of_a_door_sees_the_tables(conninfo, role, table):
    with (
        psycopg.connect(conninfo(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"SELECT 1 FROM gateway.{table}")


def test_it_goes_on_after_the_database_was_away(cluster, monkeypatch):
    """The supervisor's task: what fails is tried again, with a fresh connection."""
    monkeypatch.setattr(rotation, "POLL_S", 0.01)
    monkeypatch.setattr(rotation, "_RETRY_S", 0.01)

    errors = []

    class Log:
        def info(self, event, **fields):
            assert event

        def error(self, event, **fields):
            errors.append(fields["why"])

    async def work(world, engine):
        monkeypatch.setattr(rotation, "_LOG", Log())
        kept = asyncio.create_task(rotation.keep_rotating(world.home, world.settings, world.clock))
        try:
            await eventually(lambda: rows(world))
            world.take_store_away()
            await eventually(lambda: errors)
            world.give_store_back()
            grow_old(world, 29 * DAY_S + 60)
            await eventually(lambda: rotated(world) == [("publish", 2)])
            assert not kept.done()
        finally:
            kept.cancel()
            await asyncio.gather(kept, return_exceptions=True)

    in_a_world(cluster, work)
