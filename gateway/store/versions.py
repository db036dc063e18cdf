"""Which version a database's schema has, and which this code works with; without alembic."""

from pathlib import Path

import psycopg

from gateway.store.errors import translated
from gateway.store.roles import SCHEMA

SCHEMA_FOLDER = Path(__file__).parent / "schema"


def newest() -> str:
    """Return the version this code works with: that of the last file in schema/versions."""
    return max(path.stem.removeprefix("v") for path in (SCHEMA_FOLDER / "versions").glob("v*.py"))


def current(conninfo: str) -> str:
    """Return the version of the schema at the owner's `conninfo`, "" when there is none yet."""
    with translated(), psycopg.connect(conninfo) as connection:
        table = f"{SCHEMA}.alembic_version"
        known = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
        if known is None or not known[0]:
            return ""
        row = connection.execute(f"SELECT version_num FROM {table}").fetchone()  # noqa: S608  our own name
    return str(row[0]) if row else ""
