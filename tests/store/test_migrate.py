import psycopg
import pytest
from psycopg.conninfo import make_conninfo

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
    assert versions.current(conninfo("owner")) == versions.newest() == "0006"
    migrate(conninfo("owner"))
    assert versions.current(conninfo("owner")) == "0006"


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
