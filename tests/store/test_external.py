"""A server that somebody else runs: here the test cluster, reached by a DSN like any other; and Debian's where there is one."""

import os
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.config import folders, users
from gateway.config.home import Home
from gateway.config.settings import Settings, parse
from gateway.store import external, roles, versions
from gateway.store.embedded import Cluster
from gateway.store.errors import StoreAwayError, StoreError
from gateway.store.external import Empty, ForeignDatabaseError
from gateway.store.migrate import migrate
from tests import debian

PASSWORD = "dba-secret"


@pytest.fixture
def kept(cluster: Cluster):
    """The test cluster's role passwords, given back after a test that changes them."""
    known = {role: cluster.home.password_file(role).read_text() for role in roles.ROLES}
    yield
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        roles.create_roles(connection, known)


@pytest.fixture
def dsn(cluster: Cluster, kept: None):
    """The DSN of an empty database, owned by a user who may make roles and is no superuser."""
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        connection.execute(
            f"CREATE ROLE dba LOGIN CREATEROLE CREATEDB REPLICATION PASSWORD '{PASSWORD}'"
        )
        for role in roles.ROLES:
            name = sql.Identifier(roles.role_name(role))
            connection.execute(sql.SQL("GRANT {} TO dba WITH ADMIN TRUE, SET FALSE").format(name))
        connection.execute("CREATE DATABASE outside OWNER dba")
    yield make_conninfo(roles.server(cluster.home, Settings()), dbname="outside", user="dba")
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        connection.execute("DROP DATABASE outside WITH (FORCE)")
        connection.execute("DROP OWNED BY dba CASCADE")
        connection.execute("DROP ROLE dba")


@pytest.fixture
def home(tmp_path) -> Home:
    if users.separate():
        users.make_users()
    made = Home(tmp_path / "home")
    folders.make_folders(made)
    return made


def test_a_database_is_made_ours_without_a_superuser(home: Home, dsn: str) -> None:
    told = external.provision(home, dsn, PASSWORD)
    assert conninfo_to_dict(told).keys() == {"host", "port", "dbname"}
    own = parse({"dsn": told}, "settings")
    owner = roles.conninfo(home, own, "owner")
    migrate(owner)
    assert versions.current(owner) == versions.newest()
    with psycopg.connect(roles.conninfo(home, own, "intake")) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT body FROM item")
        connection.rollback()
        connection.execute(
            "SELECT audit_append(ARRAY[%s::bytea], 0)",
            [b'{"time_us":1,"kind":"t","decision":"allow"}'],
        )


def test_a_gateways_database_is_not_taken_over(home: Home, dsn: str, tmp_path) -> None:
    test_a_database_is_made_ours_without_a_superuser(home, dsn)
    other = Home(tmp_path / "other")
    folders.make_folders(other)
    with pytest.raises(ForeignDatabaseError, match="holds a gateway's log"):
        external.provision(other, dsn, PASSWORD)
    assert not other.password_file("owner").exists()


def test_a_wrong_password_is_away(home: Home, dsn: str) -> None:
    with pytest.raises(StoreAwayError):
        external.provision(home, make_conninfo(dsn, passfile="/dev/null"), "wrong")


def test_a_password_in_the_dsn_is_refused_before_it_is_used(home: Home) -> None:
    with pytest.raises(ForeignDatabaseError, match="--password-file"):
        external.provision(home, "host=/nonexistent password=guess", "")
    with pytest.raises(StoreError):
        external.provision(home, "no dsn at all", "")


