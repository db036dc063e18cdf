"""A database that somebody else runs: roles and schema made in it, by a user who may.

That user needs CREATEROLE (or is a superuser) and owns the database; his password comes from the
environment of libpq (~/.pgpass, PGPASSWORD) or from a file, never from argv. With REPLICATION (a
superuser before PostgreSQL 16) base backups are possible: `offers` says what else they need.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.config.users import separate
from gateway.store import roles
from gateway.store.errors import StoreError, translated
from gateway.store.tools import MAJOR

# What belongs to one user, and so not into settings that every process reads.
_PERSONAL = ("user", "password", "passfile", "sslpassword")
_HEAD = f"{roles.SCHEMA}.audit_head"
_MAJOR = 10_000  # of server_version_num
# Anything but what extensions brought.
_HELD = """
SELECT 1
  FROM (SELECT tableoid, oid, relnamespace FROM pg_class
        UNION ALL SELECT tableoid, oid, pronamespace FROM pg_proc
        UNION ALL SELECT tableoid, oid, typnamespace FROM pg_type WHERE typtype IN ('d', 'e', 'r'))
    AS held (kind, id, space) JOIN pg_namespace AS n ON n.oid = space
 WHERE n.nspname !~ '^(pg_|information_schema$)' AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
       WHERE d.classid = kind AND d.objid = id AND d.deptype = 'e') LIMIT 1
