"""Passwords of roles follow one another: no outage, a way in at every moment, the old one refused."""

import asyncio
import contextlib
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.config import folders, users
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import role_passwords, roles
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.store.errors import StoreAwayError
from gateway.store.role_passwords import SUPERUSER, RolePasswordError


class CrashError(BaseException):
    """The power is gone."""


@dataclass
class Place:
    """A HOME whose password files open the test cluster, and what tries them."""

    home: Home
    settings: Settings
    superuser: str

    def read(self, role: str = "intake") -> str:
        return self.home.password_file(role).read_text()

    def opens(self, password: str, role: str = "intake") -> bool:
        server = roles.server(self.home, self.settings)
        tried = make_conninfo(server, user=roles.role_name(role), password=password)
        try:
            with psycopg.connect(tried) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def change(self, role: str = "intake") -> None:
        role_passwords.change(self.home, self.settings, role)

    def settle(self, role: str = "intake") -> bool:
        return role_passwords.settle(self.home, self.settings, role)


@pytest.fixture
def place(cluster: Cluster, database: str, tmp_path) -> Iterator[Place]:
    """Afterwards the test cluster has its passwords again."""
    home = Home(tmp_path / "home")
    if users.separate():
        users.make_users()
    folders.make_folders(home)
    every = (*roles.ROLES, SUPERUSER)
    for role in every:
        shutil.copy(cluster.home.password_file(role), home.password_file(role))
    server = make_conninfo(roles.server(cluster.home, Settings()), dbname=database)
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        yield Place(home, Settings(dsn=server), cluster.superuser())
        for role in every:
            known = cluster.home.password_file(role).read_text()
            roles.set_password(connection, role, known)


@pytest.mark.parametrize("role", [*roles.ROLES, SUPERUSER])
def test_each_role_changes_its_own_and_the_old_password_is_refused_afterwards(
    place: Place, role: str
) -> None:
    old = place.read(role)
    place.change(role)
    new = place.read(role)
    assert new != old
    assert (place.opens(old, role), place.opens(new, role)) == (False, True)
    path = place.home.password_file(role)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not roles.next_file(place.home, role).exists()
    if users.separate() and (process := roles.ROLES.get(role)):
        assert path.stat().st_uid == users.user_of(process).uid


def test_no_other_role_is_touched(place: Place) -> None:
    before = {role: place.read(role) for role in roles.ROLES if role != "intake"}
    place.change()
    assert before == {role: place.read(role) for role in before}
    assert all(place.opens(password, role) for role, password in before.items())


def test_a_pool_goes_on_and_takes_the_new_password(place: Place) -> None:
    """What stands stays; the next connection reads the file anew."""

    async def scene() -> None:
        way = roles.WayIn(place.home, place.settings, "intake")
        database = await Database.open(way, application="test", size=2)
        try:
            async with database.transaction() as first:
                await asyncio.to_thread(place.change)
                assert await first.fetch("SELECT 1") == [(1,)]
                async with database.transaction() as second:
                    pids = {
                        (await tx.fetch("SELECT pg_backend_pid()"))[0] for tx in (first, second)
                    }
                    assert len(pids) == 2
        finally:
            await database.close()

    asyncio.run(scene())


def test_who_connects_between_server_and_file_waits_for_the_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        crash_after(patched, 2)
        with pytest.raises(CrashError):
            place.change()
    looks = []
    changing = roles.WayIn.changing

    def looked(way: roles.WayIn) -> bool:
        looks.append(way.role)
        if len(looks) == 2:
            assert place.settle()
        return changing(way)

    async def scene() -> None:
        monkeypatch.setattr(roles.WayIn, "changing", looked)
        way = roles.WayIn(place.home, place.settings, "intake")
        database = await Database.open(way, application="test", size=1)
        await database.close()

    asyncio.run(scene())
    assert looks == ["intake", "intake"]


