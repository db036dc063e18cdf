"""The embedded PostgreSQL cluster of a HOME: made, started, adopted, stopped.

Sockets only, passwords only (SCRAM). Only the wheel's programs are used, never its Python: that
trusts every local user and opens folders above HOME. Where root runs the gateway the server runs as
`gateway-postgres`.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.config.folders import write_private
from gateway.config.home import Home
from gateway.config.users import SystemUser, unreachable, user_of
from gateway.store import roles
from gateway.store.tools import ToolError, Tools

# sockaddr_un.sun_path holds 108 bytes with the final NUL (unix(7)).
SOCKET_PATH_BYTES = 107
# Recovery after a crash replays at most max_wal_size; a slow disk needs minutes for it.
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0
_POLL_S = 0.01
# What a new server says while a killed one is not quite gone: the kernel has not let go of it, or
# its backends have not noticed yet. Both pass within moments.
_PASSING = ('lock file "postmaster.pid" already exists', "pre-existing shared memory block")
# The line of postmaster.pid that says "ready" (PostgreSQL, miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
_STATUS_LINE = 7

_SETTINGS = """\
# Written by the gateway at every start; put your own lines into local.conf beside this file.
listen_addresses = ''
unix_socket_directories = {socket}
unix_socket_permissions = 0770
password_encryption = 'scram-sha-256'
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = replica
# Which blocks changed, for incremental backups; kept for ten days (wal_summary_keep_time).
summarize_wal = on
max_wal_senders = 10
max_wal_size = 4GB
# What a slot keeps for backups whose places are away; beyond it the gateway's own room comes first.
max_slot_wal_keep_size = 8GB
wal_buffers = 16MB
max_connections = 100
# Our own logins take milliseconds; who hangs in the middle of one holds a place and DROP DATABASE.
authentication_timeout = 10s
shared_buffers = 256MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_destination = 'stderr'
log_line_prefix = '%m [%p] %u '
# Statements and details hold values of rows, which never belong in a log.
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
include_if_exists = 'local.conf'
"""
_ACCESS = """\
# Written by the gateway at every start. There is no network listener and nobody is trusted.
local all all scram-sha-256
local replication all scram-sha-256
"""


class ClusterError(Exception):
    """The cluster cannot be made, started or stopped; the text says why and what to do."""


class Cluster:
    """The PostgreSQL cluster under a HOME."""

    def __init__(self, home: Home) -> None:
        """Name the cluster; nothing is touched yet."""
        self.home = home
        self.data = home.database / "data"
        self.log = home.logs / "postgres.log"
        self.start_timeout_s = START_TIMEOUT_S
        # Words of the server's command line, before which its files' settings yield.
        self.options: tuple[str, ...] = ()
        # Roles that are not ours, whose rights on what was loaded into it were left out.
        self.left_out: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make the cluster with a superuser whose password lies in a file; raises ClusterError."""
        user = self._reachable()
        password = self.home.password_file("superuser")
        write_private(password, secrets.token_urlsafe(32).encode("ascii"), "postgres")
        try:
            self.tools(user).run(
                "initdb",
                f"--pgdata={self.data}",
                f"--username={roles.SUPERUSER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--data-checksums",
            )
        except ToolError as error:
            raise ClusterError(str(error)) from error
        # The server keeps only the verifier; from here on the password is for who ran init.
        shutil.chown(password, os.geteuid(), os.getegid())

    def start(self, *, mortal: bool = False) -> bool:
        """Start the server or adopt the one that runs; return whether adopted. Raises ClusterError.

        A `mortal` server stops when the thread that called this ends, for tests.
        """
        user = self._reachable()
        # One that is on its way out is waited for, then we start our own.
        if self.pid() is not None and self._wait_ready():
            return True
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)
        self._write_settings(user)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while not self._spawn(user, mortal=mortal):
            words = self._last_words()
            if not any(one in words for one in _PASSING) or time.monotonic() > deadline:
                raise ClusterError(f"PostgreSQL did not start: {words}")
        return False

    def stop(self) -> None:
        """Stop the server: sessions end, everything is written. Raises ClusterError."""
        for number in (signal.SIGINT, signal.SIGQUIT):
            pid = self.pid()
            if pid is None:
                break
            os.kill(pid, number)
            if self._wait_gone(pid):
                break
        else:
            msg = f"PostgreSQL (pid {self.pid()}) does not stop"
            raise ClusterError(msg)
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def pid(self) -> int | None:
        """Return the pid of the running postmaster of this data folder, or None."""
        if self._process is not None:
            self._process.poll()  # reap a dead child, which otherwise still has a pid
        lines = self._pid_file()
        if not lines:
            return None
        pid = abs(int(lines[0]))
        try:
            # Its working directory is its data folder, which no process with a reused pid has.
            same = Path(f"/proc/{pid}/cwd").samefile(self.data)
        except OSError:
            return None
        return pid if same else None

    def superuser(self, database: str = "postgres") -> str:
        """Return the connection string of the superuser, for init and tests; never log it."""
        return make_conninfo(
            "",
            host=str(self.home.run("postgres")),
            port=roles.SOCKET_PORT,
            dbname=database,
            user=roles.SUPERUSER,
            password=self.home.password_file("superuser").read_text(encoding="ascii"),
        )

    def provision(self) -> None:
        """Create roles with new passwords, our database and its schema on the running server."""
        with psycopg.connect(self.superuser(), autocommit=True) as connection:
            roles.create_roles(connection, roles.make_passwords(self.home))
            roles.create_database(connection, roles.DATABASE)
        with psycopg.connect(self.superuser(roles.DATABASE)) as connection:
            roles.create_schema(connection)

    def _reachable(self) -> SystemUser:
        socket = self.home.run("postgres") / f".s.PGSQL.{roles.SOCKET_PORT}"
        if len(os.fsencode(socket)) > SOCKET_PATH_BYTES:
            msg = (
                f"{socket}: a socket's path holds {SOCKET_PATH_BYTES} bytes: choose a shorter HOME"
            )
            raise ClusterError(msg)
        user = user_of("postgres")
        for folder in (self.home.database, self.home.run("postgres")):
            closed = unreachable(folder, user)
            if closed is not None:
                msg = (
                    f"{closed}: PostgreSQL runs as user {user.name}, who cannot enter it: "
                    "choose a HOME elsewhere (such as /var/lib/gateway), "
                    f"or run `chmod o+x {closed}` yourself"
                )
                raise ClusterError(msg)
        return user

    def tools(self, user: SystemUser) -> Tools:
        """Return the server's programs, run as this user; raises ClusterError."""
        try:
            return Tools(self.home, user)
        except ToolError as error:
            raise ClusterError(str(error)) from error

    def _spawn(self, user: SystemUser, *, mortal: bool) -> bool:
        with self.log.open("ab") as log:
            self._process = self.tools(user).spawn(
                "postgres", "-D", str(self.data), *self._words(), log=log, mortal=mortal
            )
        return self._wait_ready()

    def _words(self) -> tuple[str, ...]:
        return self.options

    def _write_settings(self, user: SystemUser) -> None:
        text = _SETTINGS.format(socket=quoted_folder(self.home.run("postgres")))
        for name, content in (("postgresql.conf", text), ("pg_hba.conf", _ACCESS)):
            path = self.data / name
            path.unlink(missing_ok=True)
            write_private(path, content.encode(), "postgres" if user.uid != os.geteuid() else None)

    def _wait_ready(self) -> bool:
        """Wait until the server is ready; return False when it ends before."""
        deadline = time.monotonic() + self.start_timeout_s
        while time.monotonic() < deadline:
            # A process of ours that has not written the pid file yet has no pid there.
            if self._process is None or self._process.poll() is not None:
                self._process = None
                if self.pid() is None:
                    return False
            lines = self._pid_file()
            if len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready" and self.pid():
                return True
            time.sleep(_POLL_S)
        took = f"{self.start_timeout_s:.0f} s"
        raise ClusterError(f"PostgreSQL is not ready after {took}; see {self.log}")

    def _wait_gone(self, pid: int) -> bool:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.pid() != pid:
                return True
            time.sleep(_POLL_S)
        return False

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _last_words(self) -> str:
        with self.log.open("rb") as log:
            return _tail(log)


def quoted(text: str) -> str:
    """Return a text as a value in postgresql.conf."""
    return "'" + text.replace("'", "''") + "'"


def quoted_folder(path: Path) -> str:
    """Return a folder as a list of one in postgresql.conf."""
    return quoted('"' + str(path).replace('"', '""') + '"')


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - 500))
    return log.read().decode(errors="replace").strip()