"""
# What a base backup, WAL on its way and a standby need.
_SENDERS, _SLOTS = 3, 2
_KEEP = "8GB"
SLOT, SLOT_SIZE = "gateway_wal", "slot-size"  # what keeps the journal (`wal`), and its bound
_SEGMENTS = "16MB"  # as `wal.SEGMENT_BYTES`; initdb's default
_HBA = "pg_hba.conf"
_RELOAD, _RESTART = "SELECT pg_reload_conf();", "-- restart the server"
_CHECKSUMS = "pg_checksums --enable --pgdata=DATA_DIRECTORY  # while the server is stopped"
_OFFERS = """
SELECT NOT pg_is_in_recovery() AS primary,
       (SELECT rolreplication FROM pg_roles WHERE rolname = %(role)s) AS replication,
       current_setting('wal_level') AS wal_level,
       current_setting('max_wal_senders')::int AS senders,
       current_setting('max_replication_slots')::int AS slots,
       current_setting('data_checksums') AS checksums,
       current_setting('max_slot_wal_keep_size', true) AS keep,
       current_setting('wal_segment_size') AS segments,
       (SELECT count(*) FROM pg_replication_slots WHERE slot_name = %(slot)s) AS slot,
       (SELECT count(*) FROM pg_tablespace WHERE spcname !~ '^pg_') AS tablespaces,
       host(inet_client_addr()) AS address,
       (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS ssl
"""
_SERVES = "SELECT 1 FROM pg_stat_activity WHERE usename = ANY(%s) LIMIT 1"


class ForeignDatabaseError(Exception):
    """The database cannot be ours: the text says why."""


def provision(home: Home, dsn: str, password: str) -> str:
    """Make roles with new passwords and our schema in the database at `dsn`.

    Returns the DSN for the settings, without user and password. Raises ForeignDatabaseError when
    the database holds a gateway's log already, StoreError when it is away or the user may not.
    """
    with _entered(dsn, password) as connection:
        database = connection.info.dbname
        if _taken(connection):
            raise ForeignDatabaseError(f"the database {database} holds a gateway's log already")
        roles.create_roles(connection, roles.make_passwords(home))
        roles.close_database(connection, database)
        roles.create_schema(connection)
    return _impersonal(dsn, database)


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing about a server: whether it is as a base backup needs it, or as we advise.

    `fix` are the lines by which its operator makes it so, none where no line does.
    """

    name: str
    good: bool
    needed: bool
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offers:
    """What a server offers to backups: its major version, its timeline where it told it.

    `slot`: it keeps journal for us, on its own disk.
    """

    version: int
    timeline: int | None
    each: tuple[Offer, ...]
    slot: bool = False

    @property
    def logical(self) -> bool:
        """Whether it can be dumped: our pg_dump reads its own version and older ones."""
        return self.version <= MAJOR

    @property
    def lacking(self) -> tuple[str, ...]:
        """The names of what base backups and WAL need and it does not give."""
        return tuple(one.name for one in self.each if one.needed and not one.good)

    @property
    def physical(self) -> bool:
        """Whether base backups and WAL can be taken."""
        return not self.lacking


def offers(home: Home, settings: Settings) -> Offers:
    """Ask the server of HOME's database, as the role that takes base backups; raises StoreError."""
    conninfo = roles.conninfo(home, settings, "backup")
    asked = {"role": roles.role_name("backup"), "slot": SLOT}
    with translated(), psycopg.connect(conninfo, row_factory=dict_row) as connection:
        told = connection.execute(_OFFERS, asked).fetchone()
        version = connection.info.server_version // _MAJOR
    assert told is not None  # noqa: S101  a query without FROM has one row
    timeline, refused = _replicate(conninfo)
    slot = bool(told["slot"])
    return Offers(version, timeline, tuple(_judged(version, told, refused)), slot)


def _judged(version: int, told: dict[str, Any], refused: str) -> Iterator[Offer]:
    # Its name is the same in every language; without senders it is not looked at yet.
    elsewhere = not told["replication"] or not told["senders"]
    enters = not refused or (elsewhere and _HBA not in refused)
    yield Offer("version", version <= MAJOR, True)
    yield Offer("primary", told["primary"], True)
    yield Offer("replication", told["replication"], True, (_set_role("REPLICATION"),))
    yield Offer("access", enters, True, (_access(told), _RELOAD))
    yield Offer("wal-level", told["wal_level"] != "minimal", True, _set("wal_level", "replica"))
    yield Offer("senders", told["senders"] >= _SENDERS, True, _set("max_wal_senders", 10))
    yield Offer("slots", told["slots"] >= _SLOTS, True, _set("max_replication_slots", 10))
    yield Offer("segments", told["segments"] == _SEGMENTS, True)
    yield Offer("tablespaces", not told["tablespaces"], True)
    yield Offer("checksums", told["checksums"] == "on", False, (_CHECKSUMS,))
    # Without it places that are away fill the disk of a server that is not ours.
    keep = (f"ALTER SYSTEM SET max_slot_wal_keep_size = '{_KEEP}';", _RELOAD)
    yield Offer(SLOT_SIZE, told["keep"] not in {None, "-1"}, True, keep)
    # Its superuser's programs run where a copy of it is started: by whom (decision 0032).
    yield Offer("users", separate(), True)


def _replicate(conninfo: str) -> tuple[int | None, str]:
    """Return the timeline, as a replication connection tells it; or why there is none."""
    try:
        entry = make_conninfo(conninfo, replication="true")
        with psycopg.connect(entry, autocommit=True) as connection:
            row = connection.execute("IDENTIFY_SYSTEM").fetchone()
    except psycopg.Error as error:
        return None, str(error) or "refused"
    return (None, "silent") if row is None else (int(row[1]), "")


def _set_role(attribute: str) -> str:
    return f"ALTER ROLE {roles.role_name('backup')} {attribute};"


def _set(name: str, value: object) -> tuple[str, ...]:
    return (f"ALTER SYSTEM SET {name} = '{value}';", _RESTART)


def _access(told: dict[str, Any]) -> str:
    role, method = roles.role_name("backup"), "scram-sha-256"
    if told["address"] is None:
        return f"local replication {role} {method}"
    bits = 128 if ":" in told["address"] else 32
    kind = "hostssl" if told["ssl"] else "host"
    return f"{kind} replication {role} {told['address']}/{bits} {method}"


@dataclass(frozen=True, slots=True)
class Empty:
    """An empty database that somebody else runs, and who may make roles there."""

    dsn: str
    password: str = field(repr=False)


def server(place: Empty) -> int:
    """Return the server's major version; raises StoreError, ForeignDatabaseError."""
    with _entered(place.dsn, place.password) as connection:
        return connection.info.server_version // _MAJOR


def prepare(home: Home, place: Empty) -> str:
    """Give the server the roles of HOME with the passwords of its files, to load a dump there.

    Returns the DSN for the settings, without user and password. Raises ForeignDatabaseError where
    anything is in the database or a gateway is connected to the server, for roles are the whole
    server's; StoreError when it is away or the user may not.
    """
    with _entered(place.dsn, place.password) as connection:
        database = connection.info.dbname
        if connection.execute(_HELD).fetchone() or _schema(connection):
            raise ForeignDatabaseError(f"the database {database} is not empty")
        known = [roles.role_name(role) for role in roles.ROLES]
        if connection.execute(_SERVES, [known]).fetchone():
            raise ForeignDatabaseError("a gateway is connected to that server: stop it first")
        roles.create_roles(connection, roles.read_passwords(home))
        roles.close_database(connection, database)
        roles.open_schema(connection)
    return _impersonal(place.dsn, database)


def finish(place: Empty) -> None:
    """Take from the owner what `prepare` gave for the time of loading; raises StoreError."""
    with _entered(place.dsn, place.password) as connection:
        roles.close_schema(connection)


def clear(home: Home, settings: Settings) -> bool:
    """Drop our schema, as its owner; return whether it is gone."""
    try:
        with translated(), psycopg.connect(roles.conninfo(home, settings, "owner")) as connection:
            drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
            connection.execute(drop.format(sql.Identifier(roles.SCHEMA)))
    except StoreError:
        return False
    return True


def personal(dsn: str) -> bool:
    """Return whether a password stands in it, which everybody on the host could read by now."""
    with translated():
        return "password" in conninfo_to_dict(dsn)


@contextlib.contextmanager
def _entered(dsn: str, password: str) -> Iterator[psycopg.Connection]:
    with translated():
        if personal(dsn):
            raise ForeignDatabaseError("no password in the DSN: give it by --password-file")
        secret = {"password": password} if password else {}
        with psycopg.connect(make_conninfo(dsn, **secret)) as connection:
            yield connection


def _schema(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT to_regnamespace(%s) IS NOT NULL", [roles.SCHEMA]).fetchone()
    return row is not None and bool(row[0])


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
