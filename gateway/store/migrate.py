"""Brings a schema to this code's version: alembic, forward only, one transaction, as the owner."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from gateway.store.errors import translated
from gateway.store.roles import SCHEMA

_SCHEMA_FOLDER = Path(__file__).parent / "schema"


class MigrationError(Exception):
    """The schema could not be brought to this code's version."""


def migrate(conninfo: str) -> str:
    """Migrate the database at the owner's `conninfo`; return its version now.

    Raises MigrationError when a file is missing or fails, StoreError when the database is away.
    """
    config = _config()
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: _connect(conninfo), poolclass=NullPool
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        return _version_of(connection)


def version(conninfo: str) -> str:
    """Return the version a database's schema has, "" when it has none."""
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: _connect(conninfo), poolclass=NullPool
    )
    with engine.connect() as connection:
        return _version_of(connection)


def newest() -> str:
    """Return the version this code works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def run_files(connection: Connection, names: tuple[str, ...]) -> None:
    """Run SQL files of the schema folder in this order; raises MigrationError."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise MigrationError("migrations run on psycopg only")
    for name in names:
        path = _SCHEMA_FOLDER / name
        try:
            driver.execute(path.read_bytes())
        except FileNotFoundError as error:
            raise MigrationError(f"{path} is missing: the installation is incomplete") from error
        except psycopg.Error as error:
            raise MigrationError(f"{name}: {error}") from error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCHEMA_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _connect(conninfo: str) -> psycopg.Connection:
    with translated():
        return psycopg.connect(conninfo)


def _version_of(connection: Connection) -> str:
    context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
    return context.get_current_revision() or ""
