"""Database passwords follow one another while the gateway is served: nobody is refused for it but the old password."""

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.config.home import Home
from gateway.identity import secret_rows
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import DAY_US, Secret
from gateway.store import role_passwords, roles
from gateway.supervise import rotation
from gateway.supervise.database_taker import DatabaseTaker
from gateway.supervise.rotation import Engine
from gateway.supervise.taker import StepError
from gateway.v1 import identity_service_pb2 as identity
from tests.world import World, fresh_ground

WHO_AM_I = "/gateway.v1.IdentityService/WhoAmI"
KIND = "database-password"
DOORS = ("identity", "administration")


class CrashError(BaseException):
    """The power is gone."""


def in_a_world(cluster, work: Callable[[World, Engine], Awaitable[None]]) -> None:
    """Afterwards the test cluster has its passwords again."""

    async def run(ground):
        async with World.open(ground, DOORS) as world, looking(world) as engine:
            await engine.look()
            await work(world, engine)

    with fresh_ground(cluster) as ground:
        try:
            asyncio.run(run(ground))
        finally:
            with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
                for role in roles.ROLES:
                    known = cluster.home.password_file(role).read_text()
                    roles.set_password(connection, role, known)


@contextlib.asynccontextmanager
async def looking(world: World, *, ours: bool = False):
    """An engine; `ours`: as where the gateway keeps the database itself."""
    async with rotation.engine(world.home, world.settings, "supervisor", world.clock) as engine:
        if ours:
            engine._external = False
        yield engine


def grow_old(world: World, *names: str) -> None:
    world.sql(
        "UPDATE gateway.secret SET made_us = made_us - %s WHERE kind = %s AND name = ANY (%s)",
        *(366 * DAY_US, KIND, list(names or roles.ROLES)),
    )


def passwords(world: World) -> dict[str, str]:
    return {role: world.home.password_file(role).read_text() for role in roles.ROLES}


def opens(world: World, role: str, password: str) -> bool:
    server = roles.server(world.home, world.settings)
    try:
        psycopg.connect(
            make_conninfo(server, user=roles.role_name(role), password=password)
        ).close()
    except psycopg.OperationalError:
        return False
    return True


def rows(world: World, name: str) -> list[tuple[object, ...]]:
    return world.sql(
        "SELECT generation, ended_us IS NOT NULL FROM gateway.secret WHERE kind = %s AND name = %s"
        " ORDER BY generation",
        *(KIND, name),
    )


def rotated(world: World) -> list[tuple[str, int]]:
    return [
        (leaf["detail"]["step"], leaf["detail"]["generation"])
        for leaf in world.leaves()
        if leaf["kind"] == "secret.rotate"
    ]


async def served(world: World) -> None:
    """Log in and be told who one is: the identity door reads and writes."""
    token = await world.login(world.auditor)
    assert await world.call(world.auditor, WHO_AM_I, identity.WhoAmIRequest(), token=token)


def end_every_connection(world: World) -> None:
    """The server was restarted: every pool must come in again."""
    world.close_owner()
    with psycopg.connect(world._superuser, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename LIKE 'gateway%' AND pid <> pg_backend_pid()"
        )


def test_every_role_changes_and_doors_go_on_also_over_new_connections(cluster):
    async def work(world, engine):
        old = passwords(world)
        grow_old(world)
        async with looking(world, ours=True) as ours:
            taken = []
            while done := await ours.look():
                taken += done
                await served(world)
        assert sorted(one.secret.name for one in taken) == sorted(roles.ROLES)
        new = passwords(world)
        assert not set(new.values()) & set(old.values())
        assert not [role for role, password in old.items() if opens(world, role, password)]
        end_every_connection(world)
        await served(world)
        assert rotated(world) == [("switch", 2)] * len(roles.ROLES)
        assert {tuple(rows(world, role)) for role in roles.ROLES} == {((1, True), (2, False))}
        assert not [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]

    in_a_world(cluster, work)


def test_where_another_keeps_the_database_an_operator_changes_them(cluster):
    async def work(world, engine):
        old = passwords(world)
        grow_old(world)
        assert await engine.look() == []
        assert passwords(world) == old
        assert [one.secret.name for one in await engine.change(KIND, "intake")] == ["intake"]
        assert {role for role, one in passwords(world).items() if one != old[role]} == {"intake"}
        assert len(await engine.change(KIND)) == len(roles.ROLES)
        await served(world)

    in_a_world(cluster, work)


