"""Relations: a delegated duty is registered between two organisations that exist, and ended again."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import InvalidError
from gateway.registry import organisations, relations, snapshot
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.relations import UPLOADS_FOR, Relation
from gateway.store.database import Database

DIVISIONS = {"140000", "140100", "140200"}
DUTY = Relation("140200", "140100", UPLOADS_FOR)


def test_a_duty_begins_and_ends(conninfo: Callable[[str], str]) -> None:
    async def run() -> None:
        database = await Database.open(conninfo("administration"), application="test", size=1)
        async with database.transaction() as tx:
            await organisations.create(
                tx, Organisation("140000", "山西省", Kind.PROVINCE, None), DIVISIONS, 1
            )
            for code, name in (("140100", "太原市"), ("140200", "大同市")):
                await organisations.create(
                    tx, Organisation(code, name, Kind.CITY, "140000"), DIVISIONS, 1
                )
            assert await relations.create(tx, DUTY)
            assert not await relations.create(tx, DUTY)
            register = await snapshot.load(tx)
            assert register.uploaders_for("140100") == {"140200"}
            assert register.uploaders_for("140200") == frozenset()
            for wrong, rules in (
                (Relation("140200", "140100", "owns"), {"relation-kind"}),
                (Relation("140200", "140200", UPLOADS_FOR), {"relation-self"}),
                (Relation("140299", "140298", UPLOADS_FOR), {"organisation-unknown"}),
            ):
                with pytest.raises(InvalidError) as refused:
                    await relations.create(tx, wrong)
                assert {one.rule for one in refused.value.violations} == rules
            assert await relations.remove(tx, DUTY)
            assert not await relations.remove(tx, DUTY)
        await database.close()

    asyncio.run(run())
