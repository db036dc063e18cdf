"""One database as PostgreSQL's own dump: made in a snapshot, read without a server, loaded again.

`pg_dump` is the wheel's (18) or that of `programs` in the settings; it reads servers of its version
and older ones, and what it made of one is loaded into the same version or a newer one (PostgreSQL
documentation, "pg_dump", Notes). The wheel's `pg_restore` reads what either made. The owner of our
tables runs both: no other role reads all of them.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.config import users
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import passfile, programs, roles
from gateway.store.embedded import Cluster
from gateway.store.errors import translated
from gateway.store.tools import Tools

ROLE = "owner"
# A migration that holds a table is waited for so long.
_LOCK_WAIT_MS = 60_000
_MAJOR = 10_000  # of server_version_num
_SYSTEM = "SELECT system_identifier FROM pg_control_system()"
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind = 'r'"
)
_COPY = re.compile(rb'COPY gateway\."?([a-z0-9_]+)"? \(.*\) FROM stdin;\n')
# Of psql alone; and what servers before 17 do not know (pg_restore writes it for all).
_SKIPPED = re.compile(rb"\\(un)?restrict .*\n|SET transaction_timeout = 0;\n")
_END = b"\\.\n"
# What pg_dump writes above each object, and that of the rights on one.
_HEADER, _RIGHTS = b"-- Name: ", re.compile(rb"-- Name: .*; Type: (DEFAULT )?ACL;.*\n")
_ROLE_WORD = rb'(?:PUBLIC|[a-z0-9_$]+|"(?:[^"]|"")+")'
_RIGHT = re.compile(
    rb"(?:ALTER DEFAULT PRIVILEGES FOR ROLE (" + _ROLE_WORD + rb")(?: IN SCHEMA \S+)? )?"
    rb"(?:GRANT|REVOKE) .* (?:TO|FROM) (" + _ROLE_WORD + rb")(?: WITH GRANT OPTION)?;\n"
)
# What another than the owner granted on: no owner may say it for him.
_ASIDE = re.compile(rb"SET SESSION AUTHORIZATION (" + _ROLE_WORD + rb");\n")
_ASIDE_END = b"RESET SESSION AUTHORIZATION;\n"
_OURS = frozenset({b"PUBLIC", *(roles.role_name(role).encode() for role in roles.ROLES)})


class DumpBrokenError(Exception):
    """The rows of a table did not come to their end."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a dump is of: the server's own id and major version, and the rows of each table."""

    system: str
    server: int
    rows: dict[str, int]


@contextlib.contextmanager
def dumped(home: Home, settings: Settings) -> Iterator[tuple[Snapshot, IO[bytes]]]:
    """Give what our schema holds, and the dump of that very moment while it is made.

    Raises ToolError where pg_dump complains, StoreError where the server does.
    """
    conninfo = roles.conninfo(home, settings, ROLE)
    with translated(), psycopg.connect(conninfo) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        # It stands as long as the dump takes.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        [(name,)] = connection.execute("SELECT pg_export_snapshot()").fetchall()
        arguments = [
            "--format=custom",
            # gzip: the wheel knows no other; bytes come as text of twice the length.
            "--compress=1",
            f"--schema={roles.SCHEMA}",
            f"--snapshot={name}",
            f"--lock-wait-timeout={_LOCK_WAIT_MS}",
            "--no-password",
            f"--dbname={make_conninfo(roles.server(home, settings), user=roles.role_name(ROLE))}",
        ]
        with (
            passfile.written(home, ROLE) as passwords,
            programs.talking(home, settings).stream(
                "pg_dump", *arguments, passwords=passwords
            ) as stream,
        ):
            yield _snapshot(connection), stream