def test_an_empty_database_gets_the_roles_of_a_home_and_room_for_its_schema(
    home: Home, dsn: str
) -> None:
    roles.make_passwords(home)
    place = Empty(dsn, PASSWORD)
    told = external.prepare(home, place)
    assert told == external._impersonal(dsn, "outside")
    assert external.server(place) == 18
    own = parse({"dsn": told}, "settings")
    with psycopg.connect(roles.conninfo(home, own, "owner"), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA gateway")
    external.finish(place)
    with (
        psycopg.connect(roles.conninfo(home, own, "owner"), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE SCHEMA another")
    assert PASSWORD not in repr(place)
    assert external.clear(home, own)
    external.prepare(home, place)


def test_a_database_that_holds_anything_is_not_prepared(home: Home, dsn: str) -> None:
    roles.make_passwords(home)
    before = home.password_file("owner").read_text()
    with psycopg.connect(dsn, password=PASSWORD, autocommit=True) as connection:
        for kind, more in (
            ("TABLE", "()"),
            ("FUNCTION", "() RETURNS int RETURN 1"),
            ("TYPE", "AS ENUM ('a')"),
        ):
            connection.execute(f"CREATE {kind} public.theirs {more}")
            with pytest.raises(ForeignDatabaseError, match="is not empty"):
                external.prepare(home, Empty(dsn, PASSWORD))
            connection.execute(f"DROP {kind} public.theirs")
    assert external.prepare(home, Empty(dsn, PASSWORD))
    assert home.password_file("owner").read_text() == before


def test_a_server_that_serves_a_gateway_keeps_its_passwords(
    cluster: Cluster, home: Home, dsn: str, database_settings: Settings
) -> None:
    """Attack: a restore beside a gateway that lives would shut it out, for roles are the whole server's."""
    roles.make_passwords(home)
    living = roles.conninfo(cluster.home, database_settings, "intake")
    with (
        psycopg.connect(living) as connection,
        pytest.raises(ForeignDatabaseError, match="a gateway is connected"),
    ):
        external.prepare(home, Empty(dsn, PASSWORD))
    with psycopg.connect(living) as connection:
        connection.execute("SELECT 1")


def test_what_is_not_reached_is_not_cleared(home: Home) -> None:
    roles.make_passwords(home)
    assert not external.clear(home, Settings(dsn="host=/nonexistent"))


def test_the_embedded_server_offers_all(cluster: Cluster, database_settings: Settings) -> None:
    found = external.offers(cluster.home, database_settings)
    assert (found.version, found.timeline) == (18, 1)
    assert found.logical
    assert found.physical == (not less())
    assert [one.name for one in found.each if not one.good] == less()


def less() -> list[str]:
    """What a gateway without root lacks itself."""
    return [] if users.separate() else ["users"]


def lacks(server: debian.Server, home: Home, own: Settings) -> dict[str, tuple[str, ...]]:
    found = external.offers(home, own)
    assert found.logical
    assert found.physical == all(one.good for one in found.each if one.needed)
    return {one.name: one.fix for one in found.each if not one.good}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts another's programs")
@pytest.mark.skipif(debian.PROGRAMS is None, reason=debian.NONE)
def test_what_a_server_lacks_is_mended_by_the_lines_that_are_told(home: Home) -> None:
    """Made by who may make roles and no more; each lack by its own lines, until base backups are possible."""
    with debian.served() as server:
        server.sql(f"CREATE ROLE dba LOGIN CREATEROLE PASSWORD '{PASSWORD}'", "CREATE DATABASE outside OWNER dba")  # fmt: skip
        own = parse({"dsn": external.provision(home, server.dsn("outside", "dba"), PASSWORD)}, "")
        access = server.data / "pg_hba.conf"
        access.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        server.sql("ALTER SYSTEM SET wal_level = minimal", "ALTER SYSTEM SET max_wal_senders = 0")
        server.stop()
        server.start()
        told = lacks(server, home, own)
        # Without senders the server says so before it looks who comes, from where.
        assert set(told) == {"replication", "wal-level", "senders", "slot-size"}
        for lines in told.values():
            server.sql(*(one for one in lines if not one.startswith("--")))
        server.stop()
        server.start()
        told = lacks(server, home, own)
        assert set(told) == {"access"}
        line, reload = told["access"]
        assert line == "host replication gateway_backup 127.0.0.1/32 scram-sha-256"
        with access.open("a") as file:
            file.write(f"{line}\n")
        server.sql(reload)
        server.stop()
        server.start()
        assert list(lacks(server, home, own)) == less()


def test_a_newer_server_than_our_programs_is_dumped_by_nobody() -> None:
    told = {
        "primary": True, "replication": True, "wal_level": "replica", "senders": 10, "slots": 10,
        "checksums": "on", "keep": "8GB", "tablespaces": 0, "address": "2001:db8::7", "ssl": True,
        "segments": "16MB", "slot": 0,
    }  # fmt: skip
    found = external.Offers(19, 1, tuple(external._judged(19, told, "")))
    assert list(found.lacking) == ["version", *less()]
    assert not found.logical
    assert not found.physical
    assert replace(found, version=18).logical
    assert external._access(told) == (
        "hostssl replication gateway_backup 2001:db8::7/128 scram-sha-256"
    )


@pytest.mark.parametrize("keep", ["-1", None])
def test_a_slot_without_a_bound_is_not_made(keep: str | None) -> None:
    """Fault: places that are away, and the journal fills the disk of a server that is not ours; before 13 there is no bound."""
    told = {
        "primary": True, "replication": True, "wal_level": "replica", "senders": 10, "slots": 10,
        "checksums": "on", "keep": keep, "tablespaces": 0, "address": None, "ssl": False,
        "segments": "16MB", "slot": 1,
    }  # fmt: skip
    found = external.Offers(15, 1, tuple(external._judged(15, told, "")))
    assert list(found.lacking) == ["slot-size", *less()]


def test_without_root_only_dumps(monkeypatch) -> None:
    """Attack: what is in their files would run as whoever reads the keys."""
    monkeypatch.setattr(external, "separate", lambda: False)
    told = {
        "primary": True, "replication": True, "wal_level": "replica", "senders": 10, "slots": 10,
        "checksums": "on", "keep": "8GB", "tablespaces": 0, "address": None, "ssl": False,
        "segments": "16MB", "slot": 0,
    }  # fmt: skip
    found = external.Offers(15, 1, tuple(external._judged(15, told, "")))
    assert found.lacking == ("users",)
    assert found.logical