def crash_after(patched: pytest.MonkeyPatch, effects: int) -> None:
    """Let so many of the four effects of a change happen, then crash in place of the next."""
    left = [effects]

    def count() -> None:
        if left[0] == 0:
            raise CrashError
        left[0] -= 1

    write, tell, unlink = folders.replace_private, roles.set_password, Path.unlink

    def counted_write(*arguments):
        count()
        write(*arguments)

    def counted_tell(*arguments):
        count()
        tell(*arguments)

    def counted_unlink(path, **named):
        if path.name.endswith(".next"):
            count()
        unlink(path, **named)

    patched.setattr(role_passwords, "replace_private", counted_write)
    patched.setattr(roles, "set_password", counted_tell)
    patched.setattr(Path, "unlink", counted_unlink)


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("role", ["owner", "intake", SUPERUSER])
def test_a_crash_anywhere_leaves_a_way_in_and_is_finished(
    place: Place, monkeypatch: pytest.MonkeyPatch, role: str, after: int
) -> None:
    old = place.read(role)
    with monkeypatch.context() as patched:
        crash_after(patched, after)
        with pytest.raises(CrashError):
            place.change(role)
    # As at the next start: whichever the server knows opens.
    assert role_passwords.settle_all(place.home, place.settings) == ([role] if after >= 2 else [])
    assert place.opens(place.read(role), role)
    assert (place.read(role) == old) == (after < 2)
    waits = roles.next_file(place.home, role)
    prepared = waits.read_text() if waits.exists() else None
    place.change(role)
    new = place.read(role)
    assert prepared in (None, new), "what was prepared is taken again"
    assert place.opens(new, role)
    assert not place.opens(old, role)
    assert not waits.exists()


def test_where_the_server_refuses_all_stays_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers keep passwords to themselves; here the role is not who it says it is."""
    old = place.read()
    with monkeypatch.context() as patched:
        tell = roles.set_password
        patched.setattr(roles, "set_password", lambda one, _, text: tell(one, "front", text))
        with pytest.raises(RolePasswordError, match=r"gateway_intake may not change .* 42501"):
            place.change()
    assert (place.read(), place.opens(old)) == (old, True)
    assert not roles.next_file(place.home, "intake").exists()
    place.change()
    assert not place.opens(old)


def test_a_password_that_somebody_else_set_is_taken_where_it_was_put(place: Place) -> None:
    """The administrator of a server that refuses sets one; the operator puts it beside the other."""
    roles.next_file(place.home, "intake").write_text("of-the-dba\n")
    assert not place.settle()
    with psycopg.connect(place.superuser) as connection:
        roles.set_password(connection, "intake", "of-the-dba")
    place.change()
    assert place.read() == "of-the-dba"
    assert place.opens("of-the-dba")
    path = place.home.password_file("intake")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if users.separate():
        assert path.stat().st_uid == users.user_of("intake").uid


def test_where_neither_opens_nothing_is_decided(place: Place) -> None:
    waits = roles.next_file(place.home, "intake")
    folders.replace_private(waits, b"unknown", "intake")
    with psycopg.connect(place.superuser) as connection:
        roles.set_password(connection, "intake", "another")
    with pytest.raises(StoreAwayError, match="neither password of intake opens"):
        place.settle()
    assert waits.exists()


def test_a_server_that_asks_for_no_password_proves_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.replace_private(roles.next_file(place.home, "intake"), b"unknown", "intake")
    trusting = SimpleNamespace(pgconn=SimpleNamespace(used_password=False))
    monkeypatch.setattr(role_passwords, "_connect", lambda *_: contextlib.nullcontext(trusting))
    with pytest.raises(RolePasswordError, match="without a password"):
        place.settle()
    assert role_passwords.settle_all(place.home, place.settings) == []


def test_no_password_is_in_what_is_said(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = []
    # It breaks before the file, before the server is told, and after.
    for after in (0, 1, 1):
        with monkeypatch.context() as patched:
            crash_after(patched, after)
            with pytest.raises(CrashError) as crashed:
                place.change()
            said.append(str(crashed.value))
    waits = roles.next_file(place.home, "intake")
    known = [place.read(), waits.read_text()]
    told = "".join([*said, *capfd.readouterr()])
    assert not [one for one in known if one in told]