def _snapshot(connection: psycopg.Connection) -> Snapshot:
    rows = {}
    for (table,) in connection.execute(_TABLES).fetchall():
        count = sql.SQL("SELECT count(*) FROM {}.{}")
        named = count.format(sql.Identifier(roles.SCHEMA), sql.Identifier(table))
        [(rows[table],)] = connection.execute(named).fetchall()
    [(system,)] = connection.execute(_SYSTEM).fetchall()
    return Snapshot(str(system), connection.info.server_version // _MAJOR, rows)


@contextlib.contextmanager
def counted() -> Iterator[tuple[IO[bytes], "Script"]]:
    """Take a dump and count the rows in it, without a server and without writing any of it.

    The count is whole when this returns. Raises ToolError for what is no whole dump.
    """
    script = Script(_Unread())
    with _read(script) as sink:
        yield sink, script


@contextlib.contextmanager
def loading(
    home: Home, settings: Settings, whole: Callable[["Script"], object] = lambda _: None
) -> Iterator[IO[bytes]]:
    """Take a dump into the database of HOME, as its owner: all of it when this returns, or nothing.

    `whole` is told what was read before it is committed, and keeps it from that by raising.
    pg_restore itself would name a setting that servers before 17 do not know, and end by that.
    Raises ToolError, StoreError.
    """
    conninfo = roles.conninfo(home, settings, ROLE)
    with (
        translated(),
        psycopg.connect(conninfo) as connection,
        contextlib.closing(_Loading(connection)) as into,
    ):
        script = Script(into)
        with _read(script) as sink:
            yield sink
        into.run()
        whole(script)


def prepare(cluster: Cluster) -> None:
    """Give a new cluster the roles of HOME with the passwords of its files, and room for a dump."""
    with translated():
        with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
            roles.create_roles(connection, roles.read_passwords(cluster.home))
            roles.create_database(connection, roles.DATABASE)
        with psycopg.connect(cluster.superuser(roles.DATABASE)) as connection:
            roles.open_schema(connection)


def finish(cluster: Cluster) -> None:
    """Take from the owner what `prepare` gave for the time of loading."""
    with translated(), psycopg.connect(cluster.superuser(roles.DATABASE)) as connection:
        roles.close_schema(connection)


@contextlib.contextmanager
def _read(script: "Script") -> Iterator[IO[bytes]]:
    arguments = ("--format=custom", "--no-owner", "--file=-")
    # Who runs this reaches the wheel: nothing is copied below a HOME.
    tools = Tools(Home(Path("/")), users.current())
    with tools.fed("pg_restore", *arguments, take=script.take) as sink:
        yield sink


class Script:
    """Reads the script that pg_restore makes of a dump, and counts the rows of each table.

    Rows are lines (COPY's text form); a backslash and a dot end those of a table. Rights of roles
    that are not ours are left out: where it is loaded nobody has such a role (`strangers`).
    """

    def __init__(self, into: "_Unread | _Loading") -> None:
        """Nothing was read yet."""
        self.rows: dict[str, int] = {}
        self.strangers: set[str] = set()
        self._rights = self._aside = False
        self._into = into
        self._table = ""
        self._rest = b""

    def take(self, piece: bytes) -> None:
        """Read on; raises psycopg.Error."""
        data = self._rest + piece
        whole = data.rfind(b"\n") + 1
        self._rest = data[whole:]
        at = 0
        while at < whole:
            at = self._some_rows(data, at, whole) if self._table else self._statement(data, at)

    def _statement(self, data: bytes, at: int) -> int:
        end = data.index(b"\n", at) + 1
        line = data[at:end]
        match = _COPY.fullmatch(line)
        if match is not None:
            self._table = match[1].decode("ascii")
            self.rows[self._table] = 0
            self._into.begin(line)
        elif not _SKIPPED.fullmatch(line) and not self._strange(line):
            self._into.statement(line)
        return end

    def _strange(self, line: bytes) -> bool:
        """Return whether a line is about the rights of a role that is not ours."""
        if line.startswith(_HEADER):
            self._rights, self._aside = _RIGHTS.fullmatch(line) is not None, False
        if not self._rights:
            return False
        aside, ended = _ASIDE.fullmatch(line), line == _ASIDE_END
        match = aside or _RIGHT.fullmatch(line)
        named = {one for one in match.groups() if one is not None} if match is not None else set()
        self.strangers |= {one.decode().strip('"') for one in named - _OURS}
        strange = self._aside or aside is not None or ended or not named <= _OURS
        self._aside = (self._aside or aside is not None) and not ended
        return strange

    def _some_rows(self, data: bytes, at: int, whole: int) -> int:
        if data.startswith(_END, at):
            self._table = ""
            self._into.end()
            return at + len(_END)
        end = data.find(b"\n" + _END, at, whole)
        end = whole if end < 0 else end + 1
        block = data[at:end]
        self.rows[self._table] += block.count(b"\n")
        self._into.some_rows(block)
        return end


class _Unread:
    """What a dump holds is counted, and goes nowhere."""

    def statement(self, line: bytes) -> None:
        """Not looked at."""

    def begin(self, line: bytes) -> None:
        """Not looked at."""

    def some_rows(self, block: bytes) -> None:
        """Not looked at."""

    def end(self) -> None:
        """Not looked at."""


class _Loading:
    """What a dump holds is run on a connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._statements = bytearray()
        self._held = contextlib.ExitStack()
        self._copy: psycopg.Copy | None = None

    def statement(self, line: bytes) -> None:
        """Keep it: statements are run together, up to the next table's rows."""
        self._statements += line

    def run(self) -> None:
        """Run what was kept."""
        # psycopg takes text of SQL from a file as bytes, and many statements where none has values.
        self._connection.execute(bytes(self._statements))
        self._statements.clear()

    def begin(self, line: bytes) -> None:
        """Begin a table's rows."""
        self.run()
        cursor = self._held.enter_context(self._connection.cursor())
        self._copy = self._held.enter_context(cursor.copy(line))

    def some_rows(self, block: bytes) -> None:
        """Send them."""
        assert self._copy is not None  # noqa: S101  `begin` came first
        self._copy.write(block)

    def end(self) -> None:
        """End a table's rows."""
        self._copy = None
        self._held.close()

    def close(self) -> None:
        """Break off what did not come to its end; the transaction is rolled back by its owner."""
        if self._copy is not None:
            with contextlib.suppress(psycopg.Error):
                self._held.__exit__(DumpBrokenError, DumpBrokenError(), None)
