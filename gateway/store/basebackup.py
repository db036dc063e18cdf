"""A base backup of a cluster as one stream: its files, the WAL that it needs, its list.

`pg_basebackup` writes a tar to its standard output, the server's own list of files with their
SHA-256 (`backup_manifest`) in it, so that nothing readable is ever put on a disk. A slot that ends
with its connection keeps the server from throwing away WAL that the backup still needs.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import passfile, programs, roles
from gateway.store.errors import translated
from gateway.store.tools import MAJOR

ROLE = "backup"
# pg_basebackup's own bounds of --max-rate, KiB/s.
RATE_MIN_KIB, RATE_MAX_KIB = 32, 1_048_576
_MAJOR = 10_000  # of server_version_num
_SLOT = "SELECT pg_create_physical_replication_slot(%s, true, true)"


@contextlib.contextmanager
def base_backup(
    home: Home, settings: Settings, rate_kib: int = 0, since: Path | None = None
) -> Iterator[IO[bytes]]:
    """Give the tar of a base backup while it is made, at most so many KiB a second (0: any number).

    With an earlier one's list it is an incremental one, of what changed since.
    Raises ToolError where pg_basebackup complains, StoreError where the server does.
    """
    server = roles.server(home, settings)
    arguments = [
        "--pgdata=-",
        "--format=tar",
        "--wal-method=fetch",
        "--checkpoint=fast",
        "--manifest-checksums=SHA256",
        "--no-password",
        f"--dbname={make_conninfo(server, user=roles.role_name(ROLE))}",
    ]
    if since is not None:
        arguments.append(f"--incremental={since}")
    if rate_kib:
        arguments.append(f"--max-rate={min(max(rate_kib, RATE_MIN_KIB), RATE_MAX_KIB)}")
    with (
        _wal_kept(home, settings),
        passfile.written(home, ROLE) as passwords,
        programs.talking(home, settings).stream(
            "pg_basebackup", *arguments, passwords=passwords
        ) as stream,
    ):
        yield stream


def major(home: Home, settings: Settings) -> int:
    """Return the major version of the server; raises StoreError."""
    if not settings.dsn:
        return MAJOR
    with translated(), psycopg.connect(roles.conninfo(home, settings, ROLE)) as connection:
        return connection.info.server_version // _MAJOR


@contextlib.contextmanager
def _wal_kept(home: Home, settings: Settings) -> Iterator[None]:
    """Keep the WAL from now on, for as long as this connection stands."""
    with (
        translated(),
        psycopg.connect(roles.conninfo(home, settings, ROLE), autocommit=True) as connection,
    ):
        connection.execute(_SLOT, [f"gateway_backup_{connection.info.backend_pid}"])
        yield
