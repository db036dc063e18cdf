"""audit_append in the database and tlog.merkle agree; nobody can change what it wrote."""

import hashlib
import json
from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.tlog.frontier import Frontier
from gateway.tlog.merkle import EMPTY_ROOT, leaf_hash, root_of

APPEND = "SELECT first, size, root, hashes FROM gateway.audit_append(%s, %s)"


def made(index: int) -> bytes:
    return b'{"decision":"allow","kind":"test","time_us":%d,"version":1}' % index


@pytest.fixture
def owner(conninfo: Callable[[str], str]) -> Iterator[psycopg.Connection]:
    with psycopg.connect(conninfo("intake"), autocommit=True) as connection:
        yield connection


@given(st.lists(st.sampled_from([1, 2, 3, 5, 16, 64, 255, 256, 257, 500]), min_size=1, max_size=6))
@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_roots_frontier_and_tiles_are_those_of_the_tree(
    owner: psycopg.Connection, sizes: list[int]
) -> None:
    with owner.transaction(force_rollback=True):
        first = size_of(owner)
        hashes = [
            row[0]
            for row in owner.execute(
                "SELECT leaf_hash FROM gateway.audit_entry ORDER BY idx", binary=True
            )
        ]
        for count in sizes:
            leaves = [made(first + i) for i in range(count)]
            hashes += map(leaf_hash, leaves)
            row = owner.execute(APPEND, (leaves, first), binary=True).fetchone()
            assert row == (first, first + count, root_of(hashes), b"".join(hashes[first:]))
            first += count
        check(owner, hashes)


