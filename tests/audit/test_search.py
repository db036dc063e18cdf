"""Search by every filter, page by page, in the order of the log."""

import asyncio
import itertools
import json
from collections.abc import Callable

import psycopg
import pytest

from gateway.audit import search as module
from gateway.audit.search import Filters, Found, search
from gateway.store.database import Database

Conninfo = Callable[[str], str]
T = 1_790_000_000_000_000
ENTRIES = [
    {
        "decision": "deny" if i % 5 == 0 else "allow",
        "kind": ("upload", "identity.login", "tls.refused")[i % 3],
        "time_us": T + i * 1000 - (i % 4) * 1500,
        "organisation": ("140100", "140200")[i % 2],
    }
    | ({"reason": "POLICY_DENIED"} if i % 5 == 0 else {})
    | ({"request_id": f"r{i // 2}"} if i % 3 == 0 else {})
    for i in range(400)
]


@pytest.fixture
def filled(conninfo: Conninfo) -> Conninfo:
    with psycopg.connect(conninfo("intake")) as connection:
        made = [json.dumps(each).encode() for each in ENTRIES]
        connection.execute("SELECT gateway.audit_append(%s, 0)", (made,))
    return conninfo


def found(conninfo: Conninfo, filters: Filters, **page: int) -> list[Found]:
    async def main() -> list[Found]:
        database = await Database.open(conninfo("administration"), application="test")
        try:
            async with database.transaction() as transaction:
                return await search(transaction, filters, **page)
        finally:
            await database.close()

    return asyncio.run(main())


def expected(filters: Filters) -> list[int]:
    def fits(entry: dict[str, object]) -> bool:
        time_us = entry["time_us"]
        assert isinstance(time_us, int)
        if filters.from_us is not None and time_us < filters.from_us:
            return False
        if filters.until_us is not None and time_us >= filters.until_us:
            return False
        names = ("organisation", "kind", "decision", "reason", "request_id")
        wanted = {name: getattr(filters, name) for name in names}
        return all(value is None or entry.get(name) == value for name, value in wanted.items())

    return [i for i in reversed(range(len(ENTRIES))) if fits(ENTRIES[i])]


def test_every_filter_and_every_pair(filled: Conninfo) -> None:
    single = {
        "from_us": T + 100_250,
        "until_us": T + 300_250,
        "organisation": "140100",
        "kind": "upload",
        "decision": "deny",
        "reason": "POLICY_DENIED",
        "request_id": "r15",
    }
    for names in [
        (),
        *itertools.combinations(single, 1),
        *itertools.combinations(single, 2),
        tuple(single),
    ]:
        filters = Filters(**{name: single[name] for name in names})  # type: ignore[arg-type]
        got = found(filled, filters, limit=1000)
        assert [each.index for each in got] == expected(filters), names
        assert all(json.loads(each.leaf) == ENTRIES[each.index] for each in got)


def test_whose_tunnel_another_came_through_finds_that_too(filled: Conninfo) -> None:
    """By an index of its own, page by page, and by no other leaf's mention of the organisation."""
    of = {"kind": "tls.refused", "decision": "deny", "time_us": T + 10**9, "organisation": "140100"}
    detail = {"detail": {"target_organisation": "140200"}}
    made = [of | {"reason": "ORIGIN_MISMATCH"} | detail for _ in range(3)]
    made.append(of | {"reason": "NOT_FOUND"} | detail)
    with psycopg.connect(filled("intake")) as connection:
        leaves = [json.dumps(each).encode() for each in made]
        connection.execute("SELECT gateway.audit_append(%s, 0)", (leaves,))
    mine = [*range(402, 399, -1)]
    got = found(filled, Filters(organisation="140200"), limit=1000)
    assert [each.index for each in got] == [*mine, *expected(Filters(organisation="140200"))]
    first = found(filled, Filters(organisation="140200"), limit=2)
    assert [each.index for each in first] == mine[:2]
    after = found(filled, Filters(organisation="140200"), limit=2, before=mine[1])
    assert [each.index for each in after] == [mine[2], 399]
    filters = Filters(organisation="140200", reason="ORIGIN_MISMATCH", from_us=T + 10**8)
    assert [each.index for each in found(filled, filters)] == mine
    with psycopg.connect(filled("owner")) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT idx FROM gateway.audit_entry WHERE"
            f" {module._TARGETED} ORDER BY idx DESC LIMIT 5",
            ["140200"],
        ).fetchall()
    assert any("audit_entry_mismatch" in line for (line,) in plan)


def test_pages_neither_miss_nor_repeat(filled: Conninfo) -> None:
    filters = Filters(kind="upload", from_us=T + 50_000)
    whole = expected(filters)
    pages, before = [], {}
    while page := found(filled, filters, limit=17, **before):
        pages += [each.index for each in page]
        before = {"before": page[-1].index}
        assert len(page) <= 17
    assert pages == whole


def test_the_page_is_never_larger_than_allowed(
    filled: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_MAX", 5)
    assert len(found(filled, Filters(), limit=10**9)) == 5
    assert len(found(filled, Filters(), limit=-1)) == 1


def test_nothing_is_found_where_nothing_is(filled: Conninfo) -> None:
    for filters in (
        Filters(kind="none"),
        Filters(from_us=T + 10**12),
        Filters(until_us=T - 10**12),
        Filters(kind="' OR 1=1 --"),
        Filters(organisation="%"),
    ):
        assert found(filled, filters) == []


def test_bounds_in_time_miss_nothing_near_them(
    filled: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLACK", 10)
    for from_us in range(T, T + 20_000, 700):
        filters = Filters(from_us=from_us, until_us=from_us + 9_000)
        assert [each.index for each in found(filled, filters, limit=1000)] == expected(filters)


def test_after_a_clock_step_time_is_not_translated(
    filled: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLACK", 1)
    steps = [
        {"decision": "allow", "kind": "log.clock", "time_us": T - 5_000_000},
        {"decision": "allow", "kind": "late", "time_us": T - 4_000_000},
    ]
    with psycopg.connect(filled("intake")) as connection:
        made = [json.dumps(each).encode() for each in steps]
        connection.execute("SELECT gateway.audit_append(%s, 400)", (made,))
    got = found(filled, Filters(until_us=T - 1_000_000))
    assert [each.index for each in got] == [401, 400]


def test_only_some_roles_search(filled: Conninfo) -> None:
    for role in ("intake", "identity", "front"):
        with (
            psycopg.connect(filled(role)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT actor FROM gateway.audit_entry")