# What reaches disk or server, in its order: the leaf with the open journal, the next file, the server, the file, the journal.
@pytest.mark.parametrize("after", range(5))
def test_a_crash_at_any_point_leaves_a_way_in_and_is_finished(cluster, monkeypatch, after):
    """The owner's: without it nothing of the host's comes in any more."""

    async def work(world, engine):
        old = passwords(world)["owner"]
        grow_old(world, "owner")
        async with looking(world, ours=True) as ours:
            with monkeypatch.context() as patched:
                crash_after(patched, after)
                with pytest.raises(CrashError):
                    await ours.look()
        # The machine comes up again: the supervisor's first act.
        role_passwords.settle_all(world.home, world.settings)
        end_every_connection(world)
        await served(world)
        async with looking(world, ours=True) as again:
            while await again.look():
                pass
        assert not opens(world, "owner", old)
        assert opens(world, "owner", passwords(world)["owner"])
        assert rotated(world) == [("switch", 2)]
        assert rows(world, "owner") == [(1, True), (2, False)]
        assert world.sql("SELECT count(*) FROM gateway.secret_step WHERE done_us IS NULL") == [(0,)]

    in_a_world(cluster, work)


def crash_after(patched: pytest.MonkeyPatch, effects: int) -> None:
    """Let so many effects of a step happen, then crash in place of the next."""
    left = [effects]

    def count() -> None:
        if left[0] == 0:
            raise CrashError
        left[0] -= 1

    def counted(real):
        def change(*arguments):
            count()
            return real(*arguments)

        return change

    patched.setattr(role_passwords, "replace_private", counted(role_passwords.replace_private))
    patched.setattr(roles, "set_password", counted(roles.set_password))
    settle = role_passwords.settle

    def counted_settle(home, settings, role):
        if roles.next_file(home, role).exists():
            count()
        return settle(home, settings, role)

    patched.setattr(role_passwords, "settle", counted_settle)
    begin, done = Engine._begin, secret_rows.done

    async def counted_begin(self: Engine, *arguments):
        count()
        await begin(self, *arguments)

    async def counted_done(*arguments):
        count()
        await done(*arguments)

    patched.setattr(Engine, "_begin", counted_begin)
    patched.setattr(secret_rows, "done", counted_done)


def test_a_server_that_refuses_is_an_alarm_and_holds_up_no_other_secret(cluster, monkeypatch):
    """Then its administrator sets the password, and it is taken from beside the file."""

    async def work(world, engine):
        old = passwords(world)["intake"]
        tell = roles.set_password
        with monkeypatch.context() as patched:
            patched.setattr(roles, "set_password", lambda one, _, text: tell(one, "owner", text))
            assert await engine.change(KIND, "intake") == []
            assert await engine.look() == []
        [alarm] = [leaf for leaf in world.leaves() if leaf["kind"] == "secret.failed"]
        assert alarm["detail"]["alert"] == "rotation-failed"
        assert passwords(world)["intake"] == old
        world.sql(
            "UPDATE gateway.secret SET used_us = used_us - %s WHERE kind = 'token-key'",
            *(30 * DAY_US,),
        )
        with monkeypatch.context() as patched:
            patched.setattr(roles, "set_password", lambda one, _, text: tell(one, "owner", text))
            assert [one.secret.kind for one in await engine.look()] == ["token-key"]
        beside = roles.next_file(world.home, "intake")
        beside.write_text("of-the-dba")
        with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
            roles.set_password(connection, "intake", "of-the-dba")
        assert [one.secret.name for one in await engine.look()] == ["intake"]
        assert passwords(world)["intake"] == "of-the-dba"
        assert not opens(world, "intake", old)

    in_a_world(cluster, work)


def test_leaves_and_logs_hold_no_password(cluster, capfd):
    async def work(world, engine):
        old = passwords(world)
        await engine.change(KIND)
        told = repr(world.leaves()) + "".join(capfd.readouterr())
        assert not [one for one in (*old.values(), *passwords(world).values()) if one in told]

    in_a_world(cluster, work)


def test_which_password_a_step_is_begun_of(tmp_path):
    taker = DatabaseTaker(Home(tmp_path))
    kept = Kept(Secret(KIND, "intake", HOST, 4), 1)
    assert taker.begins(kept, "switch", 5) == Secret(KIND, "intake", HOST, 5)
    assert taker.begins(kept, "replace", 5) is None


def test_a_step_that_cannot_be_taken_is_counted(tmp_path, cluster):
    """A server that went away, or knows neither password."""
    home = Home(tmp_path)
    home.password_file("intake").parent.mkdir(parents=True)
    server = roles.server(cluster.home, rotation.Settings())
    home.settings.write_text(f'dsn = "{server}"\n')
    shutil.copy(cluster.home.password_file("front"), home.password_file("intake"))
    step = secret_rows.OpenStep(1, Secret(KIND, "intake", HOST, 2), "switch", 0)
    with pytest.raises(StepError):
        asyncio.run(DatabaseTaker(home).take(step))
