"""Debian's own PostgreSQL as another's server: on loopback, under /tmp, as the user postgres where root runs it.

The newest of /usr/lib/postgresql that is no newer than our own programs; `NONE` says why there is none.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.store.tools import MAJOR

USER = "postgres"
_FOUND = sorted(
    (one for one in Path("/usr/lib/postgresql").glob("*/bin") if int(one.parent.name) <= MAJOR),
    key=lambda one: int(one.parent.name),
)
PROGRAMS = _FOUND[-1] if _FOUND else None
NONE = (
    ""
    if PROGRAMS
    else f"no PostgreSQL up to {MAJOR} in /usr/lib/postgresql (apt-get install postgresql)"
)
START_TIMEOUT_S = 120.0


@dataclass
class Server:
    """One cluster; `data` is its data directory, `password` its superuser's."""

    folder: Path
    port: int
    password: str
    running: subprocess.Popen | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def configuration(self) -> Path:
        """The folder of postgresql.conf."""
        return self.data

    def dsn(self, database: str, user: str = USER) -> str:
        return make_conninfo("", host="127.0.0.1", port=self.port, dbname=database, user=user)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.dsn(database), password=self.password, autocommit=True)

    def sql(self, *statements: str, database: str = "postgres") -> None:
        with self.connect(database) as connection:
            for one in statements:
                connection.execute(one)

    def start(self) -> None:
        """Start it and wait until it lets the superuser in."""
        with (self.folder / "log").open("ab") as log:
            self.running = subprocess.Popen(
                [PROGRAMS / "postgres", "-D", self.configuration, "-c", f"port={self.port}",
                 "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **_as_postgres(),
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect().close()
                return
            assert self.running.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, fast: sessions end."""
        if self.running is not None:
            self.running.send_signal(2)
            self.running.wait(START_TIMEOUT_S)
            self.running = None

    def lose(self) -> None:
        """Its disk is gone; an empty cluster takes its place."""
        self.stop()
        shutil.rmtree(self.data)
        self.create()
        self.start()

    def create(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        shutil.chown(secret, *_ids())
        subprocess.run(
            [PROGRAMS / "initdb", f"--pgdata={self.data}", f"--username={USER}", "--data-checksums",
             f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"],
            check=True, capture_output=True, cwd="/", **_as_postgres(),
        )  # fmt: skip


@contextlib.contextmanager
def served() -> Iterator[Server]:
    """A new cluster, running; it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
    folder.chmod(0o711)
    shutil.chown(folder, *_ids())
    server = Server(folder, _free_port(), secrets.token_urlsafe(16))
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _ids() -> tuple[int, int]:
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    found = pwd.getpwnam(USER)
    return found.pw_uid, found.pw_gid


def _as_postgres() -> dict:
    if os.geteuid() != 0:
        return {}
    uid, gid = _ids()
    return {"user": uid, "group": gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
