"""Systems and officers: whoever can bear a certificate is registered under an organisation."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import InvalidError, NotFoundError
from gateway.registry import organisations, systems
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.systems import SUSPENDED, System
from gateway.store.database import Database

PROVINCE = Organisation("140000", "山西省", Kind.PROVINCE, None)


def test_systems_are_created_once_and_stay_suspended(conninfo: Callable[[str], str]) -> None:
    async def run() -> None:
        database = await Database.open(conninfo("administration"), application="test", size=1)
        async with database.transaction() as tx:
            await organisations.create(tx, PROVINCE, {"140000"}, 1)
            system = System("140000", "sys", "platform")
            officer = System("140000", "officer", "platform")
            assert (
                await systems.create(tx, System("140000", "sys", "platform", SUSPENDED), 1)
                == system
            )
            assert await systems.create(tx, officer, 1) == officer
            suspended = System("140000", "sys", "platform", SUSPENDED)
            assert await systems.set_state(tx, suspended) == (suspended, True)
            assert await systems.set_state(tx, suspended) == (suspended, False)
            assert await systems.create(tx, system, 2) == suspended
            assert not suspended.active
            assert await systems.read(tx, "140000", "officer", "platform") == officer
            assert await systems.read(tx, "140000", "officer", "nobody") is None
            with pytest.raises(NotFoundError):
                await systems.set_state(tx, System("140000", "sys", "nobody", SUSPENDED))
            with pytest.raises(InvalidError):
                await systems.set_state(tx, System("140000", "sys", "platform", 3))
        await database.close()

    asyncio.run(run())


@pytest.mark.parametrize("name", ["", "Platform", "a/b", "a.b", "x" * 41, "é", "a\n"])
def test_a_name_is_what_a_certificate_can_carry(conninfo: Callable[[str], str], name: str) -> None:
    async def run() -> None:
        database = await Database.open(conninfo("administration"), application="test", size=1)
        async with database.transaction() as tx:
            with pytest.raises(InvalidError) as refused:
                await systems.create(tx, System("140000", "sys", name), 1)
            assert {one.rule for one in refused.value.violations} == {
                "system-name",
                "organisation-unknown",
            }
        await database.close()

    asyncio.run(run())
