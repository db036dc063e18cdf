"""The log's database replaced or put back, its files unlinked or put aside: noticed by the next group, before its COMMIT."""

from dataclasses import fields, replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from gateway.audit.event import Event
from gateway.audit.ground import Ground
from gateway.audit.log import LogError
from gateway.errors import Reason
from tests.audit.stage import UPLOAD
from tests.audit.test_recorder import leaves, proven, run, units, writes
from tests.audit.test_recovery import back, refused

HERE = Ground(1, 2, 3, 4, 8192, 8192)


def test_the_same_ground_grows():
    assert HERE.follow(None) is HERE
    grown = replace(HERE, entry_bytes=16384)
    assert grown.follow(HERE) is grown


@pytest.mark.parametrize("name", [each.name for each in fields(Ground)])
def test_another_ground(name):
    changed = replace(HERE, **{name: getattr(HERE, name) - 1})
    if name == "head_bytes":  # the head's row is written anew all the time: only none is too few
        changed = replace(HERE, head_bytes=0)
    with pytest.raises(LogError) as raised:
        changed.follow(HERE)
    assert raised.value.code == ("FILES_GONE" if name.endswith("bytes") else "REPLACED")


def test_no_files_at_the_first_look():
    with pytest.raises(LogError):
        replace(HERE, entry_bytes=0).follow(None)


def file_of(conninfo, table) -> Path:
    with psycopg.connect(conninfo("owner")) as connection:
        query = "SELECT pg_relation_filepath(%s)"
        [(path,)] = connection.execute(query, (f"gateway.{table}",)).fetchall()
    return Path(path)


def test_vacuum_makes_no_file_shorter(conninfo):
    """A large group that was undone leaves empty pages at the end; they stay."""
    fill = "SELECT * FROM gateway.audit_append((SELECT array_agg(%s::bytea) FROM generate_series(1, 20000)), 0)"
    size = "SELECT pg_relation_size('gateway.audit_entry')"
    with psycopg.connect(conninfo("owner"), autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute(fill, (UPLOAD.to_leaf(1),))
        connection.execute("ROLLBACK")
        [(before,)] = connection.execute(size).fetchall()
        connection.execute("VACUUM gateway.audit_entry")
        [(after,)] = connection.execute(size).fetchall()
    assert 0 < before == after


@pytest.mark.parametrize("table", ["audit_entry", "audit_head"])
def test_32_a_file_put_aside_is_noticed_and_told_once_it_is_back(conninfo, cluster, table):
    """Attack 32, hashicorp/vault #3935: the server would go on writing where nobody reads."""
    file = cluster.data / file_of(conninfo, table)
    aside = file.with_name("aside")

    async def play(s):
        for _ in range(3):
            await s.recorder.append(UPLOAD)
        file.rename(aside)
        try:
            reason = await refused(s.recorder.append(UPLOAD, writes("1401050001")))
            assert reason is Reason.AUDIT_DEGRADED
            assert s.recorder.state.cause == "files"
            assert await refused(s.recorder.append(UPLOAD)) is Reason.AUDIT_DEGRADED
        finally:
            aside.rename(file)
        told = await back(s)
        assert told["detail"]["cause"] == "files"
        assert told["counts"]["refused"] >= 2
        assert await units(s.database) == []
        proven(s, await s.recorder.append(UPLOAD, writes("1401050001")))
        assert len(await leaves(s)) == 5

    run(conninfo, play)


def test_32_another_database_under_the_same_name(conninfo, cluster):
    """Attacks 10 and 32: restored beside, and exchanged by name. The copy is the log that was signed: told, and gone on with."""
    name = conninfo_to_dict(conninfo("owner"))["dbname"]

    async def play(s):
        for _ in range(3):
            await s.recorder.append(UPLOAD)
        await exchange(cluster, name)
        assert (
            await refused(s.recorder.append(UPLOAD, writes("1401050001"))) is Reason.AUDIT_DEGRADED
        )
        assert (await back(s))["detail"]["cause"] == "replaced"
        assert await units(s.database) == []
        proven(s, await s.recorder.append(UPLOAD, writes("1401050001")))
        # Told once: what comes after is an outage like any other.
        assert await refused(s.recorder.append(UPLOAD, cut)) is Reason.AUDIT_DEGRADED
        assert (await back(s))["detail"]["cause"] == "store"

    run(conninfo, play)


async def cut(transaction) -> Event:
    await transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return UPLOAD


async def exchange(cluster, name) -> None:
    """Put a copy of the database in its place."""
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        shut = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        here, copy, aside = (sql.Identifier(one) for one in (name, name + "c", name + "o"))
        connection.execute(shut.format(here, sql.SQL("false")))
        connection.execute(end, (name,))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(copy, here))
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        connection.execute(rename.format(here, aside))
        connection.execute(rename.format(copy, here))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(aside))
