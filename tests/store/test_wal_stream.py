"""A server's journal over a connection is byte for byte what lies on its disk; what it does not give is told."""

import psycopg
import pytest

from gateway.config.settings import Settings
from gateway.store import roles, wal, wal_stream
from gateway.store.errors import StoreAwayError, StoreError


@pytest.fixture
def conninfo(cluster) -> str:
    return roles.conninfo(cluster.home, Settings(), "backup")


def flushed(cluster) -> wal.Flushed:
    """How far the journal is, in the midst of a segment of which it has some pages."""
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        connection.execute("SELECT pg_switch_wal()")
        connection.execute("SELECT pg_logical_emit_message(true, 'test', repeat('x', 300000))")
    with wal.opened(cluster.home, Settings()) as journal:
        return journal.flushed()


def on_disk(cluster, at: wal.Flushed, number: int) -> bytes:
    return (cluster.data / "pg_wal" / wal.segment_name(at.timeline, number)).read_bytes()


def test_a_whole_segment_and_one_that_grows_are_as_on_the_disk(cluster, conninfo: str) -> None:
    at = flushed(cluster)
    size = at.position % wal.SEGMENT_BYTES
    assert size > 300_000
    begin = at.number * wal.SEGMENT_BYTES
    assert (
        wal_stream.read(conninfo, at.timeline, begin, size)
        == on_disk(cluster, at, at.number)[:size]
    )
    before = wal_stream.read(conninfo, at.timeline, begin - wal.SEGMENT_BYTES, wal.SEGMENT_BYTES)
    assert before == on_disk(cluster, at, at.number - 1)


def test_by_a_dsn_the_journal_is_read_the_same_way(cluster) -> None:
    at = flushed(cluster)
    own = Settings(dsn=roles.server(cluster.home, Settings()))
    with wal.opened(cluster.home, own) as outside, wal.opened(cluster.home, Settings()) as inside:
        for number, length in ((at.number, 100_000), (at.number - 1, wal.SEGMENT_BYTES)):
            read = outside.read(at.timeline, number, length)
            assert read == inside.read(at.timeline, number, length)
            assert len(read) == length


def test_what_the_server_threw_away_or_never_had_is_told(cluster, conninfo: str) -> None:
    at = flushed(cluster)
    with pytest.raises(StoreError, match="timeline"):
        wal_stream.read(conninfo, at.timeline + 7, at.number * wal.SEGMENT_BYTES, 1)
    with pytest.raises(StoreError, match="ahead of the WAL flush position"):
        wal_stream.read(conninfo, at.timeline, (at.number + 9) * wal.SEGMENT_BYTES, 1)
    with pytest.raises(StoreError, match="has already been removed"):
        wal_stream.read(conninfo, at.timeline, 0, 1)


def test_a_server_that_falls_silent_is_away(cluster, conninfo: str, monkeypatch) -> None:
    monkeypatch.setattr(wal_stream, "SILENCE_S", 0.05)
    at = flushed(cluster)
    with pytest.raises(StoreAwayError, match="sent nothing"):
        # More than there is: the server waits for what comes, and so would we.
        wal_stream.read(conninfo, at.timeline, at.number * wal.SEGMENT_BYTES, wal.SEGMENT_BYTES)


def test_without_the_right_to_replicate_nothing_is_read(cluster, conninfo: str) -> None:
    at, name = flushed(cluster), roles.role_name("backup")
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {name} NOREPLICATION")
        try:
            with pytest.raises(StoreAwayError) as told:
                wal_stream.read(conninfo, at.timeline, at.number * wal.SEGMENT_BYTES, 1)
        finally:
            connection.execute(f"ALTER ROLE {name} REPLICATION")
    assert cluster.home.password_file("backup").read_text() not in str(told.value)
    assert wal_stream.read(conninfo, at.timeline, at.number * wal.SEGMENT_BYTES, 1)
