"""The database's journal (WAL) as it grows: what is written to disk, and what stays there.

A physical slot keeps the server from throwing a segment away before it was taken from here.
Segments are read where they lie, of another's server by `wal_stream`: no second readable copy is
made. Names and numbers: PostgreSQL documentation, "WAL Internals".
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import roles, wal_stream
from gateway.store.embedded import Cluster
from gateway.store.errors import translated
from gateway.store.external import SLOT

ROLE = "backup"
SEGMENT_BYTES = 16 * 1024 * 1024  # initdb's default, which the embedded cluster has
_PER_LOG = 2**32 // SEGMENT_BYTES
_MAKE = "SELECT pg_create_physical_replication_slot(%s, true)"
_DROP = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
_KEPT = (
    "SELECT restart_lsn - '0/0'::pg_lsn FROM pg_replication_slots"
    " WHERE slot_name = %s AND wal_status <> 'lost' AND restart_lsn IS NOT NULL"
)
_FLUSHED = (
    "SELECT pg_walfile_name(l), l - '0/0'::pg_lsn FROM (SELECT pg_current_wal_flush_lsn()) AS f (l)"
)
_SYSTEM = "SELECT system_identifier FROM pg_control_system()"
# (timeline, number, length) -> so many bytes of that segment.
Reading = Callable[[int, int, int], bytes]
_ADVANCE = "SELECT pg_replication_slot_advance(%s, '0/0'::pg_lsn + %s::numeric)"


def segment_name(timeline: int, number: int) -> str:
    """Return the name of the segment that begins `number` segments after the journal's begin."""
    return f"{timeline:08X}{number // _PER_LOG:08X}{number % _PER_LOG:08X}"


def segment_number(name: str) -> int:
    """Return that number, of a segment's name."""
    return int(name[8:16], 16) * _PER_LOG + int(name[16:], 16)


@dataclass(frozen=True, slots=True)
class Flushed:
    """How far the journal is on the disk: its timeline, and bytes since its begin."""

    timeline: int
    position: int

    @property
    def number(self) -> int:
        """The segment that grows."""
        return self.position // SEGMENT_BYTES


class Journal:
    """A connection that may look after the slot; made by `opened`. Methods raise StoreError."""

    def __init__(self, connection: psycopg.Connection[Any], reading: Reading) -> None:
        """Hold the connection, and how segments are read."""
        self._connection = connection
        self._reading = reading

    def system(self) -> str:
        """Return the cluster's own id."""
        return str(self._one(_SYSTEM)[0])

    def flushed(self) -> Flushed:
        """Return how far it is on the disk now."""
        name, position = self._one(_FLUSHED)
        return Flushed(int(name[:8], 16), int(position))

    def kept_from(self) -> int | None:
        """Return the first segment that the slot keeps, None without one, or with a lost one."""
        with translated():
            found = self._connection.execute(_KEPT, [SLOT]).fetchone()
        return None if found is None else int(found[0]) // SEGMENT_BYTES

    def keep(self) -> int:
        """Keep segments from now on, with a new slot; return the first one."""
        self.drop()
        with translated():
            self._connection.execute(_MAKE, [SLOT])
        kept = self.kept_from()
        assert kept is not None  # noqa: S101  it was reserved at once
        return kept

    def drop(self) -> bool:
        """Keep nothing any more; return whether anything was kept. A sender's slot stays."""
        with translated():
            return self._connection.execute(_DROP, [SLOT]).rowcount > 0

    def release(self, number: int) -> None:
        """Let the server throw away what comes before a segment, which is on the disk."""
        kept = self.kept_from()
        if kept is not None and kept < number:
            self._one(_ADVANCE, SLOT, number * SEGMENT_BYTES)

    def read(self, timeline: int, number: int, length: int = SEGMENT_BYTES) -> bytes:
        """Return so many bytes of a segment; raises OSError where the server threw it away."""
        return self._reading(timeline, number, length)

    def _one(self, statement: str, *parameters: object) -> tuple[Any, ...]:
        with translated():
            found = self._connection.execute(statement, parameters or None).fetchone()
        assert found is not None  # noqa: S101  each of them gives one row
        return tuple(found)


@contextlib.contextmanager
def opened(home: Home, settings: Settings) -> Iterator[Journal]:
    """Give the journal of a HOME's database, as the role of backups; raises StoreError."""
    conninfo = roles.conninfo(home, settings, ROLE)
    with translated():
        connection = psycopg.connect(conninfo, autocommit=True)
    with connection:
        yield Journal(connection, _streamed(conninfo) if settings.dsn else _lying(Cluster(home)))


def _lying(cluster: Cluster) -> Reading:
    def read(timeline: int, number: int, length: int) -> bytes:
        with (cluster.data / "pg_wal" / segment_name(timeline, number)).open("rb") as file:
            return file.read(length)

    return read


def _streamed(conninfo: str) -> Reading:
    def read(timeline: int, number: int, length: int) -> bytes:
        return wal_stream.read(conninfo, timeline, number * SEGMENT_BYTES, length)

    return read
