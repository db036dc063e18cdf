"""Organisations: one province at the top, a tree below it, codes of the division table."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import ConflictError, InvalidError, NotFoundError
from gateway.registry import organisations
from gateway.registry.organisations import ACTIVE, SUSPENDED, Kind, Organisation
from gateway.store.database import Database, Transaction

Conninfo = Callable[[str], str]
DIVISIONS = frozenset({"140000", "140100", "140105", "140200"})
PROVINCE = Organisation("140000", "山西省", Kind.PROVINCE, None)
CITY = Organisation("140100", "太原市", Kind.CITY, "140000")
COUNTY = Organisation("140105", "小店区", Kind.COUNTY, "140100")


def with_province(conninfo: Conninfo, scene: Callable[[Transaction], Awaitable[None]]) -> None:
    async def run() -> None:
        database = await Database.open(conninfo("administration"), application="test", size=1)
        async with database.transaction() as tx:
            for one in (PROVINCE, CITY):
                await organisations.create(tx, one, DIVISIONS, 1)
            await scene(tx)
        await database.close()

    asyncio.run(run())


def test_created_as_active_and_the_same_again_is_no_error(conninfo: Conninfo) -> None:
    async def scene(tx: Transaction) -> None:
        asked = Organisation("140105", "小店区", Kind.COUNTY, "140100", SUSPENDED)
        assert await organisations.create(tx, asked, DIVISIONS, 5) == COUNTY
        assert await organisations.create(tx, COUNTY, DIVISIONS, 6) == COUNTY
        assert await tx.fetch(
            "SELECT created_us FROM gateway.organisation WHERE code = '140105'"
        ) == [(5,)]
        with pytest.raises(ConflictError):
            await organisations.create(
                tx, Organisation("140105", "迎泽区", Kind.COUNTY, "140100"), DIVISIONS, 7
            )

    with_province(conninfo, scene)


@pytest.mark.parametrize(
    ("wanted", "rules"),
    [
        (Organisation("14010", "甲", Kind.CITY, "140000"), ["organisation-code"]),
        (Organisation("١٤٠١٠٠", "甲", Kind.CITY, "140000"), ["organisation-code"]),
        (Organisation("990000", "甲", Kind.CITY, "140000"), ["division-unknown"]),
        (Organisation("140200", "", Kind.CITY, "140000"), ["name"]),
        (Organisation("140200", "甲", 0, "140000"), ["organisation-kind"]),
        (Organisation("140200", "甲", Kind.CITY, None), ["parent-unknown"]),
        (Organisation("140200", "甲", Kind.CITY, "140200"), ["parent-unknown"]),
        (Organisation("140200", "甲", Kind.CITY, "140100"), ["parent-kind"]),
        (Organisation("140200", "甲", Kind.COUNTY, "990000"), ["parent-unknown"]),
        (Organisation("140200", "甲", Kind.PROVINCE, None), ["province-once"]),
        (Organisation("140000", "山西省", Kind.PROVINCE, "140100"), ["parent-surplus"]),
    ],
)
def test_what_cannot_stand_in_the_tree_is_refused(
    conninfo: Conninfo, wanted: Organisation, rules: list[str]
) -> None:
    async def scene(tx: Transaction) -> None:
        with pytest.raises(InvalidError) as refused:
            await organisations.create(tx, wanted, DIVISIONS, 1)
        assert [one.rule for one in refused.value.violations] == rules

    with_province(conninfo, scene)


def test_a_longer_code_of_a_known_division_is_taken(conninfo: Conninfo) -> None:
    async def scene(tx: Transaction) -> None:
        wanted = Organisation("1401050012", "某医院", Kind.OTHER, "140100")
        assert await organisations.create(tx, wanted, DIVISIONS, 1) == wanted

    with_province(conninfo, scene)


def test_suspending_tells_whether_it_changed_anything(conninfo: Conninfo) -> None:
    async def scene(tx: Transaction) -> None:
        suspended, changed = await organisations.set_state(tx, "140100", SUSPENDED)
        assert (suspended.active, changed) == (False, True)
        assert await organisations.set_state(tx, "140100", SUSPENDED) == (suspended, False)
        assert await organisations.set_state(tx, "140100", ACTIVE) == (CITY, True)
        with pytest.raises(NotFoundError):
            await organisations.set_state(tx, "140105", SUSPENDED)
        for code, state, rule in (
            ("140100", 3, "state-unknown"),
            ("140000", SUSPENDED, "province-stays"),
        ):
            with pytest.raises(InvalidError) as refused:
                await organisations.set_state(tx, code, state)
            assert [one.rule for one in refused.value.violations] == [rule]

    with_province(conninfo, scene)
