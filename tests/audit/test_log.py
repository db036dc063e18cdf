"""Proofs read from the database's tiles are those of the whole tree, and holes in it are told."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from gateway.audit.log import Log, LogError, require_included
from gateway.store.database import Database
from gateway.tlog import merkle
from tests.audit.test_append_sql import made

Conninfo = Callable[[str], str]
SIZE = 66_100
HASHES = [merkle.leaf_hash(made(i)) for i in range(SIZE)]


def fill(conninfo: Conninfo, size: int) -> None:
    with psycopg.connect(conninfo("intake")) as connection:
        for begin in range(0, size, 8000):
            leaves = [made(i) for i in range(begin, min(begin + 8000, size))]
            connection.execute("SELECT gateway.audit_append(%s, %s)", (leaves, begin), binary=True)


def run(conninfo: Conninfo, role: str, play: Callable[[Log], Awaitable[None]]) -> None:
    async def main() -> None:
        database = await Database.open(conninfo(role), application="test")
        try:
            await play(Log(database))
        finally:
            await database.close()

    asyncio.run(main())


def test_proofs_of_every_age_and_size(conninfo: Conninfo) -> None:
    fill(conninfo, SIZE)

    async def play(log: Log) -> None:
        head = await log.head()
        assert (head.size, head.root) == (SIZE, merkle.root_of(HASHES))
        assert (await log.tree()).root() == head.root
        for size in (1, 2, 255, 256, 257, 5000, 65_535, 65_536, 65_537, SIZE):
            root = await log.root(size)
            assert root == merkle.root_of(HASHES[:size])
            for index in {0, size // 3, size - 1}:
                path = await log.inclusion(index, size)
                merkle.verify_inclusion(HASHES[index], index, size, path, root)
            proof = await log.consistency(size, SIZE)
            merkle.verify_consistency(size, SIZE, proof, root, head.root)
        assert await log.root(0) == merkle.EMPTY_ROOT
        assert await log.hashes(255, 258) == b"".join(HASHES[255:258])
        assert await log.hashes(7, 7) == b""
        with pytest.raises(merkle.MerkleError):
            await log.inclusion(SIZE, SIZE)

    run(conninfo, "identity", play)


def test_leaves_are_for_the_administration_door(conninfo: Conninfo) -> None:
    fill(conninfo, 3)
    for role in ("identity", "front"):
        with (
            psycopg.connect(conninfo(role)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT leaf FROM gateway.audit_entry")

    async def play(log: Log) -> None:
        assert await log.leaf(1) == made(1)
        assert await log.leaf(3) is None

    run(conninfo, "administration", play)


DAMAGES = {
    "DELETE FROM gateway.audit_entry WHERE idx = 599": "ENTRY_MISSING",
    "DELETE FROM gateway.audit_head": "ENTRY_MISSING",
    "UPDATE gateway.audit_entry SET leaf_hash = sha256('x') WHERE idx = 599": "ROOT_DIFFERS",
}


@pytest.mark.parametrize("sql", DAMAGES)
def test_a_log_that_is_not_whole_makes_no_tree(
    conninfo: Conninfo, cluster: object, sql: str
) -> None:
    fill(conninfo, 600)
    damage(conninfo, cluster, sql)

    async def play(log: Log) -> None:
        with pytest.raises(LogError) as error:
            await log.tree()
        assert error.value.code == DAMAGES[sql]

    run(conninfo, "front", play)


@pytest.mark.parametrize(("level", "index"), [(0, 100), (1, 599)])
def test_a_tile_that_is_gone(conninfo: Conninfo, cluster: object, level: int, index: int) -> None:
    fill(conninfo, 66_000 if level else 600)
    if level:
        damage(conninfo, cluster, "DELETE FROM gateway.audit_tile WHERE level = 1")
    else:
        damage(conninfo, cluster, "DELETE FROM gateway.audit_tile WHERE level = 0 AND n = 1")

    async def play(log: Log) -> None:
        with pytest.raises(LogError) as error:
            await log.inclusion(index, 66_000 if level else 600)
        assert error.value.code == "TILE_MISSING"

    run(conninfo, "front", play)


def test_leaves_are_proven_to_be_in_the_tree_or_refused(
    conninfo: Conninfo, cluster: object
) -> None:
    fill(conninfo, 600)
    leaves = {0: made(0), 255: made(255), 599: made(599)}

    async def proven(told: dict[int, bytes]) -> str:
        database = await Database.open(conninfo("front"), application="test")
        try:
            async with database.transaction() as tx:
                await require_included(tx, told)
        except LogError as error:
            return error.code
        finally:
            await database.close()
        return ""

    assert asyncio.run(proven(leaves)) == ""
    for wrong in ({255: made(254)}, {599: made(599) + b" "}, {600: made(600)}):
        assert asyncio.run(proven({**leaves, **wrong})) == "ROOT_DIFFERS"
    # Leaf and hash changed together: the tiles above them were not.
    for index in (255, 599):
        damage(
            conninfo,
            cluster,
            f"UPDATE gateway.audit_entry SET leaf_hash = sha256('\\x00'::bytea || 'x') WHERE idx = {index}",
        )
        assert asyncio.run(proven({index: b"x"})) == "ROOT_DIFFERS"


def damage(conninfo: Conninfo, cluster: object, sql: str) -> None:
    """Do what only a superuser can: change the log past its triggers."""
    name = psycopg.conninfo.conninfo_to_dict(conninfo("owner"))["dbname"]
    with psycopg.connect(cluster.superuser(name)) as connection:  # type: ignore[attr-defined]
        connection.execute("SET session_replication_role = replica")
        connection.execute(sql)
