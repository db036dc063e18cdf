"""A database that somebody else runs: roles and schema made in it, by a user who may.

That user needs CREATEROLE and REPLICATION (or is a superuser) and owns the database; his password
comes from the environment of libpq (~/.pgpass, PGPASSWORD) or from a file, never from argv.
"""

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.config.home import Home
from gateway.store import roles
from gateway.store.errors import translated

# What belongs to one user, and so not into settings that every process reads.
_PERSONAL = ("user", "password", "passfile", "sslpassword")
_HEAD = f"{roles.SCHEMA}.audit_head"


class ForeignDatabaseError(Exception):
    """The database cannot be ours: the text says why."""


def provision(home: Home, dsn: str, password: str) -> str:
    """Make roles with new passwords and our schema in the database at `dsn`.

    Returns the DSN for the settings, without user and password. Raises ForeignDatabaseError when
    the database holds a gateway's log already, StoreError when it is away or the user may not.
    """
    with translated():
        if "password" in conninfo_to_dict(dsn):
            raise ForeignDatabaseError("no password in the DSN: give it by --password-file")
    secret = {"password": password} if password else {}
    with translated(), psycopg.connect(make_conninfo(dsn, **secret)) as connection:
        database = connection.info.dbname
        if _taken(connection):
            raise ForeignDatabaseError(f"the database {database} holds a gateway's log already")
        roles.create_roles(connection, roles.make_passwords(home))
        roles.close_database(connection, database)
        roles.create_schema(connection)
    return _impersonal(dsn, database)


def _taken(connection: psycopg.Connection) -> bool:
    try:
        known = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [_HEAD]).fetchone()
        if known is None or not known[0]:
            return False
        row = connection.execute(f"SELECT size FROM {_HEAD}").fetchone()  # noqa: S608  our own name
    except psycopg.errors.InsufficientPrivilege:
        return True  # our schema is there, and closed to this user as it should be
    return row is not None and row[0] > 0


def _impersonal(dsn: str, database: str) -> str:
    parts = conninfo_to_dict(dsn, dbname=database)
    return make_conninfo("", **{key: parts[key] for key in parts if key not in _PERSONAL})
