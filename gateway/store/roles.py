"""The database roles, one per process, their password files (0600) and connection strings."""

import contextlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from gateway.config.folders import write_private
from gateway.config.home import Home, Process
from gateway.config.settings import Settings

# Role -> the process that alone can read its password; None: who runs `gateway init`.
ROLES: dict[str, Process | None] = {
    "owner": None,
    "identity": "identity",
    "intake": "intake",
    "disclosure": "disclosure",
    "administration": "administration",
    "front": "front",
    "backup": None,
}
SUPERUSER = "postgres"
SCHEMA = "gateway"
DATABASE = "gateway"
# libpq's name for the port of a unix socket; the number is part of the socket's file name only.
SOCKET_PORT = 5432
_PASSWORD_BYTES = 32
_SCRAM = b"scram-sha-256"
# A holder of a lock that hangs must not freeze every door: it is thrown out, the others wait no
# longer than this.
_TIMEOUTS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
}


def role_name(role: str) -> str:
    """Return a role's name in PostgreSQL."""
    return SUPERUSER if role == "superuser" else f"gateway_{role}"


def conninfo(home: Home, settings: Settings, role: str) -> str:
    """Return the libpq connection string of a role, its password included: never log it.

    The embedded cluster is reached by its socket, another by `settings.dsn`. Raises OSError where
    the password file is not readable by this process's user, which is the point of having one per
    role.
    """
    password = home.password_file(role).read_text(encoding="ascii")
    return make_conninfo(server(home, settings), user=role_name(role), password=password)


def next_file(home: Home, role: str) -> Path:
    """Return where a role's next password lies while it is being changed (`role_passwords`)."""
    path = home.password_file(role)
    return path.with_name(f"{path.name}.next")


@dataclass(frozen=True, slots=True)
class WayIn:
    """How a role gets in, asked anew at each connection: its password may have changed since."""

    home: Home
    settings: Settings
    role: str

    def conninfo(self) -> str:
        """Return what `conninfo` does now; raises OSError."""
        return conninfo(self.home, self.settings, self.role)

    def changing(self) -> bool:
        """Return whether the password is being changed: for a moment server and file differ."""
        return next_file(self.home, self.role).exists()


def server(home: Home, settings: Settings) -> str:
    """Return the connection string without user and password."""
    if settings.dsn:
        return settings.dsn
    return make_conninfo("", host=str(home.run("postgres")), port=SOCKET_PORT, dbname=DATABASE)


def make_passwords(home: Home) -> dict[str, str]:
    """Write a new random password file for every role; return the passwords by role."""
    passwords = {role: new_password() for role in ROLES}
    for role, password in passwords.items():
        write_private(home.password_file(role), password.encode("ascii"), ROLES[role])
    return passwords


def read_passwords(home: Home) -> dict[str, str]:
    """Return the passwords in the files, by role; raises OSError."""
    return {role: home.password_file(role).read_text(encoding="ascii") for role in ROLES}


def create_roles(connection: psycopg.Connection, passwords: dict[str, str]) -> None:
    """Create the roles, or give them these passwords; the server sees only SCRAM verifiers."""
    for role, password in passwords.items():
        name = sql.Identifier(role_name(role))
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role_name(role)])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} NOINHERIT").format(name))
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(name))
        set_password(connection, role, password)
        for setting, value in _defaults(role).items():
            change = sql.SQL("ALTER ROLE {} SET {} = {}")
            connection.execute(change.format(name, sql.Identifier(setting), sql.Literal(value)))
        path = sql.SQL("ALTER ROLE {} SET search_path = {}, pg_temp")
        connection.execute(path.format(name, sql.Identifier(SCHEMA)))
    backup = sql.Identifier(role_name("backup"))
    # Before 16 that is a superuser's alone; without it backups are dumps (`external.offers`).
    with contextlib.suppress(errors.InsufficientPrivilege), connection.transaction():
        connection.execute(sql.SQL("ALTER ROLE {} REPLICATION").format(backup))


def set_password(connection: psycopg.Connection, role: str, password: str) -> None:
    """Give a role a password; the server sees only a SCRAM verifier."""
    user = role_name(role)
    verifier = connection.pgconn.encrypt_password(password.encode(), user.encode(), _SCRAM)
    alter = sql.SQL("ALTER ROLE {} PASSWORD {}")
    connection.execute(alter.format(sql.Identifier(user), sql.Literal(verifier.decode())))


def new_password() -> str:
    """Return a random password for a role."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def _defaults(role: str) -> dict[str, str]:
    # Migrations and base backups take as long as they take.
    defaults = {} if role in ("owner", "backup") else dict(_TIMEOUTS)
    if role in ("front", "intake"):
        # Their prepared plans are made while tables are empty and must not keep a sequential scan
        # while they grow; every statement of theirs is by key.
        defaults["enable_seqscan"] = "off"
        # Planning the one statement that each handshake or batch asks takes longer than running it.
        defaults["plan_cache_mode"] = "force_generic_plan"
    return defaults


def create_database(
    connection: psycopg.Connection, name: str, *, template: str = "template0"
) -> None:
    """Create a database that the roles alone may enter. The connection must autocommit."""
    database = sql.Identifier(name)
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
            database, sql.Identifier(template), sql.Identifier(role_name("owner"))
        )
    )
    close_database(connection, name)


def close_database(connection: psycopg.Connection, name: str) -> None:
    """Take every right on a database from PUBLIC; the roles connect and make temporary tables."""
    database = sql.Identifier(name)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in ROLES:
        connection.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                database, sql.Identifier(role_name(role))
            )
        )


def create_schema(connection: psycopg.Connection) -> None:
    """Create our schema in this connection's database and take what PUBLIC has there."""
    owner = sql.Identifier(role_name("owner"))
    # Who is no superuser must be a member of a role to make something of its own.
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
    schema = sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}")
    connection.execute(schema.format(sql.Identifier(SCHEMA), owner))
    connection.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(owner))
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


def open_schema(connection: psycopg.Connection) -> None:
    """Let the owner make our schema in this connection's database, as a dump has it."""
    _change_create(connection, "GRANT CREATE ON DATABASE {} TO {}")


def close_schema(connection: psycopg.Connection) -> None:
    """Take that from him again, and what PUBLIC has in the other schema."""
    _change_create(connection, "REVOKE CREATE ON DATABASE {} FROM {}")
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


def _change_create(connection: psycopg.Connection, change: LiteralString) -> None:
    database = sql.Identifier(connection.info.dbname)
    owner = sql.Identifier(role_name("owner"))
    connection.execute(sql.SQL(change).format(database, owner))
