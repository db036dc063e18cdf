import psycopg
import pytest
from alembic import command
from psycopg.conninfo import make_conninfo

from gateway.config.settings import Settings
from gateway.store import roles, versions
from gateway.store.embedded import Cluster
from gateway.store.errors import StoreAwayError
from gateway.store.migrate import MigrationError, migrate, run_files


class Raw:
    """What SQLAlchemy's connection shows of psycopg's."""

    def __init__(self, connection: object) -> None:
        self.connection = self
        self.driver_connection = connection


def test_a_migrated_database_is_at_the_newest_version(conninfo) -> None:
    assert versions.current(conninfo("owner")) == versions.newest() == "0060"
    migrate(conninfo("owner"))
    assert versions.current(conninfo("owner")) == "0060"


def test_an_empty_database_has_no_version(cluster: Cluster) -> None:
    assert versions.current(make_conninfo(cluster.superuser(), dbname="postgres")) == ""


def test_a_missing_or_wrong_file_names_itself(conninfo) -> None:
    with psycopg.connect(conninfo("owner")) as connection:
        with pytest.raises(MigrationError, match=r"9999_none\.sql is missing"):
            run_files(Raw(connection), ("9999_none.sql",))
        with pytest.raises(MigrationError, match=r"0001_base\.sql.*already exists"):
            run_files(Raw(connection), ("0001_base.sql",))
    with pytest.raises(MigrationError, match="psycopg only"):
        run_files(Raw(object()), ())


def test_a_failed_migration_leaves_nothing(cluster: Cluster, monkeypatch) -> None:
    """All of it is one transaction."""
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        roles.create_database(connection, "half")
    target = make_conninfo(cluster.superuser(), dbname="half")
    # Without our schema the first table fails after the version table was asked for.
    with pytest.raises(MigrationError):
        migrate(make_conninfo(target, options="-c search_path=pg_catalog"))
    with psycopg.connect(target) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'gateway'"
        ).fetchone()
    assert row == (0,)


def test_a_database_that_is_away_is_said_so() -> None:
    with pytest.raises(StoreAwayError):
        migrate("host=/nonexistent dbname=gateway")


def test_accounts_of_before_0006_keep_their_last_login_and_sessions_ask_for_the_password(
    cluster: Cluster, monkeypatch
) -> None:
    """What ran under the version before is not disabled for want of a column."""
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        roles.create_database(connection, "before0006")
    with psycopg.connect(cluster.superuser("before0006")) as connection:
        roles.create_schema(connection)
    target = roles.conninfo(cluster.home, Settings(), "owner")
    target = make_conninfo(target, dbname="before0006")
    upgrade = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _: upgrade(config, "0005"))
        migrate(target)
    assert versions.current(target) == "0005"
    with psycopg.connect(target) as connection:
        connection.execute(
            "INSERT INTO gateway.organisation (code, name, kind, parent, created_us)"
            " VALUES ('140000', 'province', 1, NULL, 1)"
        )
        for name in ("used", "never"):
            connection.execute(
                "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name,"
                " password_hash, password_set_us, password_expires_us, must_change, created_us)"
                " VALUES ('140000', %s, '{admin}', 'officer', 'a', 'x', 1, 1, false, 5)",
                (name,),
            )
        for sid, created_us in ((b"a" * 16, 7), (b"b" * 16, 9)):
            connection.execute(
                "INSERT INTO gateway.session (sid, organisation, account, certificate_sha256,"
                " created_us, last_seen_us, expires_us)"
                " VALUES (%s, '140000', 'used', %s, %s, 1, 1)",
                (sid, bytes(32), created_us),
            )
    migrate(target)
    with psycopg.connect(target) as connection:
        accounts = "SELECT name, last_login_us, active_since_us, state FROM gateway.account"
        assert sorted(connection.execute(accounts).fetchall()) == [
            ("never", None, 0, 1),
            ("used", 9, 0, 1),
        ]
        assert set(connection.execute("SELECT confirmed_us FROM gateway.session")) == {(0,)}
