"""A real base backup: what is in the stream, and that no secret stands in an argument or stays behind."""

import tarfile
import time
from pathlib import Path

import psycopg
import pytest

from gateway.config.settings import Settings
from gateway.store import roles
from gateway.store.basebackup import base_backup
from gateway.store.errors import StoreError


def slots(cluster) -> int:
    with psycopg.connect(cluster.superuser()) as connection:
        return connection.execute("SELECT count(*) FROM pg_replication_slots").fetchone()[0]


def none_is_left(cluster) -> bool:
    """Whether every slot went; the server lets go of one when it sees that its connection is gone."""
    for _ in range(600):
        if not slots(cluster):
            return True
        time.sleep(0.05)
    return False


def test_the_stream_is_a_tar_with_the_wal_and_the_servers_own_list(cluster) -> None:
    with base_backup(cluster.home, Settings()) as stream:
        assert slots(cluster) == 1
        [arguments] = [
            words
            for one in Path("/proc").glob("[0-9]*/cmdline")
            if b"pg_basebackup" in (words := read(one)) and str(cluster.home.root).encode() in words
        ]
        secret = cluster.home.password_file("backup").read_bytes()
        assert secret not in arguments
        assert secret not in read(Path("/proc/self/environ"))
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            names = {one.name for one in tar}
        stream.read()
    assert {"PG_VERSION", "backup_label", "backup_manifest", "global/pg_control"} <= names
    assert any(name.startswith("pg_wal/0000") for name in names)
    assert none_is_left(cluster)
    assert not cluster.home.password_file("backup.pgpass").exists()


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_role_that_may_not_replicate_is_told_and_leaves_nothing(cluster) -> None:
    name = roles.role_name("backup")
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {name} NOREPLICATION")
        try:
            with pytest.raises(StoreError), base_backup(cluster.home, Settings()) as stream:
                stream.read()
        finally:
            connection.execute(f"ALTER ROLE {name} REPLICATION")
    assert none_is_left(cluster)
    assert not cluster.home.password_file("backup.pgpass").exists()


def test_who_stops_reading_ends_the_program(cluster) -> None:
    def stop() -> None:
        with base_backup(cluster.home, Settings(), 32) as stream:
            assert stream.read(512)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stop()
    assert none_is_left(cluster)
