"""Brings a schema to this code's version: alembic, forward only, one transaction, as the owner."""

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from gateway.store.errors import MigrationError, translated
from gateway.store.versions import SCHEMA_FOLDER

__all__ = ["MigrationError", "migrate", "run_files"]


def migrate(conninfo: str) -> None:
    """Migrate the database at the owner's `conninfo`.

    Raises MigrationError when a file is missing or fails, StoreError when the database is away.
    """
    config = Config()
    config.set_main_option("script_location", str(SCHEMA_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    url = "postgresql+psycopg://"
    engine = create_engine(url, creator=lambda: _connect(conninfo), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise MigrationError(str(error)) from error


def run_files(connection: Connection, names: tuple[str, ...]) -> None:
    """Run SQL files of the schema folder in this order; raises MigrationError."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise MigrationError("migrations run on psycopg only")
    for name in names:
        path = SCHEMA_FOLDER / name
        try:
            driver.execute(path.read_bytes())
        except FileNotFoundError as error:
            raise MigrationError(f"{path} is missing: the installation is incomplete") from error
        except psycopg.Error as error:
            raise MigrationError(f"{name}: {error}") from error


def _connect(conninfo: str) -> psycopg.Connection:
    with translated():
        return psycopg.connect(conninfo)
