"""A generated province with planted defects: every finding is planted, every planted defect is found."""

from collections.abc import Callable, Iterator
from datetime import date
from itertools import islice
from typing import Any

from gateway.clock import US_PER_S
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.snapshot import Registry
from gateway.registry.units import Unit
from gateway.sample import tables as sample_tables
from gateway.sample.family import Family, Truth
from gateway.sample.province import AS_OF, Province, Shares, choose_counties, units_of
from gateway.v1 import upload_service_pb2 as u
from tests.uploads.county import POLICIES, County, a_child, a_dose, county, rules, run, states

CHILDREN = 500
SHARES = Shares(card=0.2, dose=0.25, late=0.05)
# The day after the sample's, noon in Shanxi.
NOON_US = ((AS_OF - date(1970, 1, 1)).days * 86400 + 86400 + 4 * 3600) * US_PER_S


def as_unit(unit: Any) -> Unit:
    first = unit.active_from_date
    active = (
        date(first.year, first.month, first.day)
        if unit.HasField("active_from_date")
        else date(2000, 1, 1)
    )
    return Unit(
        unit.unit_code,
        "140000",
        None,
        unit.division_code,
        unit.level,
        unit.name,
        None,
        active,
        None,
    )


def by_batches(records: list[Any], size: int = 200) -> Iterator[list[Any]]:
    left = iter(records)
    while batch := list(islice(left, size)):
        yield batch


async def upload_all(one: County, records: list[Any]) -> dict[str, u.ItemResult]:
    """Upload records in order; return results by record id, for cards by child code."""
    found: dict[str, u.ItemResult] = {}
    for batch in by_batches(records):
        receipt = await one.send(one.batch(*batch, unit_code=one.first_unit))
        for record, result in zip(batch, receipt.items, strict=True):
            name = record.child_code if type(record).__name__ == "Child" else result.record_id
            found[name] = result
    return found


def expected(families: list[Family], truths: list[Truth]) -> dict[str, tuple[str, tuple[str, ...]]]:
    planted = {t.record_id: (t.state, t.rules) for family in families for t in family.truth}
    return planted | {truth.record_id: (truth.state, truth.rules) for truth in truths}


def told(result: u.ItemResult) -> tuple[str, tuple[str, ...]]:
    state = u.ItemState.Name(result.state).removeprefix("ITEM_STATE_").lower()
    noted = (f.rule_id for f in result.findings if f.severity != u.SEVERITY_INFO)
    return state, tuple(sorted(set(noted)))


def test_findings_equal_the_planted_defects(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        tables = sample_tables.load(POLICIES)
        units = units_of(tables, choose_counties(tables, 7, CHILDREN))
        province = Province(tables, units, seed=7, children=CHILDREN, shares=SHARES)
        families = list(province.families())
        async with county(conninfo) as one:
            one.stage.clock.us = NOON_US
            root = Organisation("140000", "山西省", Kind.PROVINCE, None)
            one.organisation = "140000"
            register = Registry.of([root], (), [as_unit(unit) for unit in units])
            one.intake._units = lambda: register
            one.first_unit = units[-1].unit_code
            records = [r for f in families if not f.late for r in cards(f)]
            records += [dose for family in families for dose in family.doses]
            late = [r for f in families if f.late for r in cards(f)]
            documents = [*province.movements(), *province.balances(), *province.events]
            found = await upload_all(one, records)
            found |= await upload_all(one, late) | await upload_all(one, documents)
            planted = expected(families, province.event_truth)
            assert set(planted) <= set(found)
            wrong = {
                name: (told(result), planted.get(name, ("accepted", ())))
                for name, result in found.items()
                if told(result) != planted.get(name, ("accepted", ()))
            }
            assert wrong == {}
            assert len(planted) > CHILDREN // 3
            # What waited was released when its card came.
            waited = [t for f in families for t in f.truth if t.then]
            open_ = await one.rows("SELECT record_id FROM gateway.held WHERE settled_us IS NULL")
            assert waited
            assert {t.record_id for t in waited}.isdisjoint(row[0] for row in open_)

    run(play())


def cards(family: Family) -> list[Any]:
    return [family.child] if family.second_card is None else [family.child, family.second_card]


def test_doses_of_one_batch_are_judged_by_their_day(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            child = a_child()
            first, second = a_dose(child), a_dose(child, number=2, day=later(40))
            receipt = await one.upload(second, first, child)
            assert states(receipt) == ["accepted"] * 3
            assert [rules(receipt, n) for n in range(3)] == [[], [], []]

    run(play())


def later(days: int) -> date:
    from datetime import timedelta

    from tests.uploads.county import BORN

    return BORN + timedelta(days=days)