def size_of(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT size FROM gateway.audit_head").fetchone()
    assert row is not None
    return int(row[0])


def check(connection: psycopg.Connection, hashes: list[bytes]) -> None:
    frontier = Frontier()
    frontier.extend(hashes)
    head = connection.execute(
        "SELECT size, root, frontier FROM gateway.audit_head", binary=True
    ).fetchone()
    assert head == (len(hashes), frontier.root(), frontier.hashes)
    expected = {}
    level, row = 0, hashes
    while len(row) >= 256:
        above = []
        for n in range(len(row) // 256):
            tile = row[n * 256 : (n + 1) * 256]
            above.append(root_of(tile))
            expected[level, n] = (b"".join(tile), above[-1])
        level, row = level + 1, above
    stored = connection.execute(
        "SELECT level, n, hashes, root FROM gateway.audit_tile", binary=True
    )
    assert {(level, n): (content, root) for level, n, content, root in stored} == expected


def test_a_second_level_of_tiles(owner: psycopg.Connection) -> None:
    hashes: list[bytes] = []
    while len(hashes) < 65_536 + 300:
        leaves = [made(len(hashes) + i) for i in range(4000)]
        owner.execute(APPEND, (leaves, len(hashes)), binary=True)
        hashes += map(leaf_hash, leaves)
    check(owner, hashes)


def test_the_empty_log(owner: psycopg.Connection) -> None:
    row = owner.execute(
        "SELECT size, root, frontier FROM gateway.audit_head", binary=True
    ).fetchone()
    assert row == (0, EMPTY_ROOT, [])


def test_a_caller_behind_catches_up_and_one_far_behind_reloads(owner: psycopg.Connection) -> None:
    for begin in range(0, 66_000, 6000):
        owner.execute(APPEND, ([made(begin + i) for i in range(6000)], begin), binary=True)
    row = owner.execute(APPEND, ([made(0)], 65_999), binary=True).fetchone()
    assert row is not None
    assert (row[0], row[1]) == (66_000, 66_001)
    assert row[3] == leaf_hash(made(65_999)) + leaf_hash(made(0))
    row = owner.execute(APPEND, ([made(0)], 3), binary=True).fetchone()
    assert row is not None
    assert row[3] is None


def test_a_caller_that_knows_more_than_the_log_is_refused(owner: psycopg.Connection) -> None:
    for since in (1, -1, None):
        with pytest.raises(psycopg.Error, match="the log holds 0"):
            owner.execute(APPEND, ([made(0)], since))
    assert size_of(owner) == 0


def test_the_projection_comes_from_the_leaf(
    owner: psycopg.Connection, conninfo: Callable[[str], str]
) -> None:
    leaves = [
        {
            "account": "li.si",
            "decision": "deny",
            "kind": "rpc",
            "organisation": "140100",
            "reason": "POLICY_DENIED",
            "request_id": "r",
            "subject": "spiffe://x",
            "time_us": 7,
        },
        {"decision": "allow", "kind": "rpc", "subject": "spiffe://x", "time_us": 8},
    ]
    owner.execute(APPEND, ([json.dumps(each).encode() for each in leaves], 0))
    with psycopg.connect(conninfo("administration")) as reader:
        rows = reader.execute(
            "SELECT time_us, kind, decision, organisation, reason, request_id, actor"
            " FROM gateway.audit_entry ORDER BY idx"
        ).fetchall()
    assert rows == [
        (7, "rpc", "deny", "140100", "POLICY_DENIED", "r", "li.si"),
        (8, "rpc", "allow", None, None, None, "spiffe://x"),
    ]


NO_LEAVES = [
    [],
    [b""],
    [b"not json"],
    [b"[]"],
    [b'"text"'],
    [b'{"decision":"allow","kind":"a"}'],
    [b'{"decision":"allow","time_us":1}'],
    [b'{"kind":"a","time_us":1}'],
    [b'{"decision":"perhaps","kind":"a","time_us":1}'],
    [b'{"decision":"allow","kind":"a","time_us":"x"}'],
    [b'{"decision":"allow","kind":"\xff","time_us":1}'],
    [b'{"decision":"allow","kind":"' + b"a" * 65_500 + b'","time_us":1}'],
    [made(0), b"{}"],
    [None],
]


def test_what_is_no_leaf_is_refused_whole(owner: psycopg.Connection) -> None:
    for leaves in NO_LEAVES:
        with pytest.raises(psycopg.Error):
            owner.execute("SELECT gateway.audit_append(%s::bytea[], 0)", (leaves,))
        assert size_of(owner) == 0


WRITES = (
    "UPDATE gateway.audit_entry SET leaf = leaf",
    "DELETE FROM gateway.audit_entry",
    "TRUNCATE gateway.audit_entry",
    "UPDATE gateway.audit_tile SET root = root",
    "DELETE FROM gateway.audit_tile",
    "TRUNCATE gateway.audit_tile",
    "UPDATE gateway.audit_head SET size = size",
    "UPDATE gateway.audit_head SET size = 0",
    "DELETE FROM gateway.audit_head",
    "TRUNCATE gateway.audit_head",
    "INSERT INTO gateway.audit_head (id, size, root, frontier, time_us) VALUES (2, 0, ''::bytea, '{}', 0)",
)


ROLES = ("owner", "intake", "identity", "administration", "front")


def test_nobody_changes_what_is_on_the_log(
    owner: psycopg.Connection, conninfo: Callable[[str], str]
) -> None:
    owner.execute(APPEND, ([made(i) for i in range(300)], 0))
    for role in ROLES:
        with psycopg.connect(conninfo(role), autocommit=True) as connection:
            for sql in WRITES:
                with pytest.raises(psycopg.Error):
                    connection.execute(sql)
    check(owner, [leaf_hash(made(i)) for i in range(300)])


def test_no_door_inserts_past_the_function(
    owner: psycopg.Connection, conninfo: Callable[[str], str]
) -> None:
    for role in ROLES[1:]:
        with psycopg.connect(conninfo(role), autocommit=True) as connection:
            for sql in (
                "INSERT INTO gateway.audit_entry DEFAULT VALUES",
                "INSERT INTO gateway.audit_tile DEFAULT VALUES",
                "SELECT gateway.audit_store_tile(0, 0, ''::bytea)",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql)
            connection.execute(APPEND, ([made(0)], 0))
    assert size_of(owner) == 4


def test_no_object_of_the_callers_runs_as_the_owner(owner: psycopg.Connection) -> None:
    owner.execute(
        "CREATE TEMP TABLE audit_head (id int, size bigint, root bytea, frontier bytea[], time_us bigint)"
    )
    row = owner.execute(APPEND, ([made(0)], 0), binary=True).fetchone()
    assert row is not None
    assert row[2] == hashlib.sha256(b"\x00" + made(0)).digest()
    assert size_of(owner) == 1
