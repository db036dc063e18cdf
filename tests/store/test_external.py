"""A server that somebody else runs: here the test cluster, reached by a DSN like any other."""

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
from gateway.store.external import ForeignDatabaseError
from gateway.store.migrate import migrate

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
