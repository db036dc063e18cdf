"""The snapshot: every look-up is answered from memory, unknown codes with "nothing"."""

import asyncio
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import date

import pytest

from gateway.registry import organisations, snapshot, systems, units
from gateway.registry.organisations import SUSPENDED, Kind, Organisation
from gateway.registry.relations import UPLOADS_FOR, USES_TUNNEL_OF, Relation
from gateway.registry.snapshot import Registry
from gateway.registry.systems import System
from gateway.registry.units import Level, Unit
from gateway.store.database import Database

PROVINCE = Organisation("140000", "山西省", Kind.PROVINCE, None)
CITY = Organisation("140100", "太原市", Kind.CITY, "140000")
COUNTY = Organisation("140105", "小店区", Kind.COUNTY, "140100")
OTHER_CITY = Organisation("140200", "大同市", Kind.CITY, "140000", SUSPENDED)
FROM = date(2020, 1, 1)


def unit(code: str, organisation: str) -> Unit:
    return Unit(
        code, organisation, None, code[:6], Level.VACCINATION_UNIT, "某单位", None, FROM, None
    )


UNITS = [unit("1401000001", "140100"), unit("1401050001", "140105"), unit("1402000001", "140200")]
REGISTER = Registry.of(
    [PROVINCE, CITY, COUNTY, OTHER_CITY], [System("140100", "sys", "hub")], UNITS
)


def test_a_tunnel_is_ones_own_or_a_registered_relatives() -> None:
    register = Registry.of(
        [PROVINCE, CITY, COUNTY], relations=[Relation("140105", "140100", USES_TUNNEL_OF)]
    )
    assert register.may_use_tunnel("140105", "140105")
    assert register.may_use_tunnel("140105", "140100")
    # Not the other way round, and standing below is not enough.
    assert not register.may_use_tunnel("140100", "140105")
    assert not REGISTER.may_use_tunnel("140105", "140100")
    assert not Registry.of(
        [], relations=[Relation("140105", "140100", UPLOADS_FOR)]
    ).may_use_tunnel("140105", "140100")


def test_chains_lead_up_to_the_province() -> None:
    assert REGISTER.chain("140105") == ("140105", "140100", "140000")
    assert REGISTER.chain("140000") == ("140000",)
    assert REGISTER.chain("990000") == ()
    assert REGISTER.is_at_or_below("140105", "140100")
    assert REGISTER.is_at_or_below("140105", "140105")
    assert not REGISTER.is_at_or_below("140100", "140105")
    assert not REGISTER.is_at_or_below("990000", "990000")


def test_units_are_within_their_organisation_and_those_above() -> None:
    assert REGISTER.is_within("1401050001", "140105")
    assert REGISTER.is_within("1401050001", "140100")
    assert REGISTER.is_within("1401050001", "140000")
    assert not REGISTER.is_within("1401050001", "140200")
    assert not REGISTER.is_within("1401000001", "140105")
    assert not REGISTER.is_within("9999999999", "140000")
    assert REGISTER.units_of("140100") == tuple(UNITS[:2])
    assert REGISTER.units_of("140000") == tuple(UNITS)
    assert REGISTER.units_of("990000") == ()


def test_states() -> None:
    assert REGISTER.organisation_active("140100")
    assert not REGISTER.organisation_active("140200")
    assert not REGISTER.organisation_active("990000")
    assert REGISTER.system_active("140100", "sys", "hub")
    assert not REGISTER.system_active("140100", "officer", "hub")
    assert REGISTER.organisation("140100") == CITY
    assert REGISTER.organisation("990000") is None
    assert REGISTER.unit("1401000001") == UNITS[0]
    assert REGISTER.unit("9999999999") is None


def test_a_circle_in_the_rows_ends() -> None:
    circle = [Organisation("140100", "甲", 4, "140200"), Organisation("140200", "乙", 4, "140100")]
    assert Registry.of(circle).chain("140100") == ("140100", "140200")


def test_nobody_changes_a_snapshot() -> None:
    with pytest.raises(TypeError):
        REGISTER.units["1"] = UNITS[0]  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        REGISTER.units = {}  # type: ignore[misc]


@pytest.mark.parametrize("role", ["identity", "intake", "administration", "front"])
def test_every_process_loads_what_administration_wrote(
    conninfo: Callable[[str], str], role: str
) -> None:
    async def run() -> None:
        writer = await Database.open(conninfo("administration"), application="test", size=1)
        divisions = {"140000", "140100", "140105", "140200"}
        async with writer.transaction() as tx:
            for one in (PROVINCE, CITY, COUNTY, OTHER_CITY):
                await organisations.create(tx, one, divisions, 1)
            await organisations.set_state(tx, "140200", SUSPENDED)
            await systems.create(tx, System("140100", "sys", "hub"), 1)
            await units.register(tx, UNITS, divisions)
        await writer.close()
        reader = await Database.open(conninfo(role), application="test", size=1)
        async with reader.transaction() as tx:
            assert await snapshot.load(tx) == REGISTER
        await reader.close()

    asyncio.run(run())


def test_what_is_registered_as_the_province_is_all_told() -> None:
    assert REGISTER.provinces == {"140000"}
    second = Organisation("140200", "大同市", Kind.PROVINCE, None)
    assert Registry.of([PROVINCE, CITY, second]).provinces == {"140000", "140200"}
    assert Registry.of([CITY]).provinces == frozenset()
    assert (REGISTER.province, Registry.of([CITY]).province) == ("140000", "")
