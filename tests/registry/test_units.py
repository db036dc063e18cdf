"""Units: registered all or none, changed in place, in a tree without circles."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date

import pytest

from gateway.errors import InvalidError, Reason
from gateway.registry import organisations, units
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.units import Level, Unit
from gateway.store.database import Database, Transaction

Conninfo = Callable[[str], str]
DIVISIONS = frozenset({"140000", "140100", "140105"})
CITY_CDC = Unit(
    "1401000001",
    "140100",
    None,
    "140100",
    Level.CITY_CDC,
    "太原市疾病预防控制中心",
    None,
    date(2020, 1, 1),
    None,
)
CLINIC = Unit(
    "1401050001",
    "140100",
    "1401000001",
    "140105",
    Level.VACCINATION_UNIT,
    "小店社区卫生服务中心",
    "91140100MA0KEGGH2N",
    date(2021, 3, 1),
    None,
)


def on_register(conninfo: Conninfo, scene: Callable[[Transaction], Awaitable[None]]) -> None:
    async def run() -> None:
        database = await Database.open(conninfo("administration"), application="test", size=1)
        async with database.transaction() as tx:
            await organisations.create(
                tx, Organisation("140000", "山西省", Kind.PROVINCE, None), DIVISIONS, 1
            )
            await organisations.create(
                tx, Organisation("140100", "太原市", Kind.CITY, "140000"), DIVISIONS, 1
            )
            await scene(tx)
        await database.close()

    asyncio.run(run())


def test_registering_again_changes_nothing_and_a_change_is_told(conninfo: Conninfo) -> None:
    async def scene(tx: Transaction) -> None:
        # The parent stands after its child: one statement takes both.
        clinic = replace(CLINIC, credit_code=None)
        assert await units.register(tx, [clinic, CITY_CDC], DIVISIONS) == (
            "1401000001",
            "1401050001",
        )
        assert await units.register(tx, [clinic, CITY_CDC], DIVISIONS) == ()
        renamed = replace(clinic, name="小店区第一卫生服务中心", credit_code="")
        assert await units.register(tx, [renamed, CITY_CDC], DIVISIONS) == ("1401050001",)

    on_register(conninfo, scene)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"unit_code": "140105001"}, "unit-code"),
        ({"unit_code": "1401050001\n"}, "unit-code"),
        ({"division": "990000"}, "division-unknown"),
        ({"division": "140100"}, "unit-division"),
        ({"division": "140105001"}, "division-unknown"),
        ({"name": ""}, "name"),
        ({"name": " 太原"}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"level": 0}, "unit-level"),
        ({"organisation": "140200"}, "organisation-unknown"),
        ({"active_until": date(2020, 1, 1)}, "unit-days"),
        ({"credit_code": "91140100MA0KEGGH2X"}, "credit-code"),
        ({"credit_code": "91140100MA0KEGGH2"}, "credit-code"),
        ({"parent": "1401000099"}, "parent-unknown"),
        ({"parent": "1401050001"}, "parent-circle"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_taken(
    conninfo: Conninfo, change: dict, rule: str
) -> None:
    async def scene(tx: Transaction) -> None:
        wrong = replace(CLINIC, **({"credit_code": None} | change))
        with pytest.raises(InvalidError) as refused:
            await units.register(tx, [CITY_CDC, wrong], DIVISIONS)
        assert refused.value.reason is Reason.FIELD_INVALID
        assert [(one.field.split(".")[0], one.rule) for one in refused.value.violations] == [
            ("units[1]", rule)
        ]
        assert all(one.english != one.chinese for one in refused.value.violations)
        assert await tx.fetch("SELECT unit_code FROM gateway.unit") == []

    on_register(conninfo, scene)


def test_a_circle_through_what_is_stored_is_refused(conninfo: Conninfo) -> None:
    async def scene(tx: Transaction) -> None:
        await units.register(tx, [CITY_CDC, replace(CLINIC, credit_code=None)], DIVISIONS)
        with pytest.raises(InvalidError) as refused:
            await units.register(tx, [replace(CITY_CDC, parent="1401050001")], DIVISIONS)
        assert [one.rule for one in refused.value.violations] == ["parent-circle"]

    on_register(conninfo, scene)


def test_too_many_none_or_the_same_twice_are_refused(conninfo: Conninfo) -> None:
    async def scene(tx: Transaction) -> None:
        for wanted, rule in (
            ([], "units-count"),
            ([CITY_CDC] * 1001, "units-count"),
            ([CITY_CDC] * 2, "unit-twice"),
        ):
            with pytest.raises(InvalidError) as refused:
                await units.register(tx, wanted, DIVISIONS)
            assert [one.rule for one in refused.value.violations] == [rule]

    on_register(conninfo, scene)


def test_a_status_never_carries_more_than_fifty_violations(conninfo: Conninfo) -> None:
    async def scene(tx: Transaction) -> None:
        with pytest.raises(InvalidError) as refused:
            await units.register(tx, [replace(CITY_CDC, unit_code="x", name="")] * 100, DIVISIONS)
        assert len(refused.value.violations) == 50

    on_register(conninfo, scene)


def test_the_standards_own_example_is_right() -> None:
    assert units.is_credit_code("91350100M000100Y43")


def test_every_single_wrong_digit_of_a_credit_code_is_found() -> None:
    code = "91350100M000100Y4"
    right = code + expected_check(code)
    assert units.is_credit_code(right)
    for place in range(18):
        for other in "0123456789":
            changed = right[:place] + other + right[place + 1 :]
            assert units.is_credit_code(changed) == (changed == right)


def test_a_unit_is_active_from_its_first_day_to_its_last() -> None:
    unit = replace(CLINIC, active_until=date(2024, 12, 31))
    assert not unit.active_on(date(2021, 2, 28))
    assert unit.active_on(date(2021, 3, 1))
    assert unit.active_on(date(2024, 12, 31))
    assert not unit.active_on(date(2025, 1, 1))
    assert CLINIC.active_on(date(2099, 1, 1))


def expected_check(code: str) -> str:
    """GB 32100-2015, 4.2, with the weights as the standard's table prints them."""
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
    characters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    total = sum(
        characters.index(one) * weight for one, weight in zip(code[:17], weights, strict=True)
    )
    return characters[(31 - total % 31) % 31]
