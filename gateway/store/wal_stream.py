"""The journal (WAL) of a server whose files are not ours, read from it over a connection.

PostgreSQL's own way for standbys (documentation, "Streaming Replication Protocol"), which needs
the attribute REPLICATION and a line `replication` in pg_hba.conf. `pg_receivewal` speaks the same
and puts what it reads on a disk of ours; here it stays in memory until it is sealed (decision
0032).
"""

import select
from collections.abc import Iterator

from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, ExecStatus, PGconn, abc

from gateway.store.errors import StoreAwayError, StoreError

# A server that sends a standby nothing tells it so twice a minute (wal_sender_timeout is 60 s).
SILENCE_S = 60.0
# 'w', then where it begins, the journal's end, the server's clock, 8 bytes each.
_DATA, _HEADER_BYTES = b"w", 25
_OVER = -1


def read(conninfo: str, timeline: int, position: int, length: int) -> bytes:
    """Return so many bytes of a timeline's journal from a position on, all of them flushed there.

    Raises StoreAwayError, StoreError where the server no longer has them or may not give them.
    """
    connection = PGconn.connect(make_conninfo(conninfo, replication="true").encode())
    try:
        if connection.status != ConnStatus.OK:
            raise StoreAwayError(_said(connection))
        start = f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
        command = f"START_REPLICATION PHYSICAL {start} TIMELINE {timeline}"
        if connection.exec_(command.encode()).status != ExecStatus.COPY_BOTH:
            raise StoreError(_said(connection))
        found = bytearray()
        for piece in _pieces(connection, position):
            found += piece
            if len(found) >= length:
                break
        return bytes(found[:length])
    finally:
        connection.finish()


def _pieces(connection: abc.PGconn, position: int) -> Iterator[bytes]:
    """Yield what comes, each piece where the one before ended."""
    while True:
        size, content = connection.get_copy_data(1)
        if size == _OVER:
            connection.get_result()
            raise StoreError(f"the server ended its journal: {_said(connection)}")
        if not size:
            _wait(connection)
        elif bytes(content[:1]) == _DATA:
            if int.from_bytes(content[1:9], "big") != position:
                raise StoreError("the server's journal has a gap")
            position += size - _HEADER_BYTES
            yield bytes(content[_HEADER_BYTES:])


def _wait(connection: abc.PGconn) -> None:
    ready, _, _ = select.select([connection.socket], [], [], SILENCE_S)
    if not ready:
        raise StoreAwayError(f"the server sent nothing for {SILENCE_S:.0f} s")
    connection.consume_input()


def _said(connection: abc.PGconn) -> str:
    return connection.error_message.decode(errors="replace").strip()
